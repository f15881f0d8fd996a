// Package queue decides who gets which message.
//
// A Queue is a deterministic machine over one stream: the same entries, applied in
// the same order, lead every copy to the same state. It holds no message bodies,
// only offsets into the stream, and those as ranges: what is alike costs nothing.
//
//	              credit              Settle(Accept)
//	batch → ready ───────────→ lent ──────────────────────→ gone
//	  │      ↑  │               │ │                          ↑
//	  │      │  │  Return, ─────┘ │ Reject, too many returns │
//	  │ due  │  │  Detach         ↓                          │ Forwarded
//	  └→ delayed└─────────────→ given up ────────────────────┘
//	         expired, over length, purged
//
// Facts and decisions. What Apply does is fact: it is in the log, equal on every
// copy, and in the checkpoint. What the other methods do is decision: the leader's
// alone, in memory, and it becomes fact through the entry that Turn proposes. Copies
// never decide again what the leader decided; settings and clocks have a say in
// decisions only. Facts are: which offsets are live, their priorities and stamps,
// counts of returns, what was given up and why, which settlements of which session
// were taken, and the ceiling.
//
// Lends are no facts. Instead nothing at or above the ceiling is lent, and the
// ceiling is raised 4,096 messages ahead: after a change of leader all that is live
// below it counts as lent before, until Attach says who holds it.
//
// A message that was returned is ready at once, and its count is on its way through
// the log; a message that was settled, or given up, is in no place until that holds.
// What was given up is forwarded only when the log says that it was given up.
//
// Entries of a queue (core.EntryQueue): a version byte, then sections of
// {tag byte, uvarint length, body}; see facts.go. The checkpoint: see Encode.
//
// Bytes are those of records' values, known exactly while a queue is short and as
// averages of neighbours when it has thousands of batches; see spans.go.
package queue
