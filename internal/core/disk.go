package core

// Write is what a copy asks of its disk, as one step. All of a stream's Writes are
// carried out in order; the parts of one in the order of its fields.
type Write struct {
	ID     uint64 // returned in the completion
	Stream StreamID
	Road   Flush // FlushEach: complete once flushed; FlushLazy: once written
	Keep   *Keep // the stream's rules from here on; nil: as before

	Remove     bool        // the stream is gone: its bytes may be deleted
	Install    *Checkpoint // everything the copy had is replaced by this checkpoint
	Cut        Index       // 0, or: entries from Cut on are removed
	Entries    []Entry     // appended; contiguous with what is there, or with Install or a Fill
	Fill       bool        // Entries lie below the coming checkpoint and may have gaps
	State      *HardState  // always flushed, on either road
	Checkpoint *Checkpoint // of this copy: what lies at or below its Index may leave the tail
	Trim       Offset      // 0, or: records below are no longer wanted
	Reclaim    *Reclaim    // which records below an offset are still wanted
}

// Reclaim says which records below Below a queue still wants: only those in Keep.
type Reclaim struct {
	Below Offset
	Keep  []OffsetRange
}

// Load asks a copy's disk for committed entries below its tail.
type Load struct {
	ID       uint64
	Stream   StreamID
	ByIndex  bool
	Index    Index // from here, where ByIndex
	ByStamp  bool
	Stamp    Stamp  // from the batch that holds the first record at or after Stamp, where ByStamp
	From     Offset // else from the batch that holds this offset, or the next there is
	BytesMax int    // the first entry always fits
}

// Recovered is what a disk knows of a stream when it is opened.
type Recovered struct {
	Stream     StreamID
	State      HardState
	Checkpoint *Checkpoint // nil: none was made; the tail begins at index 1
	Tail       []Entry     // the entries above it, contiguous
	Road       Flush
	Start      Offset
	Bytes      int64  // on disk
	Damage     string // not empty: bytes that were flushed are not there; what stands here is what is left
}

// DiskReport is what a disk knows of itself when it is opened.
type DiskReport struct {
	Disk     DiskID
	Node     NodeID // the node it is bound to; 0: none yet
	Cluster  uint64 // 0: it is empty
	Clean    bool   // it was closed in order
	SameBoot bool   // the machine has not restarted since it was last written
	Streams  []Recovered
	Damage   []string // damaged places that no stream suffers from: another copy was good, or a write never flushed is torn
}
