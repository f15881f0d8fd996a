package queue

import "trine/internal/core"

// Effects is what follows from all that happened since the last Turn. It is reused.
type Effects struct {
	Propose  []byte // one EntryQueue to append, or nil; Lost where that was not possible
	Lends    []Lending
	Drained  []Drained
	Ended    []Ended
	Forwards []Forwarding
	WakeAt   core.Time // a Turn is due then, without anything happening; 0: none
	Used     bool      // a consumer came, or one that stands aside asked for a message
	Unused   bool      // the last consumer left
	Idle     bool      // the queue was not used for as long as its settings say: it is to go
}

// Lending is a message that a consumer gets. Who carries it out fetches its bytes.
type Lending struct {
	Consumer core.Consumer
	Node     core.NodeID
	Offset   core.Offset
	Returned int32 // how often it was returned
	Again    bool  // it may have been lent before
}

// Drained says that a consumer's credit was taken back, as it asked.
type Drained struct {
	Consumer core.Consumer
	Node     core.NodeID
	Ready    int64
}

// Ended says that the queue ended an attachment.
type Ended struct {
	Consumer core.Consumer
	Node     core.NodeID
	Why      core.Kind
}

// Forwarding is a message that the queue gives up, for its front end to route.
type Forwarding struct {
	Offset core.Offset
	Why    core.ForwardReason
	Count  int32 // how often it was returned
}

func (e *Effects) reset() {
	*e = Effects{Lends: e.Lends[:0], Drained: e.Drained[:0], Ended: e.Ended[:0],
		Forwards: e.Forwards[:0]}
}
