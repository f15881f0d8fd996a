package core

// Ack says when an append's own answer leaves.
type Ack uint8

// The levels of Ack.
const (
	AckCommit Ack = iota // when it holds by the stream's policy
	AckLeader            // when the leader has it, written or flushed as the policy says
	AckNone              // when it was handed over
)

// Record is a message between a front end and the core, where no finished batch
// is at hand. Its bytes pass to the core with the call and come back shared:
// whoever gets a Record may not write into it.
type Record struct {
	Stamp   Stamp // -1: when it is appended
	Key     []byte
	Value   []byte
	Headers []Header

	// For queues: what the machine reads. It stands in the record's first header
	// on disk (core/record), and is zero in records that others wrote.
	Priority  uint8
	Expires   Stamp // 0: never
	NotBefore Stamp // 0: at once
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Append asks for one batch or some records to be appended to a stream.
//
// Records of one turn are gathered into one batch by the node where they enter,
// numbered with its session, and sent again to the next leader until they are
// known to hold or known not to: their answer may take as long as the stream has
// no leader. A Batch is sent once; where its outcome cannot be known the answer
// is Unknown.
type Append struct {
	Stream  StreamID
	Ack     Ack
	IfEpoch Epoch    // 0, or the only epoch in which it may be appended
	Batch   []byte   // one finished batch, checked by the front end, owned by the core from here on
	Records []Record // or records to gather
	Here    bool     // NotLeader where this node does not lead, instead of forwarding
	WaitMax Time     // Unknown after so long without an answer; 0: 30 s
	To      Appender // told the outcome; nil: nobody
	Token   uint64   // the caller's own
}

// Appended is the outcome of an Append that holds.
type Appended struct {
	Base   Offset // of its first record; -1 where a repetition's place is no longer known
	Start  Offset // the stream's first offset
	Stamp  Stamp  // when the leader appended it
	Epoch  Epoch
	InSync int // copies in sync when it held
}

// Appender is told outcomes, in order per stream, by the node's loop: it must
// not block and must not call the seam while it holds what its callers hold.
type Appender interface {
	Appended(token uint64, a Appended, err error)
}

// Read asks for batches of one stream or more.
type Read struct {
	Parts    []ReadPart
	BytesMin int  // wait until the parts have so many, together
	BytesMax int  // at most so many, together; the first batch always fits
	Wait     Time // how long to wait for BytesMin
	Stable   bool // up to the stable offset instead of the committed one
	Copy     bool // a copy that does not lead may answer
	Here     bool // NotLeader where no answer can be had on this node, instead of forwarding
}

// ReadPart is one stream's share of a Read.
type ReadPart struct {
	Stream    StreamID
	From      Offset
	BytesMax  int
	IfEpoch   Epoch // 0, or the epoch that the reader believes in
	LastEpoch Epoch // 0, or the epoch of the last record that the reader has: checked for divergence
}

// ReadAnswer is one part's outcome.
type ReadAnswer struct {
	Err       error
	Batches   [][]byte // whole batches; the first may begin below From
	Start     Offset   // the first offset of the stream
	Committed Offset   // readers may see what is below
	Stable    Offset   // and, of spans, only what is below this
	Epoch     Epoch
	Leader    NodeID
	Aborted   []Span
	Diverging *EpochStart // the reader's log diverges: where its epoch ends here
}

// Span is one producer's aborted span of a transaction: records of Producer from
// First on, up to its control batch, do not count.
type Span struct {
	Producer int64
	First    Offset
}

// FindKind says what a Find looks for.
type FindKind uint8

// The kinds of Find.
const (
	FindStart    FindKind = iota // the first offset
	FindEnd                      // the committed offset
	FindStable                   // the stable offset
	FindStamp                    // the first record at or after Stamp
	FindLastest                  // the record with the greatest stamp
	FindEpochEnd                 // where Epoch, or the greatest below it, ends
)

// Find asks where something is.
type Find struct {
	Stream  StreamID
	Kind    FindKind
	Stamp   Stamp
	Epoch   Epoch
	IfEpoch Epoch
	Here    bool
}

// Found is where it is. Offset is -1 where there is none.
type Found struct {
	Offset Offset
	Stamp  Stamp
	Epoch  Epoch
}

// Trim asks that records below Before are no longer read. Before -1 means the
// committed offset.
type Trim struct {
	Stream StreamID
	Before Offset
	Here   bool
}
