package drill

import (
	"errors"
	"fmt"
	"slices"
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
	Soft    // RocketMQ: the master has it, its slave has not; nothing is promised
)

// Send is one message of one producer. Times count from the start of the load, that
// of all modes of a series.
type Send struct {
	Producer int
	Seq      int64 // from 1, without gaps
	Outcome  Outcome
	At       time.Duration // of the outcome
	got      bool          // it was read back
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

	mu      sync.Mutex
	sends   map[int][]Send // by producer; Seq-1 is the place
	gots    []Got
	missing int             // acknowledged, not read back
	acks    []time.Duration // when messages were acknowledged, in order
	fails   []time.Duration // when a client's API gave an error
	errors  map[string]int
	stalled int             // messages that a consumer was not given, another was
	drop    func(Send) bool // tests plant a loss with it
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
	l.mu.Lock()
	defer l.mu.Unlock()
	outcome := Unknown
	switch {
	case err == nil:
		outcome = Acked
	case refused:
		outcome = Refused
	}
	l.outcome(producer, seq, outcome)
	if err != nil {
		l.fail(err)
	}
}

// Soft notes that the master has a message and its slave has not: no error of the
// client's API, and no promise. what is the answer's name.
func (l *Ledger) Soft(producer int, seq int64, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome(producer, seq, Soft)
	l.errors[what]++
}

// outcome sets what became of a message; the caller holds mu.
func (l *Ledger) outcome(producer int, seq int64, o Outcome) {
	s := &l.sends[producer][seq-1]
	if s.Outcome == Refused && o == Acked {
		return // returned first, confirmed then
	}
	s.At, s.Outcome = l.Now(), o
	if o == Acked || o == Soft {
		l.acks = append(l.acks, s.At)
	}
	if o == Acked && !s.got {
		l.missing++
	}
}

// Fail notes an error that a client's API gave, of no message in particular.
func (l *Ledger) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail(err)
}

func (l *Ledger) fail(err error) {
	l.fails = append(l.fails, l.Now())
	l.errors[label(err)]++
}

// LastAck is when the latest acknowledgement came; -1: none did.
func (l *Ledger) LastAck() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.acks) == 0 {
		return -1
	}
	return l.acks[len(l.acks)-1]
}

// Measured gives the gaps of a window that has just ended.
func (l *Ledger) Measured(w Window) Gaps {
	l.mu.Lock()
	defer l.mu.Unlock()
	return measure(l.acks, l.fails, w)
}

// label makes one line of an error that many others share.
func label(err error) string {
	var coded interface{ code() string }
	if errors.As(err, &coded) {
		return coded.code()
	}
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i > 0 && len(s)-i > 12 {
		s = s[i+2:]
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '#'
		}
		return r
	}, strings.TrimSuffix(s[:min(len(s), 100)], `"`))
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
	if ss := l.sends[p]; seq > 0 && seq <= int64(len(ss)) && !ss[seq-1].got {
		ss[seq-1].got = true
		if ss[seq-1].Outcome == Acked {
			l.missing--
		}
	}
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
	return l.missing
}

// Stalled notes messages that a consumer waited for in vain, and another was given.
func (l *Ledger) Stalled(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = n
}

// Count gives how many messages were read back so far.
func (l *Ledger) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.gots)
}

// Evidence is what a run leaves for its verdict.
type Evidence struct {
	Sends   []Send
	Gots    []Got
	Errors  map[string]int
	Fails   []time.Duration // when a client's API gave an error
	Stalled int             // messages that a consumer waited for in vain, and another was given
}

// Evidence gives a copy of what is known.
func (l *Ledger) Evidence() Evidence {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Evidence{Errors: map[string]int{}, Fails: slices.Clone(l.fails), Stalled: l.stalled}
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
