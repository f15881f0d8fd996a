// Package group decides what groups of consumers are told: the classic group
// protocol of Kafka, and the offsets that groups commit. It does nothing: what is
// to be written is given out with an id, and is true once the id comes back.
//
//	          join of the first                all have joined, or time is up
//	Empty ──────────────────▶ PreparingRebalance ───────────────▶ CompletingRebalance
//	  ▲                         ▲    │ nobody is left                  │ the leader's
//	  └─────────────────────────┼────┘                                 │ assignment is written
//	                            │ join, leave, silence                 ▼
//	                            └─────────────────────────────────── Stable
//
// A Coordinator has the groups of one partition of the offsets topic. What it
// knows follows from that partition's records, which are Kafka's own (kmsg's
// GroupMetadata and OffsetCommit keys and values): who leads the partition next
// reads them and goes on. Members that were known then are given a session anew.
package group
