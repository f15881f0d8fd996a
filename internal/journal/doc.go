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
// An idle stream costs a struct of a few hundred bytes: no goroutine, no open file,
// no buffer. The package starts no goroutine and reads no clock.
package journal
