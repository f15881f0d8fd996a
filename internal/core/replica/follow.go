package replica

import "trine/internal/core"

// heldMax is how many messages of an epoch that is not assigned yet are kept back.
// The leader sends again what is dropped.
const heldMax = 16

// follow takes a leader's message.
func (c *following) follow(m *core.Replicate) {
	switch {
	case !c.assigned || m.Epoch > c.asg.Epoch:
		if len(c.held) < heldMax {
			c.held = append(c.held, m)
		}
	case m.Epoch < max(c.asg.Epoch, c.floor, c.tail.LastEpoch()):
		c.send(&core.Replicate{Type: core.RepAppendAnswer, To: m.From, Index: m.Index, Reject: true,
			Hint: c.tail.Last(), LogEpoch: c.tail.LastEpoch()})
	case c.leads || m.From != c.asg.Leader:
	case m.Type == core.RepCheckpoint:
		c.take(m)
	default:
		c.match(m)
	}
}

// match takes entries after (m.Index, m.LogEpoch). m.Hint is where the leader's
// log ended when its epoch began: behind it, nothing older than the epoch stands.
func (c *following) match(m *core.Replicate) {
	prev, es := m.Index, m.Entries
	if prev < c.tail.base {
		// What a checkpoint covers held, so the leader has it too; if it was elected
		// without having to, it finds out from the answer.
		n := min(int(c.tail.base-prev), len(es))
		prev, es = prev+core.Index(n), es[n:]
		if prev < c.tail.base {
			c.agree(c.tail.base, m)
			return
		}
	} else if epoch, ok := c.tail.EpochAt(prev); !ok || epoch != m.LogEpoch {
		c.disagree(m)
		return
	}
	for len(es) > 0 {
		epoch, ok := c.tail.EpochAt(es[0].Index)
		if !ok {
			break
		}
		if epoch != es[0].Epoch {
			c.cut(es[0].Index)
			break
		}
		prev, es = prev+1, es[1:]
	}
	c.tail.append(es...)
	prev += core.Index(len(es))
	fresh := len(es) > 0
	behind := max(prev, m.Hint) + 1
	if epoch, ok := c.tail.EpochAt(behind); ok && epoch < m.Epoch {
		c.cut(behind)
	}
	c.agree(prev, m)
	if fresh && c.matched > c.disk.persisted {
		c.ackDue = c.disk.persisted > c.acked // else once they are written
	}
}

// agree says that the log is the leader's up to an index.
func (c *following) agree(to core.Index, m *core.Replicate) {
	c.matched = max(c.matched, to)
	c.level = c.level || c.matched >= max(m.Hint, m.Commit)
	c.committed = max(c.committed, min(m.Commit, to))
	c.ackDue = true
}

// disagree answers that the logs differ at m.Index, with the last place where they
// may be equal.
func (c *following) disagree(m *core.Replicate) {
	hint := agreeing(&c.tail, min(m.Index, c.tail.Last()), m.LogEpoch)
	epoch, _ := c.tail.EpochAt(hint)
	c.send(&core.Replicate{Type: core.RepAppendAnswer, To: m.From, Index: m.Index, Reject: true,
		Hint: hint, LogEpoch: epoch})
}

// agreeing gives the last index up to i at which t and a log that has the given
// epoch at i can be equal: epochs never fall along a log. It is one below the
// checkpoint's where the tail has none.
func agreeing(t *Tail, i core.Index, epoch core.Epoch) core.Index {
	for ; i >= t.base; i-- {
		if e, ok := t.EpochAt(i); ok && e <= epoch {
			return i
		}
	}
	return max(0, t.base-1)
}

// cut removes the entries from i on. Only after an election that asked for no
// in-sync copy can entries be among them that held.
func (c *following) cut(i core.Index) {
	c.tail.cut(i)
	c.disk.cutting(i)
	c.disk.state = &core.HardState{Epoch: c.asg.Epoch, Commit: min(c.committed, i-1)}
	c.committed, c.applied = min(c.committed, i-1), min(c.applied, i-1)
	c.matched = min(c.matched, i-1)
}

// take replaces the log by a checkpoint, unless it is there already. m.Reject: the
// checkpoint counts even against what held here.
func (c *following) take(m *core.Replicate) {
	cp := m.Checkpoint
	if cp == nil {
		return
	}
	if !m.Reject {
		epoch, ok := c.tail.EpochAt(cp.Index)
		if cp.Index < c.tail.base || ok && epoch == cp.Epoch {
			c.agree(max(cp.Index, c.tail.base), m)
			return
		}
	}
	c.tail.restore(cp)
	c.disk.installing(cp)
	c.disk.state = &core.HardState{Epoch: c.asg.Epoch, Commit: cp.Index}
	c.cp, c.committed, c.applied = cp, cp.Index, cp.Index
	c.matched, c.acked, c.level = cp.Index, 0, false
	c.ackDue = true
}

// ack answers the leader with what is on this disk.
func (c *following) ack() {
	i := min(c.matched, c.disk.persisted)
	epoch, _ := c.tail.EpochAt(i)
	c.ackDue, c.acked = false, i
	m := &core.Replicate{Type: core.RepAppendAnswer, To: c.asg.Leader, Index: i, LogEpoch: epoch}
	if c.hurt {
		m.Vote = c.cfg.Self
	}
	c.send(m)
}
