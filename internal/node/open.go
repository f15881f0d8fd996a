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
	roomEvery  = 100 * time.Millisecond
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

// clean is the cleaner's goroutine; Close waits for its end. It tells the loop, too,
// whether there is room.
func (n *Node) clean() {
	defer n.diskWait.Done()
	tick, look := time.NewTicker(cleanEvery), time.NewTicker(roomEvery)
	defer tick.Stop()
	defer look.Stop()
	for cramped := false; ; {
		if c := n.disk.Cramped(); c != cramped {
			cramped = c
			n.log.Warn("room on the disk", "dir", n.cfg.Dir, "cramped", c)
			n.inbox.put(shard.Event{Kind: shard.Room, Gone: c})
		}
		select {
		case <-n.stop:
			return
		case <-look.C:
			continue
		case <-tick.C:
		}
		if err := n.disk.Clean(n.now().Wall, cleanBytes); err != nil {
			n.log.Error("clean the data directory", "err", err)
		}
	}
}
