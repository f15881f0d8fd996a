package node

import (
	"time"

	"trine/internal/core"
	"trine/internal/core/shard"
	"trine/internal/journal"
)

// cleanEvery is how often the cleaner looks, and cleanBytes how much it may
// rewrite at a time, so that it takes no disk from those who wait.
const (
	cleanEvery = time.Second
	cleanBytes = 8 << 20
)

func newShard(cfg shard.Config) (stepper, error) { return shard.New(cfg) }

func (n *Node) openJournal() (disk, *core.DiskReport, error) {
	opt := n.cfg.Journal
	opt.Now = func() core.Time { return n.now().Mono }
	opt.Began = func(id core.StreamID, o core.Offset) {
		n.inbox.put(shard.Event{Kind: shard.Began, ID: uint64(id), Start: o})
	}
	if opt.NewDiskID == nil {
		opt.NewDiskID = func() core.DiskID { return core.DiskID(drawID()) }
	}
	j, report, err := journal.Open(n.cfg.FS, n.cfg.Dir, opt)
	if err != nil {
		return nil, nil, err
	}
	return j, report, nil
}

// clean is the cleaner's goroutine; Close waits for its end.
func (n *Node) clean() {
	defer n.diskWait.Done()
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-tick.C:
		}
		if err := n.disk.Clean(n.now().Wall, cleanBytes); err != nil {
			n.log.Error("clean the data directory", "err", err)
		}
	}
}
