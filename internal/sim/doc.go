// Package sim is a whole cluster in one goroutine: shards and journals as they are in
// production, over clocks, disks and a network that one seed decides.
//
//	heap of events ─▶ node: shard.Step ─▶ turn ─┬▶ disk (journal over MemFS), later Flushed
//	      ▲                                     ├▶ network (link's bytes), later Message
//	      │                                     ├▶ clients: answers, lends
//	      └───────── faults, by the seed ◀──────┘   and the timer
//
// A run has a safety phase, in which anything may fail, and a liveness phase, in
// which all faults end and the survivors must serve again. The same seed gives the
// same trace, byte for byte.
package sim
