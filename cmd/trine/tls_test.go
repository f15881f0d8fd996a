package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = filepath.Join(t.TempDir(), name+".pem")
	write(t, a.file, "CERTIFICATE", der)
	return a
}

func write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sign makes a certificate, and gives its files.
func (a *authority) sign(serial int64, name pkix.Name, dns ...string) (cert, key string) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: name, DNSNames: dns,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP("127.0.63.1")},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, of, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(a.t, cert, "CERTIFICATE", der)
	write(a.t, key, "PRIVATE KEY", pk)
	return cert, key
}

// TestClientsComeOverTLS: AMQP and HTTP over TLS, logins by a client's certificate, none by
// one that a stranger signed; a renewed certificate is shown without a restart.
func TestClientsComeOverTLS(t *testing.T) {
	servers, clients, strangers := newAuthority(t, "servers"), newAuthority(t, "clients"),
		newAuthority(t, "strangers")
	cert, key := servers.sign(2, pkix.Name{CommonName: "node"})
	p := startOn(t, "127.0.63.1", "--amqps", "127.0.63.1:5671", "--https", "127.0.63.1:15671",
		"--tls-cert", cert, "--tls-key", key, "--tls-clients-ca", clients.file)
	roots := x509.NewCertPool()
	roots.AddCert(servers.cert)
	with := func(a *authority, name pkix.Name) *tls.Config {
		c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		if a != nil {
			pair, err := tls.LoadX509KeyPair(a.sign(3, name))
			if err != nil {
				t.Fatal(err)
			}
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &pair, nil // whoever is asked for
			}
		}
		return c
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: with(nil, pkix.Name{})}}
	ask := func(method, path, body string, want int) {
		t.Helper()
		r, _ := http.NewRequest(method, "https://127.0.63.1:15671/api/"+path, strings.NewReader(body))
		r.SetBasicAuth("guest", "guest")
		a, err := web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		if b, _ := io.ReadAll(a.Body); a.StatusCode != want {
			t.Fatalf("%s %s: %d %s", method, path, a.StatusCode, b)
		}
	}
	ann := pkix.Name{CommonName: "ann", Organization: []string{"client"}}
	user := "CN=ann,O=client" // Go writes O before CN, and RFC 4514 the last first
	ask("PUT", "users/"+user, `{"password_hash":"","tags":""}`, 201)
	ask("PUT", "permissions/%2F/"+user, `{"configure":"","write":"","read":""}`, 201)

	external := &amqp091.ExternalAuth{}
	for _, c := range []struct {
		name string
		tls  *tls.Config
		sasl amqp091.Authentication
		want string
	}{
		{"a password", with(nil, ann), &amqp091.PlainAuth{Username: "guest", Password: "guest"}, ""},
		{"ann's certificate", with(clients, ann), external, ""},
		{"a certificate and a password", with(clients, ann),
			&amqp091.PlainAuth{Username: "guest", Password: "guest"}, ""},
		{"nobody's certificate", with(clients, pkix.Name{CommonName: "bob"}), external, "403"},
		{"no certificate", with(nil, ann), external, "SASL could not negotiate"},
		{"a stranger's", with(strangers, ann), external, "unknown certificate authority"},
	} {
		conn, err := amqp091.DialConfig("amqps://127.0.63.1:5671/", amqp091.Config{TLSClientConfig: c.tls,
			SASL: []amqp091.Authentication{c.sasl}, Vhost: "/"})
		if err == nil {
			conn.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if conn, err := amqp091.Dial("amqp://guest:guest@" + p.at["amqp"] + "/"); err != nil {
		t.Errorf("without TLS: %v", err)
	} else {
		conn.Close()
	}
	shown := func() int64 {
		c, err := tls.Dial("tcp", "127.0.63.1:5671", with(nil, ann))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := shown(); n != 2 {
		t.Errorf("certificate %d", n)
	}
	newCert, newKey := servers.sign(7, pkix.Name{CommonName: "node"})
	replace(t, newKey, key)
	replace(t, newCert, cert)
	if n := shown(); n != 7 {
		t.Errorf("certificate %d after it was renewed", n)
	}
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(to)
	if err != nil || bytes.Equal(b, old) {
		t.Fatalf("%v, or nothing new", err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Second) // where the file system's clock is coarse
	if err := os.Chtimes(to, later, later); err != nil {
		t.Fatal(err)
	}
}
