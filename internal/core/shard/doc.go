// Package shard is all that one loop of a node knows and decides, as one pure
// step: the catalog, the copies of streams that live here, the queues over them,
// what this node entered for its clients elsewhere, leases and suspicion.
//
// The node collects events, calls Step, carries out the turn, and calls Step again
// with what came of it. The simulator calls the same Step. A Shard has one caller
// at a time, no clock, no I/O, no goroutine, no lock, and no map order reaches a
// turn: the same events give the same turns.
package shard
