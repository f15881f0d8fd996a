package drill

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// State is what a Proxy does with what passes.
type State uint8

// The states of a Proxy.
const (
	Open   State = iota
	Silent       // takes connections and bytes, and passes nothing on
	Reset        // resets what is there and refuses what comes
)

// Proxy leads one node's connections to another. It is owned by the drill.
type Proxy struct {
	listen, target string

	mu                 sync.Mutex
	changed            *sync.Cond
	state              State
	toDelay, fromDelay time.Duration // towards the target, and back
	l                  net.Listener  // nil while it refuses
	conns              map[net.Conn]bool
	closed             bool
	wait               sync.WaitGroup
}

// NewProxy begins to listen.
func NewProxy(listen, target string) (*Proxy, error) {
	p := &Proxy{listen: listen, target: target, conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p, p.accept()
}

// accept listens; the caller holds mu.
func (p *Proxy) accept() error {
	l, err := net.Listen("tcp", p.listen)
	if err != nil {
		return fmt.Errorf("listen for a proxy: %w", err)
	}
	p.l, p.listen = l, l.Addr().String()
	p.wait.Go(func() { // ends when l is closed; Close waits
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wait.Go(func() { p.serve(c) }) // ends with the connection; Close waits
		}
	})
	return nil
}

// Addr is where to call.
func (p *Proxy) Addr() string { return p.listen }

// Set changes what happens to connections, those that are there too.
func (p *Proxy) Set(s State) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.state
	p.state = s
	p.changed.Broadcast()
	if s == Reset && p.l != nil {
		p.l.Close()
		p.l = nil
		p.resetAll()
	}
	if s == Open && was == Silent {
		p.resetAll() // bytes were swallowed: these connections are of no use
	}
	if s == Open && was == Reset && p.l == nil && !p.closed {
		return p.accept()
	}
	return nil
}

// Delay holds what passes back for so long: to the target, and from it.
func (p *Proxy) Delay(to, from time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.toDelay, p.fromDelay = to, from
}

func (p *Proxy) resetAll() {
	for c := range p.conns {
		reset(c)
	}
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// Close ends everything and waits.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	if p.l != nil {
		p.l.Close()
		p.l = nil
	}
	p.resetAll()
	p.changed.Broadcast()
	p.mu.Unlock()
	p.wait.Wait()
}

// keep notes a connection, or resets it where none may be.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.state == Reset {
		reset(c)
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	reset(c)
}

func (p *Proxy) serve(c net.Conn) {
	if !p.keep(c) {
		return
	}
	defer p.drop(c)
	p.awaitSpeech()
	up, err := net.DialTimeout("tcp", p.target, time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) {
		p.refuse()
	}
	if err != nil || !p.keep(up) {
		return
	}
	defer p.drop(up)
	both := make(chan struct{}, 2)
	go func() { p.pass(up, c, true); both <- struct{}{} }()  // ends with either
	go func() { p.pass(c, up, false); both <- struct{}{} }() // connection: waited for below
	<-both
	reset(c)
	reset(up)
	<-both
}

// refuse stops listening until the target listens again: who calls a dead process
// is refused, not taken and dropped.
func (p *Proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.l == nil || p.closed {
		return
	}
	p.l.Close()
	p.l = nil
	p.wait.Go(func() { // ends when the target answers, or with Close
		for {
			c, err := net.DialTimeout("tcp", p.target, time.Second)
			if err == nil {
				c.Close()
			}
			p.mu.Lock()
			if p.closed || p.state == Reset || p.l != nil {
				p.mu.Unlock()
				return
			}
			if err == nil && p.accept() == nil {
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			time.Sleep(refusedPoll)
		}
	})
}

// refusedPoll is how often a dead target is tried.
const refusedPoll = 5 * time.Millisecond

// awaitSpeech waits while the proxy is silent: nothing is heard of what happens.
func (p *Proxy) awaitSpeech() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.state == Silent && !p.closed {
		p.changed.Wait()
	}
}

// chunk is what was read, and when it may go on; b nil: the end of what comes.
type chunk struct {
	b   []byte
	due time.Time
}

// chunksMax is how many chunks one direction of a connection holds back.
const chunksMax = 4096

// pass carries bytes one way, each as late as the delay says, and the end as they.
func (p *Proxy) pass(to, from net.Conn, forth bool) {
	line := make(chan chunk, chunksMax)
	done := make(chan struct{})
	go func() { // ends with the chunk that says so; waited for below
		defer close(done)
		var err error
		for c := range line {
			if d := time.Until(c.due); d > 0 && err == nil {
				time.Sleep(d)
			}
			if c.b != nil && err == nil && p.open() {
				if _, err = to.Write(c.b); err != nil {
					reset(from)
				}
			}
		}
		p.awaitSpeech()
		reset(to)
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		due := time.Now().Add(p.delay(forth))
		if n > 0 {
			line <- chunk{append([]byte(nil), buf[:n]...), due}
		}
		if err != nil {
			line <- chunk{nil, due}
			break
		}
	}
	close(line)
	<-done
}

// open says whether bytes pass; while the proxy is silent they are swallowed.
func (p *Proxy) open() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == Open
}

func (p *Proxy) delay(forth bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if forth {
		return p.toDelay
	}
	return p.fromDelay
}
