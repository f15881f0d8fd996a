package core

// EntryKind says what an entry's data is.
type EntryKind uint8

// The kinds of Entry. All but EntryBatch take no offset.
const (
	EntryBatch   EntryKind = 1 + iota // one record batch v2, of Count records
	EntryQueue                        // facts of a queue: core/queue reads them
	EntryEmpty                        // what a new leader under Raft writes first
	EntryMembers                      // a change of Raft's members
	EntrySeal                         // the last entry under a kind of replication
	EntryCatalog                      // a change of the catalog: core/catalog reads it
	EntryMoved                        // the flush rule changed here: the road to disk is another
	EntryTrim                         // records below the offset in Data (8 bytes) are no longer wanted
)

// Entry is what is replicated. Data is immutable once the entry was proposed and
// shared by disk, link, readers and lends.
//
// An entry takes the offsets Base to Base+Count-1. Count is 0 for all kinds but
// EntryBatch, so that the next entry's Base is always Base+Count. For a batch,
// Base and Epoch also stand in its header (bytes 0-7 and 12-15), where the leader
// wrote them when it proposed.
type Entry struct {
	Index Index
	Epoch Epoch
	Gen   Generation
	Kind  EntryKind
	Base  Offset
	Count int32
	Data  []byte
}

// Next gives the offset that follows the entry.
func (e *Entry) Next() Offset { return e.Base + Offset(e.Count) }

// EntryOverhead is what an entry costs beside its data, in bytes, in every budget.
const EntryOverhead = 64

// Size gives the bytes that the entry counts for in budgets.
func (e *Entry) Size() int { return len(e.Data) + EntryOverhead }

// EpochStart says at which index and offset an epoch began.
type EpochStart struct {
	Epoch Epoch
	Index Index
	Base  Offset
}

// HardState is what a copy must not forget beside its entries: its vote.
type HardState struct {
	Epoch  Epoch
	Vote   DiskID
	Commit Index
}

// Checkpoint is all that a copy needs to go on above Index without what lies
// below: the state derived from the entries up to Index. Its parts are encoded,
// with versions, by the packages that own them.
type Checkpoint struct {
	Index   Index
	Epoch   Epoch // of the entry at Index
	Gen     Generation
	Next    Offset // the offset that the entry after Index takes
	Start   Offset // the first offset that may be read
	Members []byte // core/replica: Raft's ConfState; empty elsewhere
	Memory  []byte // core/stream: epochs, producers, sessions, open spans
	Machine []byte // core/queue or core/catalog: the machine's facts
}
