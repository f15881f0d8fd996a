package drill

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echo answers what it reads, and gives its listener.
func echo(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends when l is closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c) // ends with the connection
		}
	}()
	return l
}

func proxied(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := NewProxy("127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func call(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say writes one byte and reads it back.
func say(c net.Conn, max time.Duration) error {
	c.SetDeadline(time.Now().Add(max))
	if _, err := c.Write([]byte{7}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestAnOpenProxyPassesBytesAndTheEnd(t *testing.T) {
	p := proxied(t, echo(t).Addr().String())
	c := call(t, p)
	if err := say(c, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Delay(50*time.Millisecond, 30*time.Millisecond)
	began := time.Now()
	if err := say(c, 5*time.Second); err != nil || time.Since(began) < 80*time.Millisecond {
		t.Fatalf("it came back after %v: %v", time.Since(began), err)
	}
}

func TestASilentProxySwallowsAndEndsNothing(t *testing.T) {
	p := proxied(t, echo(t).Addr().String())
	c := call(t, p)
	if err := say(c, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(Silent); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c, call(t, p)} {
		if err := say(c, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a silent connection says %v", err)
		}
	}
	if err := p.Set(Open); err != nil {
		t.Fatal(err)
	}
	if err := say(c, 5*time.Second); err == nil {
		t.Fatal("a connection that lost bytes goes on")
	}
	if err := say(call(t, p), 5*time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestAResetProxyRefusesUntilItIsOpen(t *testing.T) {
	p := proxied(t, echo(t).Addr().String())
	c := call(t, p)
	if err := say(c, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(Reset); err != nil {
		t.Fatal(err)
	}
	if err := say(c, 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a reset connection says %v", err)
	}
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dialling: %v", err)
	}
	if err := p.Set(Open); err != nil {
		t.Fatal(err)
	}
	if err := say(call(t, p), 5*time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestAProxyRefusesForADeadTarget(t *testing.T) {
	l := echo(t)
	p := proxied(t, l.Addr().String())
	l.Close()
	// This call tells the proxy. It may be taken and ended, or reset with the listener.
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		_ = say(c, 5*time.Second)
	}
	end := time.Now().Add(5 * time.Second)
	for {
		c, err := net.Dial("tcp", p.Addr())
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			c.Close()
		}
		if time.Now().After(end) {
			t.Fatal("calls are taken for a target that is gone")
		}
		time.Sleep(time.Millisecond)
	}
	again, err := net.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for {
		c, err := net.Dial("tcp", p.Addr())
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("it does not come back with its target")
		}
		time.Sleep(time.Millisecond)
	}
}
