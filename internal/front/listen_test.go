package front

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trine/internal/core"
)

// echo sends back what it is fed. "?" makes it owe; "!" makes it say bye and end;
// "." asks for a tick, at which it sends "tick".
type echo struct {
	w      Wire
	closed chan error
	armed  bool
	fed    int
}

func (e *echo) Feed(now core.Now, b []byte) error {
	e.w.Ready()
	e.fed += len(b)
	switch s := string(b); {
	case s == "?":
		e.w.Owe(100)
	case s == ".":
		e.armed = true
		e.w.TickAt(now.Mono + 5*core.Millisecond)
	case s[0] == '!':
		e.w.Out().B = append(e.w.Out().B, "bye"...)
		return errors.New("told to end")
	default:
		e.w.Out().B = append(e.w.Out().B, b[:len(b)/2]...)
		e.w.Out().Share(append([]byte(nil), b[len(b)/2:]...))
	}
	return nil
}

func (e *echo) Tick(core.Now) core.Time {
	if e.armed {
		e.armed = false
		e.w.Out().B = append(e.w.Out().B, "tick"...)
	}
	return 0
}

func (e *echo) Drained(core.Now) {}

func (e *echo) Shut(core.Now) {
	e.w.Out().B = append(e.w.Out().B, "shut"...)
	e.w.End(nil)
}

func (e *echo) Closed(_ core.Now, err error) { e.closed <- err }

type house struct {
	*Server
	conns  chan *echo
	closed chan error
}

func serve(t *testing.T, o Options) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{conns: make(chan *echo, 100), closed: make(chan error, 100)}
	o.Name = "echo"
	o.Open = func(w Wire) Conn {
		e := &echo{w: w, closed: h.closed}
		h.conns <- e
		return e
	}
	h.Server = Serve(l, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = h.Shutdown(ctx)
		goleak.VerifyNone(t)
	})
	return h
}

func (h *house) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := c.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("heard %q, %v; want %q", b, err, want)
	}
}

func TestWhatIsFedComesBackAndATickFires(t *testing.T) {
	h := serve(t, Options{})
	c := h.dial(t)
	say(t, c, "hello")
	hear(t, c, "hello")
	say(t, c, ".")
	hear(t, c, "tick")
}

func TestWhatStandsInOutIsReadBeforeTheEnd(t *testing.T) {
	h := serve(t, Options{})
	c := h.dial(t)
	say(t, c, "!")
	say(t, c, "unread") // would reset the connection if it were closed at once
	hear(t, c, "bye")
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after the goodbye: %v", err)
	}
	c.Close()
	if err := <-h.closed; err == nil || err.Error() != "told to end" {
		t.Fatalf("closed with %v", err)
	}
}

// deaf is a connection whose client leaves: writing fails. The first read gives hello,
// the next returns only when the server has taken note of the failure, and each from
// there on gives one byte.
type deaf struct {
	net.Conn
	reads int // the reader's
	lost  atomic.Bool
	once  sync.Once
	noted chan struct{}
}

var errLeft = errors.New("the client has left")

func (d *deaf) Write([]byte) (int, error) {
	d.lost.Store(true)
	return 0, errLeft
}

func (d *deaf) SetReadDeadline(t time.Time) error {
	if d.lost.Load() {
		d.once.Do(func() { close(d.noted) })
	}
	return d.Conn.SetReadDeadline(t)
}

func (d *deaf) Read(b []byte) (int, error) {
	if d.reads++; d.reads == 1 {
		return io.ReadFull(d.Conn, b[:len("hello")])
	}
	<-d.noted
	return d.Conn.Read(b[:1])
}

func TestLastWordsAreTakenInThoughTheirClientReadsNoMore(t *testing.T) {
	h := serve(t, Options{Wrap: func(c net.Conn) net.Conn {
		return &deaf{Conn: c, noted: make(chan struct{})}
	}})
	c := h.dial(t)
	say(t, c, "hello")
	e := <-h.conns
	say(t, c, "last words")
	c.Close()
	if err := <-h.closed; !errors.Is(err, errLeft) {
		t.Errorf("closed with %v", err)
	}
	if want := len("hello") + len("last words"); e.fed != want {
		t.Errorf("%d bytes were taken in, should be %d", e.fed, want)
	}
}

func TestLastWordsEndWhereThereIsNoRoomForThem(t *testing.T) {
	h := serve(t, Options{BytesMax: 100, Wrap: func(c net.Conn) net.Conn {
		return &deaf{Conn: c, noted: make(chan struct{})}
	}})
	c := h.dial(t)
	say(t, c, "hello")
	e := <-h.conns
	say(t, c, "?more") // the first owes all that may be, and is never answered
	c.Close()
	if err := <-h.closed; !errors.Is(err, errLeft) {
		t.Errorf("closed with %v", err)
	}
	if want := len("hello") + len("?"); e.fed != want {
		t.Errorf("%d bytes were taken in, should be %d", e.fed, want)
	}
}

func TestReadingStopsWhileTooMuchIsOwed(t *testing.T) {
	for name, o := range map[string]Options{
		"the connection": {BytesMax: 100},
		"the node":       {Budget: NewBudget(100)},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, o)
			c := h.dial(t)
			say(t, c, "?")
			e := <-h.conns
			for fed := 0; fed == 0; time.Sleep(time.Millisecond) {
				e.w.Lock()
				fed = e.fed
				e.w.Unlock()
			}
			say(t, c, "held")
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if n, err := c.Read(make([]byte, 9)); n > 0 || err == nil {
				t.Fatal("it read on although it owes too much")
			}
			e.w.Lock()
			e.w.Owe(-100)
			e.w.Unlock()
			hear(t, c, "held")
		})
	}
}

func TestASilentHandshakeEnds(t *testing.T) {
	h := serve(t, Options{Handshake: 20 * time.Millisecond})
	c := h.dial(t)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("got %v", err)
	}
	if err := <-h.closed; core.KindOf(err) != core.Unavailable {
		t.Fatalf("closed with %v", err)
	}
}

func TestShutdownSaysGoodbyeAndWaits(t *testing.T) {
	h := serve(t, Options{})
	c := h.dial(t)
	say(t, c, "x")
	hear(t, c, "x")
	go func() { _, _ = io.Copy(io.Discard, c) }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-h.closed; err != nil {
		t.Fatalf("closed with %v", err)
	}
	if h.Conns() != 0 {
		t.Fatal("a connection is left")
	}
}

func TestShutdownResetsWhoWasNotHeardYet(t *testing.T) {
	h := serve(t, Options{})
	nc := h.dial(t)
	<-h.conns
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := nc.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client reads %d bytes and %v, not a reset", n, err)
	}
}

func TestConnectionsAboveTheMaximumAreClosed(t *testing.T) {
	h := serve(t, Options{ConnsMax: 1})
	c := h.dial(t)
	say(t, c, "x")
	hear(t, c, "x")
	d := h.dial(t)
	_ = d.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := d.Read(make([]byte, 1)); err == nil {
		t.Fatal("a second connection was served")
	}
}

func TestTheSameOverTLS(t *testing.T) {
	h := serve(t, Options{TLS: selfSigned(t)})
	c := tls.Client(h.dial(t), &tls.Config{InsecureSkipVerify: true})
	say(t, c, "hello")
	hear(t, c, "hello")
	say(t, c, "!")
	hear(t, c, "bye")
	if e := <-h.conns; e.w.Info().TLS == nil {
		t.Fatal("the connection does not know that it is encrypted")
	}
}

func selfSigned(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestAHeldConnectionIsNotReadUntilItIsLetGo(t *testing.T) {
	h := serve(t, Options{})
	c, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(s string) {
		t.Helper()
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, len(s))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != s {
			t.Fatalf("%q came back: %v", b, err)
		}
	}
	say("one")
	e := <-h.conns
	e.w.Lock()
	e.w.Hold(true)
	e.w.Unlock()
	say("two") // was being awaited already
	if _, err := c.Write([]byte("three")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Fatalf("%d bytes came from a held connection", n)
	}
	_ = c.SetReadDeadline(time.Time{})
	e.w.Lock()
	e.w.Hold(false)
	e.w.Unlock()
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "three" {
		t.Fatalf("%q came back: %v", b, err)
	}
}
