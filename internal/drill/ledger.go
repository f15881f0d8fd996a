package drill

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Outcome is what a producer was told of one message.
type Outcome uint8

// The outcomes of a Send.
const (
	Unknown Outcome = iota // nothing, or an error that may hide a success
	Acked
	Refused // it was said not to be there
)

// Send is one message of one producer. Times count from the start of the load.
type Send struct {
	Producer int
	Seq      int64 // from 1, without gaps
	Outcome  Outcome
	At       time.Duration // of the outcome
}

// Got is one message read back, or one delivery from a queue.
type Got struct {
	Producer int
	Seq      int64
	Part     string // partition or queue
	Offset   int64  // its place there; -1: none is known
	At       time.Duration
	Again    bool          // it was flagged as delivered before
	Settled  time.Duration // when it was settled; -1: not
}

// Ledger is what clients were told in one run. Safe for any goroutine.
type Ledger struct {
	run   string
	start time.Time

	mu     sync.Mutex
	sends  map[int][]Send // by producer; Seq-1 is the place
	gots   []Got
	errors map[string]int
	drop   func(Send) bool // tests plant a loss with it
}

// NewLedger begins a ledger. The run's name tells its messages from others.
func NewLedger(run string) *Ledger {
	return &Ledger{run: run, start: time.Now(), sends: map[int][]Send{}, errors: map[string]int{}}
}

// Now is the time since the load began.
func (l *Ledger) Now() time.Duration { return time.Since(l.start) }

// Next numbers a producer's next message and gives the body to send.
func (l *Ledger) Next(producer int) (int64, []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := int64(len(l.sends[producer])) + 1
	l.sends[producer] = append(l.sends[producer], Send{Producer: producer, Seq: seq})
	return seq, fmt.Appendf(nil, "%s %d %d", l.run, producer, seq)
}

// Told notes the outcome of a message. An error is Unknown unless refused says that
// the message is known not to be there.
func (l *Ledger) Told(producer int, seq int64, err error, refused bool) {
	at := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.sends[producer][seq-1]
	s.At = at
	switch {
	case err == nil && s.Outcome != Refused:
		s.Outcome = Acked
	case refused:
		s.Outcome = Refused
	}
	if err != nil {
		l.errors[label(err)]++
	}
}

// Fail notes an error that a client's API gave, of no message in particular.
func (l *Ledger) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors[label(err)]++
}

// label makes one line of an error that many others share.
func label(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i > 0 && len(s)-i > 12 {
		s = s[i+2:]
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '#'
		}
		return r
	}, s[:min(len(s), 100)])
}

// Read notes a message read back and says whether it is of this run and new in its
// place. It gives the place of the delivery, for Settled.
func (l *Ledger) Read(body []byte, part string, offset int64, again bool) (int, bool) {
	f := strings.Fields(string(body))
	if len(f) != 3 || f[0] != l.run {
		return 0, false
	}
	p, err1 := strconv.Atoi(f[1])
	seq, err2 := strconv.ParseInt(f[2], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	at := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gots = append(l.gots, Got{p, seq, part, offset, at, again, -1})
	return len(l.gots) - 1, true
}

// Settled notes that a delivery's settlement was handed to the broker.
func (l *Ledger) Settled(place int) {
	at := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gots[place].Settled = at
}

// Missing counts acknowledged messages that were not read back yet.
func (l *Ledger) Missing() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	type id struct {
		p int
		s int64
	}
	got := make(map[id]bool, len(l.gots))
	for _, g := range l.gots {
		got[id{g.Producer, g.Seq}] = true
	}
	n := 0
	for _, ss := range l.sends {
		for _, s := range ss {
			if s.Outcome == Acked && !got[id{s.Producer, s.Seq}] {
				n++
			}
		}
	}
	return n
}

// Count gives how many messages were read back so far.
func (l *Ledger) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.gots)
}

// Evidence is what a run leaves for its verdict.
type Evidence struct {
	Sends  []Send
	Gots   []Got
	Errors map[string]int
}

// Evidence gives a copy of what is known.
func (l *Ledger) Evidence() Evidence {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Evidence{Errors: map[string]int{}}
	for p := 0; len(e.Sends) < l.total(); p++ {
		e.Sends = append(e.Sends, l.sends[p]...)
	}
	type place struct {
		part   string
		offset int64
		p      int
		seq    int64
	}
	seen := map[place]bool{}
	for _, g := range l.gots {
		if l.drop != nil && l.drop(Send{Producer: g.Producer, Seq: g.Seq}) {
			continue
		}
		// The same offset twice is one message that a client read twice.
		if at := (place{g.Part, g.Offset, g.Producer, g.Seq}); g.Offset < 0 || !seen[at] {
			seen[at] = true
			e.Gots = append(e.Gots, g)
		}
	}
	for k, v := range l.errors {
		e.Errors[k] = v
	}
	return e
}

func (l *Ledger) total() (n int) {
	for _, ss := range l.sends {
		n += len(ss)
	}
	return n
}
