package shard

import "trine/internal/core"

// Kind says what an Event is.
type Kind uint8

// The kinds of Event.
const (
	Tick     Kind = iota // WakeAt has come
	Message              // Peer said Msg
	LinkUp               // both connections to Peer stand, handshake done
	LinkDown             // they ended; Gone says whether a redial was refused or met another run
	Asked                // a front end asks
	Flushed              // write ID is complete, as its road says
	Failed               // write or load ID failed: Err
	Loaded               // load ID is complete: Found
	Began                // the disk let go what stream ID had below Start
	Room                 // the disk has hardly room for more (Gone), or room again
)

// Event is one thing that happened. It is a value: logged, counted, replayed.
type Event struct {
	Kind  Kind
	Peer  core.Peer
	ID    uint64
	Gone  bool
	Msg   core.Message
	Ask   *Ask
	Found []core.Entry
	Start core.Offset
	Err   error
}

// Ask is what a front end asks, one of its groups of fields set, with whom to tell.
type Ask struct {
	Appends []core.Append
	Settles []core.Settle

	Read     *core.Read
	ReadDone func([]core.ReadAnswer)

	Find     *core.Find
	FindDone func(core.Found, error)

	Trim     *core.Trim
	TrimDone func(core.Offset, error)

	Attach *core.Attach
	Holder core.Holder
	Credit *core.Credit
	Detach *core.DetachAsk // Consumer.Incarnation is filled in here

	Inspect     *core.InspectAsk
	InspectDone func(core.QueueInfo, error)

	Purge     *core.PurgeAsk
	PurgeDone func(int64, error)

	Define     *core.Definition
	Name       string // of the stream to alter or remove
	Alter      *core.Alteration
	StreamDone func(*core.Stream, error) // of Define and Alter

	Remove bool
	IfID   core.StreamID

	Put     []core.Change
	PutDone func(core.Revision, error)

	Move []core.NodeID

	Sync bool
	Stop bool // hand over what is led, then say Done

	ForwardDone *ForwardDone // the front end has routed what a queue gave up

	Done func(error) // of Attach, Detach, Remove, Move, Sync, Stop
}

// ForwardDone says that a Forward was routed, or why not.
type ForwardDone struct {
	Stream core.StreamID
	Epoch  core.Epoch
	Offset core.Offset
	Err    error
}

// Send is a message to a peer.
type Send struct {
	To   core.NodeID
	Lane core.Lane
	Msg  core.Message
}

// Answer tells an asker an outcome. Deliver it on the loop, after the turn.
type Answer struct {
	Appender core.Appender
	Token    uint64
	Appended core.Appended
	Settler  core.Settler
	Err      error
	Do       func() // any other answer
}

// Deliver calls whoever waits.
func (a *Answer) Deliver() {
	switch {
	case a.Appender != nil:
		a.Appender.Appended(a.Token, a.Appended, a.Err)
	case a.Settler != nil:
		a.Settler.Settled(a.Token, a.Err)
	case a.Do != nil:
		a.Do()
	}
}

// Lent hands a consumer of this node what it was lent, in order.
type Lent struct {
	Holder  core.Holder
	Lends   []core.Lend
	Drained *core.DrainedCredit
	Ended   *core.EndedAttachment
}

// Deliver calls the holder.
func (l *Lent) Deliver() {
	switch {
	case l.Drained != nil:
		l.Holder.Drained(l.Drained.Consumer, l.Drained.Ready)
	case l.Ended != nil:
		l.Holder.Ended(l.Ended.Consumer, &core.Error{Op: "consume", Kind: l.Ended.Kind})
	default:
		l.Holder.Lent(l.Lends)
	}
}

// View is what changed in what this node can answer at once, for every goroutine.
type View struct {
	Streams   []*core.Stream // new or changed
	Gone      []*core.Stream // removed
	Documents []core.Document
	Nodes     []core.NodeInfo // nil: unchanged; else all
}

// Turn is what a Step decided. The node reuses it. Its parts may be carried out in
// any order: what must wait for a disk waits for Flushed. Only View comes first,
// so that nobody who was answered finds less than the answer implied.
type Turn struct {
	View     View
	Writes   []core.Write
	Loads    []core.Load
	Sends    []Send
	Answers  []Answer
	Lends    []Lent
	Forwards []core.Forward // on the leader; the answer comes back as ForwardDone
	Dials    []core.NodeID  // call these nodes at once, and again every few ms
	Log      []Note         // what an operator should read
	Stop     error          // not nil: this process must end, for this reason
	WakeAt   core.Time      // a Tick is due then; 0: none
}

// Note is a line for the operator's log.
type Note struct {
	Level int // as log/slog counts: -4 debug, 0 info, 4 warn, 8 error
	Text  string
	Args  []any
}

// Reset empties the turn and keeps its memory.
func (t *Turn) Reset() {
	*t = Turn{Writes: emptied(t.Writes), Loads: emptied(t.Loads), Sends: emptied(t.Sends),
		Answers: emptied(t.Answers), Lends: emptied(t.Lends), Forwards: emptied(t.Forwards),
		Dials: t.Dials[:0], Log: emptied(t.Log)}
}

// keptMost is how long a slice may be that is kept for the next turn: what a rare turn
// needed, ten thousand streams that change their leader, is not kept for ever.
const keptMost = 2048

func emptied[T any](ts []T) []T {
	if cap(ts) > keptMost {
		return nil
	}
	clear(ts)
	return ts[:0]
}

// Config is what a shard starts with.
type Config struct {
	Self      core.Peer // Node, Disk and Incarnation of this run
	Rack      string
	Addresses map[string]string // registered in the catalog: core.NodeInfo.Addresses
	Peers     []core.NodeID     // the nodes named beside it; empty: it forms a cluster alone
	Cluster   uint64            // of the cluster that was formed or found
	Voters    []core.Member     // the first voters of the catalog, as Join found them; what the disk knows wins
	Disk      core.DiskReport
	Seed      uint64 // of the shard's own pseudo-random numbers
	Options   Options
}

// Options are the shard's times and bounds; zero fields take the defaults.
type Options struct {
	Beat         core.Time // 100 ms: between heartbeats
	Silence      core.Time // 1 s: without a heartbeat a node is suspected
	Lease        core.Time // 1 s: counted from the sending of a heartbeat that a majority answered
	LagMax       core.Time // 10 s: a copy that lags longer leaves the in-sync set
	TailBytes    int       // 4 MiB: of a stream's tail in memory, checked when it checkpoints
	CopyBytesMax int       // 8 MiB a second and stream: limit of filling a copy; 0: none
	MoveBytesMax int
}
