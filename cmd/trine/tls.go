package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// tlsConfig is for the connections between nodes, where a CA is named, and for clients'
// connections on the listeners that ask for TLS.
type tlsConfig struct {
	Cert      string `toml:"cert"`
	Key       string `toml:"key"`
	CA        string `toml:"ca"`         // who signs the other nodes' certificates
	ClientsCA string `toml:"clients-ca"` // who signs clients' certificates
}

// check refuses what cannot work. clients says that a listener is wanted.
func (t *tlsConfig) check(clients bool) error {
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("tls needs cert and key together")
	case t.CA != "" && t.Cert == "":
		return errors.New("tls between nodes needs cert, key and ca together")
	case clients && t.Cert == "":
		return errors.New("--amqps and --https need --tls-cert and --tls-key")
	case t.ClientsCA != "" && !clients:
		return errors.New("--tls-clients-ca is for --amqps, which is off")
	case t.ClientsCA != "" && t.ClientsCA == t.CA:
		return errors.New("tls ca and clients-ca are one file: every client could join as a node")
	}
	return nil
}

// nodes gives what the two sides of a connection between nodes need: each must show a
// certificate that the CA signed. Without a CA there is no TLS between nodes.
func (t *tlsConfig) nodes() (server, client *tls.Config, err error) {
	if t.CA == "" {
		return nil, nil, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("read tls certificate: %w", err)
	}
	pool, err := readCA("tls ca", t.CA)
	if err != nil {
		return nil, nil, err
	}
	server = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}
	client = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool,
		MinVersion: tls.VersionTLS13}
	return server, client, nil
}

// clients gives what clients' connections need. A client may show a certificate where its
// CA is named; one that the CA has not signed ends the connection.
func (t *tlsConfig) clients() (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil
	}
	k := &keeper{cert: t.Cert, key: t.Key}
	if _, err := k.get(nil); err != nil {
		return nil, err
	}
	c := &tls.Config{GetCertificate: k.get, MinVersion: tls.VersionTLS12}
	if t.ClientsCA == "" {
		return c, nil
	}
	var err error
	c.ClientAuth = tls.VerifyClientCertIfGiven
	c.ClientCAs, err = readCA("tls clients-ca", t.ClientsCA)
	return c, err
}

func readCA(what, file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read %s %q: it holds no certificate", what, file)
	}
	return pool, nil
}

// keeper reads a certificate again when its file has changed, so that a renewed one needs
// no restart; what cannot be read leaves the one before in use.
type keeper struct {
	cert, key string

	mu   sync.Mutex // guards all below
	pair *tls.Certificate
	of   time.Time // of the file that pair was read from
}

func (k *keeper) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i, err := os.Stat(k.cert)
	if err == nil && k.pair != nil && i.ModTime().Equal(k.of) {
		return k.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(k.cert, k.key)
	}
	if err != nil && k.pair != nil {
		return k.pair, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tls certificate: %w", err)
	}
	k.pair, k.of = &pair, i.ModTime()
	return k.pair, nil
}
