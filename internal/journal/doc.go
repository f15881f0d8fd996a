// Package journal keeps everything that a node has on one data disk.
//
//	              WriteEach                       WriteLazy
//	                  |                               |
//	each road: one log for all streams      lazy road: each stream's own
//	group commit, one flush a call          segment, in the page cache
//	                  |                               |
//	          wal/NNNNNNNN.wal                seg/NNNNNNNNNNNNNNNN.seg
//	                  |                               ^
//	                Clean  -- 64 KiB a stream or more -+
//	                  |
//	                  +---- less, and checkpoints --> pack/NNNNNNNNNNNNNNNN.pack
//	                  |
//	           overwritten again
//
// The road belongs to the stream. Votes, cuts, rules and all else that must not be
// forgotten go through the log on either road. docs/FORMAT.md draws every byte.
//
// What is flushed and cannot be read back is damage: it is reported with file and
// offset and the streams concerned are left to be repaired from their peers; nothing
// is cut silently. What was never flushed and is bad is a torn end, and is cut. The
// log tells the two apart by its witness: every write names the highest sequence that
// is known to be flushed. A failed flush ends the journal: nothing is tried again.
//
// Everything of the disk that a run may depend on comes through one seam, FS, the free
// space and the kernel's boot id among it, so that a simulated disk is a whole one:
//
//	OSFS        the machine's files
//	VolatileFS  those, but what was not flushed is lost with the process
//	MemFS       files in memory, of a disk that can lose its power
//	FaultFS     any of these, with faults as told
//
// The bytes (frame.go, log.go, codec.go) know neither files nor streams at hand: what is
// read is believed only after its CRC fits, and no length before the bytes are there.
//
// An idle stream costs a struct of a few hundred bytes: no goroutine, no open file,
// no buffer. The package starts no goroutine and reads no clock.
package journal
