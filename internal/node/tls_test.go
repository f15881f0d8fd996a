package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"trine/internal/core"
	"trine/internal/journal"
)

// ownCA gives both sides' configuration for nodes on 127.0.0.1.
func ownCA(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	card := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, card, card, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert},
		&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool}
}

func TestNodesSpeakOverTLSAndOnlyToThoseWithACertificate(t *testing.T) {
	server, client := ownCA(t)
	free := freeAddresses(t, 2)
	at := map[core.NodeID]string{1: free[0], 2: free[1]}
	var ns []*Node
	got := make(chan *Node, 2)
	for id := core.NodeID(1); id <= 2; id++ {
		go func() { // waited for below
			n, err := Start(t.Context(), Config{Node: id, Dir: "disk", FS: journal.NewMemFS(), Listen: at[id],
				Peers: at, ServerTLS: server, ClientTLS: client, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Errorf("node %d: %v", id, err)
			}
			got <- n
		}()
	}
	for range 2 {
		if n := <-got; n != nil {
			ns = append(ns, n)
			defer n.Close()
		}
	}
	if t.Failed() {
		return
	}
	for _, n := range ns {
		eventually(t, "linked", func() bool { return n.linked.Load() })
	}
	plain := &Node{cfg: Config{}, ctx: t.Context(), self: core.Peer{Node: 3, Disk: 3, Incarnation: 3}}
	if _, _, err := plain.dialHello(at[1], plain.hello(0)); err == nil {
		t.Error("a plain connection is answered")
	}
}
