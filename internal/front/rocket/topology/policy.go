package topology

import (
	"fmt"

	"trine/internal/core"
	"trine/internal/front/rocket/wire"
)

// Mode is how a broker group keeps its queues, in RocketMQ's words.
type Mode string

// The modes.
const (
	ModeSingle  Mode = "single"  // one copy at one node: several masters
	ModeAsync   Mode = "async"   // a master that acknowledges alone, and a slave
	ModeSync    Mode = "sync"    // master and slave acknowledge; soft answers without the slave
	ModeStrict  Mode = "strict"  // as sync, but refused without the slave
	ModeDLedger Mode = "dledger" // a majority of three
)

// GroupConf is what an operator says of a group.
type GroupConf struct {
	Mode    Mode          `json:"mode"`
	Copies  int           `json:"copies,omitempty"`  // 0: the mode's own number
	Flush   bool          `json:"flush,omitempty"`   // flushed before it is acknowledged
	Nodes   []core.NodeID `json:"nodes,omitempty"`   // the master first; nil: all, its own first
	Promote bool          `json:"promote,omitempty"` // sync, strict: an in-sync slave takes over
}

// Policy gives the policy of a group's queues.
func (g *GroupConf) Policy() core.Policy {
	flush := core.FlushLazy
	if g.Flush {
		flush = core.FlushEach
	}
	copies := func(n int) int {
		if g.Copies > 0 {
			n = g.Copies
		}
		return n
	}
	switch g.Mode {
	case ModeAsync:
		return core.Primary(copies(2), flush)
	case ModeSync, ModeStrict:
		least := 1
		if g.Mode == ModeStrict {
			least = 2
		}
		if g.Promote {
			return core.InSync(copies(2), least, flush)
		}
		return core.Pair(copies(2), least, flush)
	case ModeDLedger:
		return core.Majority(copies(3))
	}
	return core.Single(flush)
}

// Check refuses what is no mode.
func (g *GroupConf) Check() error {
	bad := func(format string, a ...any) error {
		return &core.Error{Op: "set broker group", Kind: core.Invalid, Detail: fmt.Sprintf(format, a...)}
	}
	switch g.Mode {
	case ModeSingle:
		if g.Copies > 1 {
			return bad("mode single has one copy, not %d", g.Copies)
		}
	case ModeAsync, ModeSync, ModeStrict, ModeDLedger:
		if g.Copies < 0 || g.Copies > 7 || g.Copies == 1 {
			return bad("%d copies are not between 2 and 7", g.Copies)
		}
	default:
		return bad("mode %q is none of single, async, sync, strict, dledger", g.Mode)
	}
	if g.Promote && g.Mode != ModeSync && g.Mode != ModeStrict {
		return bad("promotion is for the modes sync and strict")
	}
	return g.Policy().Check()
}

// Elects says whether another node takes over without its operator.
func (g *GroupConf) Elects() bool { return g.Policy().Election != core.ElectNone }

// Stored gives the code of an append that holds: a master of mode sync that was
// alone says so, as a soft acknowledgement.
func (g *GroupConf) Stored(a *core.Appended) int {
	if g.Mode == ModeSync && a.InSync < 2 {
		return wire.SlaveNotAvailable
	}
	return wire.Success
}

// Refused gives the code of an append whose outcome is an error. What may be tried
// elsewhere is SERVICE_NOT_AVAILABLE, the one code on which every client's producer
// retries; it never says that a message was stored unless it was, apart from
// mode sync, whose soft answer FLUSH_SLAVE_TIMEOUT means just this doubt.
func (g *GroupConf) Refused(err error, leads bool) int {
	switch core.KindOf(err) {
	case core.TooLarge, core.Invalid:
		return wire.MessageIllegal
	case core.Denied:
		return wire.NoPermission
	case core.Unknown:
		if g.Mode == ModeSync && leads {
			return wire.FlushSlaveTimeout
		}
	}
	return wire.ServiceNotAvailable
}

// The rules of what is kept.
const (
	keepMs         = 72 * 3600 * 1000 // fileReservedTime
	queuesAuto     = 4                // of a topic that creates itself, a group
	QueuesTemplate = 8                // what the template topic offers
	queuesMax      = 1024             // a group and topic
)

func keepOf() core.Keep { return core.Keep{MsMax: keepMs} }
