package replica

import "trine/internal/core"

// Copy is one copy of one stream. After any call, or any number of them, the
// caller takes what follows from Ready.
type Copy interface {
	// Step takes a message of another copy. Messages of another generation, or for
	// another disk, are dropped.
	Step(now core.Time, m *core.Replicate)
	// Tick is due every TickEvery while Status().Due says so.
	Tick(now core.Time)
	// Propose appends entries, all or none, on the leader: it fills Index, Epoch,
	// Gen and Base of each, and writes base and epoch into batches, which it owns
	// from then on. It refuses with a *core.Error: NotLeader, NoLeader, or
	// Unavailable (the copy is handing over, or waking: try again when it leads).
	// Nothing was appended then. Whether enough copies are in sync is the caller's
	// to ask first: Status().MinOK.
	Propose(now core.Time, es []core.Entry) error
	// Persisted says that the write of that ID is complete, as its road promises.
	// A write counts as complete once all before it are.
	Persisted(write uint64)
	// Ready gives all that is to be done since the last call; rd is reused. It says
	// false where there is nothing.
	Ready(rd *Ready) bool
	// Applied says that the caller has applied the committed entries up to here.
	// Changes of Raft's members among them take effect here.
	Applied(through core.Index)
	// Checkpoint fills Index, Epoch, Gen, Next and Members of cp as of the last
	// Applied.
	Checkpoint(cp *core.Checkpoint)
	// Compact says that cp is safe on this disk: the tail may drop what lies at or
	// below its Index, and copies that are behind the tail are sent cp.
	Compact(cp *core.Checkpoint)
	// Assign is the catalog's word: once at the start, and after every change.
	Assign(now core.Time, a Assignment)
	// Wished says what the catalog answered to one of Ready.InSync: taken, or
	// refused. It is called once the answer is applied here, before the Assign that
	// follows from it. Each wish is answered once; an unknown outcome is not reported:
	// until the epoch ends the copy then counts, as it may have been taken.
	Wished(c InSyncChange, taken bool)
	// Reconnected says that messages to a disk's node get through again.
	Reconnected(now core.Time, disk core.DiskID)
	// Campaign asks the copy to stand for election now, Forget to no longer believe
	// in a leader whose node is suspected. Leader-follower copies ignore both.
	Campaign(now core.Time)
	Forget(now core.Time, leader core.DiskID)
	// Yield hands the leadership over: to a disk, or (0) to the best copy. Under
	// leader-follower the copy only stops taking proposals, for some seconds or until it
	// is said to itself: the catalog elects.
	Yield(now core.Time, to core.DiskID)
	// Confirm has a Raft leader ask a majority, under a number above those before,
	// whether its epoch is still theirs: Status().Confirmed says so. What is lost on the
	// way is asked again by the caller.
	Confirm(now core.Time, number uint64)
	// Hurt says whether this disk lacks something of the copy, or may. Under
	// leader-follower it then counts no longer as in sync, once others do; under Raft
	// Config.Doubtful says what that means for its vote.
	Hurt(now core.Time, hurt bool)
	Status() Status
	// Progress gives what a leader knows of each copy, in the order of Members;
	// nil on a follower. It allocates: not for every turn.
	Progress(now core.Time) []Progress
	// Tail is the log above the checkpoint. It belongs to the copy: read only.
	Tail() *Tail
}

// TickEvery is the time between two Ticks.
const TickEvery = 100 * core.Millisecond

// Assignment is what the catalog says of a stream. Under Raft Members are the
// wish, and Epoch and Leader are not looked at.
type Assignment struct {
	Gen     core.Generation
	Epoch   core.Epoch
	Leader  core.DiskID // 0: nobody may lead
	Members []core.Member
	Policy  core.Policy

	// Learners are given everything and never vote (Raft); none is also of Members.
	Learners []core.DiskID
}

// Ready is what a copy wants done. The slices are reused by the next Ready call,
// what they point to is not. What is in it may be carried out in any order:
// messages that had to wait for a write are given out after its Persisted.
type Ready struct {
	Writes    []core.Write // Stream is set; the caller sets Road
	Sends     []*core.Replicate
	Committed core.Index     // entries up to here hold; never falls but by an unclean election
	InSync    []InSyncChange // the leader's wishes for the catalog, repeated about every second
	Changed   bool           // Status().Leads, Leader, Epoch, InSync or MinOK may have changed
}

// Reset empties rd and keeps its memory.
func (rd *Ready) Reset() {
	clear(rd.Writes)
	clear(rd.Sends)
	*rd = Ready{Writes: rd.Writes[:0], Sends: rd.Sends[:0], InSync: rd.InSync[:0]}
}

// InSyncChange is a leader's wish that a copy shall count as in sync, or no
// longer. It holds for one epoch only.
type InSyncChange struct {
	Epoch core.Epoch
	Disk  core.DiskID
	Add   bool
}

// Status is what a copy knows of itself. It is cheap to get.
type Status struct {
	Leads     bool        // this copy leads: Propose may succeed
	Leader    core.DiskID // 0: none known
	Epoch     core.Epoch
	Last      core.Index // of this copy's log
	Persisted core.Index // this copy's disk has the log up to here, as the road promises
	Committed core.Index // what is known here to hold
	LogEnd    core.Offset
	InSync    int       // copies that count: the in-sync set, or Raft's active voters
	MinOK     bool      // enough copies are in sync for anything to hold
	Quiet     bool      // no Tick is needed until something else is called, or TickAt
	TickAt    core.Time // of a quiet copy: when the next Tick is due; 0: never
	Caught    bool      // leader: what held under earlier leaders is known to hold here
	Level     bool      // follower: it has all that held when its leader last spoke; Raft: it is not in doubt
	Removed   bool      // Raft: a leader said that this disk is no member any more
	Confirmed uint64    // Raft, leader: the last number under which its epoch was confirmed
}

// Due says whether a Tick is to be given now.
func (s *Status) Due(now core.Time) bool { return !s.Quiet || s.TickAt != 0 && now >= s.TickAt }

// Progress is what a leader knows of one copy.
type Progress struct {
	Disk   core.DiskID
	Match  core.Index // has the leader's log up to here
	InSync bool       // counts for commit; Raft: votes
	Lag    core.Time  // how long ago it last had everything
}

// Config is what a copy starts with. Zero fields take the defaults.
type Config struct {
	Stream core.StreamID
	Self   core.DiskID
	Gen    core.Generation
	Policy core.Policy
	// Members are those with which the stream's generation began, the same on every
	// copy for as long as the generation lasts; a disk that joined later is told
	// them too. Under Raft those with InSync are the first voters.
	Members []core.Member
	// Floor is the least epoch that Raft may be in: the epoch at which the stream
	// took this kind.
	Floor core.Epoch
	// Doubtful: flushed entries may be missing. A Raft copy then votes for nobody
	// until it has caught up with a leader.
	Doubtful bool

	LagMax           core.Time // 10 s: a copy that lags longer is wished out of the in-sync set
	InflightBytesMax int       // 4 MiB: sent to one copy and not answered
	MessageBytesMax  int       // 256 KiB: entries in one message; one larger goes alone
	TailBytesMax     int       // 8 MiB: how much of the tail is kept for copies that lag
	QuietAfter       core.Time // 1 s: without work until a Raft group goes quiet
	// SleepAfter is how long a Raft group is quiet until it gives its state back; <0:
	// never, which is what 0 means for the catalog's stream; 10 s else.
	SleepAfter core.Time
}

func (c *Config) defaults() {
	if c.LagMax == 0 {
		c.LagMax = 10 * core.Second
	}
	if c.InflightBytesMax == 0 {
		c.InflightBytesMax = 4 << 20
	}
	if c.MessageBytesMax == 0 {
		c.MessageBytesMax = 256 << 10
	}
	if c.TailBytesMax == 0 {
		c.TailBytesMax = 8 << 20
	}
	if c.QuietAfter == 0 {
		c.QuietAfter = core.Second
	}
	if c.SleepAfter == 0 {
		if c.SleepAfter = 10 * core.Second; c.Stream == core.CatalogStream {
			c.SleepAfter = -1
		}
	}
}
