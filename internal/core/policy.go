package core

import "fmt"

// Commit says when an append holds, which is also what readers may see.
type Commit uint8

// The rules of Commit.
const (
	CommitLeader   Commit = iota // the leader has it
	CommitInSync                 // every in-sync copy has it
	CommitMajority               // a majority of the voters has flushed it (Raft)
)

// Election says who may lead next.
type Election uint8

// The rules of Election.
const (
	ElectNone     Election = iota // nobody: the stream waits for its node
	ElectInSync                   // an in-sync copy, the longest in sync first
	ElectAny                      // an in-sync copy, else any: may lose what was acknowledged
	ElectMajority                 // who wins a majority's votes (Raft)
)

// Flush says what a copy has done when it says that it has an entry.
type Flush uint8

// The rules of Flush.
const (
	FlushLazy Flush = iota // written: it is in the page cache
	FlushEach              // on disk
)

// Policy says how a stream is kept. Only the named points are accepted: use one
// of the constructors, or Mode.
type Policy struct {
	Copies    int // asked for, 1 to 7; min(Copies, living nodes) are made
	MinInSync int // with fewer copies in sync nothing commits; 0 under majority
	Commit    Commit
	Election  Election
	Flush     Flush
}

// Single is one copy that nobody replaces. On which node it lives (a classic
// queue's home) is Definition.At, not the policy's business.
func Single(f Flush) Policy { return Policy{1, 1, CommitLeader, ElectNone, f} }

// Mirror is n copies of which every one in sync holds what was acknowledged.
func Mirror(n int, f Flush) Policy { return Policy{n, 1, CommitInSync, ElectInSync, f} }

// Majority is n copies under Raft.
func Majority(n int) Policy { return Policy{n, 0, CommitMajority, ElectMajority, FlushEach} }

// InSync is n copies, of which min must be in sync for anything to commit.
func InSync(n, min int, f Flush) Policy { return Policy{n, min, CommitInSync, ElectInSync, f} }

// Primary is a copy that acknowledges alone and n-1 that follow; nobody replaces it.
func Primary(n int, f Flush) Policy { return Policy{n, 1, CommitLeader, ElectNone, f} }

// Pair is n copies that acknowledge together and elect nobody.
func Pair(n, min int, f Flush) Policy { return Policy{n, min, CommitInSync, ElectNone, f} }

// Raft says whether the stream is replicated by majority.
func (p Policy) Raft() bool { return p.Commit == CommitMajority }

// Mode names the point that p is: single, mirror, majority, insync, primary or
// pair, or "" where p is no accepted point.
func (p Policy) Mode() string {
	elects := p.Election == ElectInSync || p.Election == ElectAny
	switch {
	case p.Copies < 1 || p.Copies > 7 || p.MinInSync < 0 || p.MinInSync > 7:
		return ""
	case p.Commit == CommitMajority && p.Election == ElectMajority && p.Flush == FlushEach:
		return "majority"
	case p.Commit == CommitLeader && p.Election == ElectNone && p.Copies == 1 && p.MinInSync <= 1:
		return "single"
	case p.Commit == CommitLeader && p.Election == ElectNone && p.MinInSync <= 1:
		return "primary"
	case p.Commit == CommitInSync && p.Election == ElectNone:
		return "pair"
	case p.Commit == CommitInSync && elects && p.MinInSync <= 1:
		return "mirror"
	case p.Commit == CommitInSync && elects:
		return "insync"
	}
	return ""
}

// Check refuses a policy that is no accepted point.
func (p Policy) Check() error {
	if p.Mode() == "" {
		return &Error{Op: "check policy", Kind: Invalid,
			Detail: fmt.Sprintf("%+v is none of the accepted modes", p)}
	}
	return nil
}
