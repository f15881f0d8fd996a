package core

import "fmt"

// Kind cuts errors by what is known of the outcome, which is what a retry needs.
type Kind uint8

// The kinds of Error. Up to Shut nothing was done; Unknown alone may have been.
const (
	OK          Kind = iota
	Invalid          // the request can never succeed as sent
	NotExist         // no such stream, document or consumer
	Exist            // it exists already, otherwise than asked
	Conflict         // the expected revision or epoch is not the present one
	NotLeader        // another node leads; Error.Leader may name it
	NoLeader         // nobody leads at present, or nobody may
	Fenced           // the sender's epoch or session is over
	Refused          // too few copies are in sync; nothing was appended
	OutOfRange       // the offset is below the first or above the last
	OutOfOrder       // a producer's sequence has a gap
	Duplicate        // a producer's sequence was seen, too long ago to say where
	Locked           // somebody else has it exclusively
	TooLarge         // a limit on size forbids it
	Full             // the disk or a budget is full
	Denied           // the principal may not
	Shut             // this node is stopping
	Unknown          // it was sent or appended, and may survive or be lost
	Unavailable      // not now, and nothing was done: try again
)

var kindTexts = [...]string{"ok", "invalid", "not found", "exists already", "changed meanwhile", "not the leader",
	"no leader", "fenced", "too few copies in sync", "offset out of range", "sequence out of order",
	"duplicate sequence", "locked", "too large", "full", "denied", "shutting down", "outcome unknown", "unavailable"}

func (k Kind) String() string {
	if int(k) < len(kindTexts) {
		return kindTexts[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is the only error that crosses the seam.
type Error struct {
	Op     string // what was tried: "append"
	Name   string // to what: a stream's or document's name
	Kind   Kind
	Detail string // what is known beside the kind
	Leader NodeID // with NotLeader: who leads, if known
	Epoch  Epoch  // with NotLeader and Fenced: the epoch known here
	Err    error  // the cause
}

// LimitReached is the Detail of a Full whose reason is the stream's own limit: the disk
// has room.
const LimitReached = "queue length limit"

// Error gives `operation "subject": kind: detail: cause`.
func (e *Error) Error() string {
	s := e.Op
	if e.Name != "" {
		s += fmt.Sprintf(" %q", e.Name)
	}
	s += ": " + e.Kind.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives an error's kind: OK for nil, Unknown for a foreign error.
func KindOf(err error) Kind {
	if err == nil {
		return OK
	}
	for e := err; e != nil; {
		if c, ok := e.(*Error); ok {
			return c.Kind
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return Unknown
}

// Assert panics when a rule of the program's own is broken; it never judges input.
func Assert(ok bool, rule string, args ...any) {
	if !ok {
		panic("broken rule: " + fmt.Sprintf(rule, args...))
	}
}
