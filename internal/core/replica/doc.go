// Package replica is one copy of one stream: who may append, and when an append
// holds. Both kinds of replication have one shape, Copy, and the caller, the
// shard, does not know which it has: it calls the copy with what happened and then
// Ready, which says what to write, what to send and what holds.
//
//	              Propose        Step, Tick, Assign        Persisted(write)
//	                 |                  |                        ^
//	                 v                  v                        |
//	tail:  [checkpoint] index+1 ........ committed ..... last  -> Ready.Writes
//	                                                           -> Ready.Sends
//	                                                           -> Ready.Committed
//
// Leader-follower (NewFollowing): the catalog names leader, epoch and in-sync set.
// The leader pushes; an entry holds when the policy's copies have it; logs are
// matched by (index, epoch) and cut where they differ. Nothing is resent on a
// clock while all goes well: the nodes' beats carry liveness.
//
// Majority (NewRaft): go.etcd.io/raft decides. Its storage is the tail alone, so
// no step reads a disk, and its messages travel as core.Replicate.
//
// A copy holds messages that must wait for a write (votes, answers to appends)
// until Persisted of that write. It is used by one caller at a time, starts
// nothing, and reads no clock: the time is passed in.
package replica
