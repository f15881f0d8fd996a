package core

// ConsumerID names a consumer for as long as the node's run lasts. The front end
// draws it: unique among its node's consumers.
type ConsumerID uint64

// Consumer names a consumer in the cluster.
type Consumer struct {
	Incarnation Incarnation
	ID          ConsumerID
}

// Attach asks a queue to lend messages to a consumer.
type Attach struct {
	Stream    StreamID
	Consumer  ConsumerID
	Messages  int32  // credit: how many may be lent; -1: any number
	Bytes     int64  // credit in bytes; one message always fits; 0: 1 MiB
	Renew     bool   // a settlement gives its message's credit back; bytes come back with Credit alone
	Settled   bool   // what is lent counts as accepted at once
	Exclusive bool   // Locked where another consumer is attached, and for later ones
	Priority  int32  // higher first, while it has credit
	Aside     bool   // takes single messages with Credit: no rule and no count of consumers sees it
	Tag       string // shown by Inspect
}

// Lend is one message in a consumer's hands.
type Lend struct {
	Consumer ConsumerID
	Offset   Offset
	Returned int32  // how often it was returned before
	Again    bool   // it may have been lent before: "redelivered"
	Try      uint32 // the attachment it was lent to: the nodes' own, not for front ends
	Record   Record
}

// Holder is told what one consumer gets, in order, by the node's loop; it must
// not block.
type Holder interface {
	Lent(lends []Lend)
	// Drained answers a Credit with Drain: nothing further comes until new credit.
	// Ready counts the messages that remain.
	Drained(c ConsumerID, ready int64)
	// Ended says that the attachment is over although nobody detached it: the queue
	// was removed, or another took it. What was lent has gone back.
	Ended(c ConsumerID, err error)
}

// Credit gives a consumer more to be lent.
type Credit struct {
	Stream   StreamID
	Consumer ConsumerID
	Messages int32 // added; may be negative
	Bytes    int64 // added
	Drain    bool  // lend what can be lent now, take back the rest of the credit, say Drained
	Stop     bool  // it is a consumer no longer, but keeps what it holds until it settles or detaches
}

// Outcome is what became of a lent message.
type Outcome uint8

// The outcomes.
const (
	Accept  Outcome = 1 + iota // done with: it is gone
	Return                     // give it to anyone again, in its old place; counted
	Release                    // the same, not counted: it was never looked at
	Reject                     // given up: forwarded where the queue forwards, else gone
)

// Verdict settles the lent messages among the offsets From to To, both included.
type Verdict struct {
	From, To Offset
	Outcome  Outcome
}

// Settle settles what a consumer holds. Messages that it does not hold, or no
// longer holds, are passed over.
type Settle struct {
	Stream   StreamID
	Consumer ConsumerID
	Verdicts []Verdict
	To       Settler // told when the settlement holds; nil: nobody
	Token    uint64
}

// Settler is told outcomes of settlements by the node's loop; it must not block.
type Settler interface {
	Settled(token uint64, err error)
}

// QueueInfo is what a queue says of itself.
type QueueInfo struct {
	Ready     int64
	Lent      int64
	Bytes     int64 // of ready messages
	Consumers []ConsumerInfo
}

// ConsumerInfo is one attachment.
type ConsumerInfo struct {
	Consumer
	Node     NodeID
	Tag      string
	Active   bool
	Credit   int32
	Lent     int64
	Settled  bool
	Priority int32
}

// Forward is a message that its queue gives up; the front end that owns the
// stream's name routes it, on the leader, at least once, and the offset is
// settled once done was called with nil.
type Forward struct {
	Stream *Stream
	Offset Offset
	Why    ForwardReason
	Count  int32 // returns so far
	Record Record
}

// ForwardReason says why a message is given up.
type ForwardReason uint8

// The reasons.
const (
	ForwardRejected ForwardReason = 1 + iota
	ForwardExpired
	ForwardOverLength
	ForwardDeliveryLimit
)
