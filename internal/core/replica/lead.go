package replica

import "trine/internal/core"

// What a leader is doing for another copy.
const (
	probe   = iota // asks where the logs agree, one message at a time
	flow           // sends ahead of the answers
	install        // has sent the checkpoint
)

const (
	retryAfter   = 500 * core.Millisecond // without an answer: ask again; doubled each time
	retryMost    = 4 * core.Second
	retries      = 8                // without an answer: wait for Reconnected or a message
	installAfter = 30 * core.Second // without an answer: send the checkpoint again
	wishAfter    = core.Second      // without a change: wish again
	answerAfter  = 5 * core.Second  // without an answer: wish again
	deniedMax    = 3                // wishes refused: wait for Reconnected or an Assign
	caughtWithin = core.Second      // a copy that lags less is caught up, where nobody waits for it
)

// peer is what the leader knows of another copy.
type peer struct {
	disk   core.DiskID
	inSync bool // the catalog says so
	adding bool // wished in, and the catalog's word is not known yet
	asked  int  // wishes to add that were not answered: any may yet be taken
	took   bool // one of them was taken since the last Assign
	wishAt core.Time
	denied int // wishes to add that were refused since Reconnected, or since one was taken

	state   uint8
	down    bool // does not answer: left alone
	waiting bool // probe, install: for the answer
	match   core.Index
	next    core.Index
	told    core.Index // the committed index that it was sent
	tries   int
	waitAt  core.Time // when the oldest unanswered message was sent, or the last answer came

	flights []flight
	bytes   int // in flight

	caughtAt core.Time  // it then had everything
	mark     core.Index // the log ended here at markAt
	markAt   core.Time
	hurt     bool // it says that its disk lacks something
	force    bool // its log departs from the leader's below its checkpoint
}

type flight struct {
	last core.Index
	size int
}

// counts says whether an entry must be on this copy to hold: if the catalog has it in
// sync, or may come to have it so before this leader hears of it.
func (p *peer) counts() bool { return p.inSync || p.adding || p.asked > 0 }

func (p *peer) probe(next core.Index) {
	p.state, p.waiting, p.next = probe, false, next
	p.flights, p.bytes = nil, 0
}

// setPeers makes the list of the other copies what the catalog says.
func (c *following) setPeers() {
	var peers []peer
	for _, m := range c.asg.Members {
		if m.Disk == c.cfg.Self {
			continue
		}
		p := peer{disk: m.Disk, next: c.tail.Last() + 1, caughtAt: c.now, waitAt: c.now}
		if old := c.peer(m.Disk); old != nil {
			p = *old
		}
		if m.InSync != p.inSync || p.took && p.asked == 0 {
			p.adding, p.wishAt, p.denied = false, 0, 0
			p.caughtAt = c.now
		}
		p.took = false
		p.inSync = m.InSync
		peers = append(peers, p)
	}
	c.peers = peers
}

func (c *following) peer(d core.DiskID) *peer {
	for i := range c.peers {
		if c.peers[i].disk == d {
			return &c.peers[i]
		}
	}
	return nil
}

func (c *following) inSync() int {
	n := 0
	for _, m := range c.asg.Members {
		if m.InSync || m.Disk == c.asg.Leader {
			n++
		}
	}
	return n
}

func (c *following) minInSync() int {
	if c.asg.Policy.Commit == core.CommitLeader {
		return 1
	}
	return max(1, min(c.asg.Policy.MinInSync, c.asg.Policy.Copies))
}

// commit moves the committed index by the policy's rule.
func (c *following) commit() {
	n := c.disk.persisted
	if c.asg.Policy.Commit != core.CommitLeader {
		if c.inSync() < c.minInSync() {
			return
		}
		for i := range c.peers {
			if p := &c.peers[i]; p.counts() {
				n = min(n, p.match)
			}
		}
	}
	c.committed = max(c.committed, n)
}

// feed sends to a copy what it lacks, as far as its window allows.
func (c *following) feed(p *peer) {
	if p.down || p.waiting {
		return
	}
	if p.force || p.next <= c.tail.base {
		c.sendCheckpoint(p)
		return
	}
	if p.state == probe {
		c.sendAppend(p, nil)
		p.waiting = true
		return
	}
	last := c.tail.Last()
	if c.stated != 0 && c.stating() {
		last = min(last, c.start)
	}
	for p.next <= last && p.bytes < c.cfg.InflightBytesMax {
		es := c.tail.Slice(p.next, last, c.cfg.MessageBytesMax)
		size := 0
		for i := range es {
			size += es[i].Size()
		}
		if len(p.flights) == 0 {
			p.waitAt = c.now
		}
		c.sendAppend(p, es)
		p.next += core.Index(len(es))
		p.flights = append(p.flights, flight{p.next - 1, size})
		p.bytes += size
	}
}

func (c *following) sendAppend(p *peer, es []core.Entry) {
	epoch, _ := c.tail.EpochAt(p.next - 1)
	p.told = c.committed
	c.send(&core.Replicate{Type: core.RepAppend, To: p.disk, Index: p.next - 1, LogEpoch: epoch,
		Commit: c.committed, Hint: c.start, Entries: es})
	if p.state == probe {
		p.waitAt = c.now
	}
}

func (c *following) sendCheckpoint(p *peer) {
	cp := c.cp
	if cp == nil {
		cp = &core.Checkpoint{Gen: c.cfg.Gen}
	}
	p.state, p.waiting, p.waitAt, p.told = install, true, c.now, cp.Index
	p.flights, p.bytes = nil, 0
	c.send(&core.Replicate{Type: core.RepCheckpoint, To: p.disk, Index: cp.Index,
		LogEpoch: cp.Epoch, Commit: c.committed, Checkpoint: cp, Reject: p.force})
}

// answered takes a copy's answer to an append or a checkpoint.
func (c *following) answered(m *core.Replicate) {
	p := c.peer(m.From)
	if p == nil {
		return
	}
	if p.down {
		p.down = false
		p.probe(c.tail.Last() + 1)
	}
	p.tries = 0
	if m.Reject {
		c.rejected(p, m)
		return
	}
	epoch, known := c.tail.EpochAt(m.Index)
	if m.Index > c.tail.Last() || known && epoch != m.LogEpoch {
		p.force = true // it kept as held what this log does not have
		p.probe(m.Index)
		return
	}
	if p.state == install {
		if m.Index < c.tail.base {
			return // an answer from before the checkpoint
		}
		p.force = false
	}
	p.match = max(p.match, m.Index)
	p.waitAt = c.now
	if p.state != flow {
		p.state, p.waiting = flow, false
		p.next = max(p.match+1, min(p.next, c.tail.Last()+1))
	}
	p.next = max(p.next, p.match+1)
	for len(p.flights) > 0 && p.flights[0].last <= p.match {
		p.bytes -= p.flights[0].size
		p.flights = p.flights[1:]
	}
	p.hurt = m.Vote == p.disk
	c.mark(p)
	c.commit()
	c.wish(p)
}

// rejected looks for the place where the logs agree.
func (c *following) rejected(p *peer, m *core.Replicate) {
	if p.state == install || p.state == probe && m.Index != p.next-1 {
		return // not the answer to what was asked last
	}
	asked := p.state == probe
	p.probe(agreeing(&c.tail, min(m.Hint, c.tail.Last()), m.LogEpoch) + 1)
	if epoch, ok := c.tail.EpochAt(m.Hint); asked && ok && epoch == m.LogEpoch {
		p.state = flow // equal there, so equal below
	}
}

// mark keeps account of when a copy last had everything.
func (c *following) mark(p *peer) {
	switch last := c.tail.Last(); {
	case p.match >= last:
		p.caughtAt, p.mark = c.now, 0
	case p.mark != 0 && p.match >= p.mark:
		p.caughtAt, p.mark, p.markAt = p.markAt, last, c.now
	case p.mark == 0:
		p.mark, p.markAt = last, c.now
	}
}

func (c *following) lag(p *peer) core.Time {
	if p.match >= c.tail.Last() {
		return 0
	}
	return c.now - p.caughtAt
}

// wish asks the catalog to count a copy, or to count it no longer.
func (c *following) wish(p *peer) {
	patience := wishAfter
	if p.asked > 0 {
		patience = answerAfter
	}
	if p.wishAt != 0 && c.now-p.wishAt < patience {
		return
	}
	switch {
	case p.inSync && (p.hurt || c.lag(p) > c.cfg.LagMax):
		c.wishes = append(c.wishes, InSyncChange{Epoch: c.asg.Epoch, Disk: p.disk})
		p.wishAt = c.now
	case !p.inSync && !p.hurt && (p.adding || c.caughtUp(p)):
		c.wishes = append(c.wishes, InSyncChange{Epoch: c.asg.Epoch, Disk: p.disk, Add: true})
		p.adding, p.wishAt = true, c.now
		p.asked++
	}
}

// caughtUp says whether a copy has all that holds, and where the epoch began.
func (c *following) caughtUp(p *peer) bool {
	if p.state != flow || p.match < c.start {
		return false
	}
	return p.match >= c.committed ||
		c.asg.Policy.Commit == core.CommitLeader && c.lag(p) < caughtWithin
}

func (c *following) Wished(w InSyncChange, taken bool) {
	p := c.peer(w.Disk)
	if p == nil || !w.Add || w.Epoch != c.asg.Epoch || p.asked == 0 {
		return
	}
	p.asked--
	p.took = p.took || taken
	p.adding = p.adding && (p.asked > 0 || p.took)
	if p.denied++; taken {
		p.denied = 0
	}
}

// tickPeer asks again what was not answered, and tells what holds.
func (c *following) tickPeer(p *peer) {
	c.wish(p)
	if p.down {
		return
	}
	patience := min(retryAfter<<p.tries, retryMost)
	if p.state == install {
		patience = installAfter
	}
	switch {
	case (p.waiting || len(p.flights) > 0) && c.now-p.waitAt >= patience:
		if p.tries++; p.tries > retries {
			p.down = true
			return
		}
		p.probe(c.tail.Last() + 1)
		p.waitAt = c.now
	case p.state == flow && len(p.flights) == 0 && p.told < c.committed && p.next > c.tail.base:
		c.sendAppend(p, nil)
	}
}

func (c *following) Reconnected(now core.Time, disk core.DiskID) {
	c.now = max(c.now, now)
	if p := c.peer(disk); p != nil {
		p.down, p.tries, p.match, p.waitAt, p.mark = false, 0, 0, c.now, 0
		p.denied = 0
		p.probe(c.tail.Last() + 1)
	}
}

func (c *following) quiet() bool {
	if !c.leads {
		return true
	}
	for i := range c.peers {
		p := &c.peers[i]
		done := p.state == flow && p.match == c.tail.Last() && p.told == c.committed
		waits := p.inSync == p.hurt && !p.down && p.denied < deniedMax // to be in sync
		if p.adding || waits || !done && (p.inSync || !p.down) {
			return false
		}
	}
	return c.yield == 0
}

func (c *following) Progress(now core.Time) []Progress {
	if !c.leads {
		return nil
	}
	c.now = max(c.now, now)
	var ps []Progress
	for _, m := range c.asg.Members {
		if m.Disk == c.cfg.Self {
			ps = append(ps, Progress{Disk: m.Disk, Match: c.disk.persisted, InSync: true})
		} else if p := c.peer(m.Disk); p != nil {
			ps = append(ps, Progress{Disk: m.Disk, Match: p.match, InSync: p.inSync, Lag: c.lag(p)})
		}
	}
	return ps
}
