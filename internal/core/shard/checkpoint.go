package shard

import "trine/internal/core"

// checkpointIfDue writes a checkpoint where the tail has grown beyond its bound.
func (s *Shard) checkpointIfDue(c *copyOf) {
	if c.bytesSince > s.opt.TailBytes {
		s.makeCheckpoint(c)
	}
}

// makeCheckpoint writes down what the copy has applied, after which its entries up
// to there may leave memory.
func (s *Shard) makeCheckpoint(c *copyOf) {
	if c.making || c.filling != nil || c.done == c.checkpoint || c.sealed || s.behind(c) {
		return
	}
	if s.now.Mono-s.beganAt > sessionKeepMs*core.Millisecond {
		c.mem.EndSessions(s.now.Wall-sessionKeepMs, s.runs)
	}
	cp := s.checkpointOf(c)
	w := core.Write{ID: s.id(), Stream: c.id, Road: c.road, Checkpoint: cp}
	if c.q != nil {
		r := c.q.Reclaim(c.next)
		w.Reclaim = &r
	}
	c.making, c.bytesSince = true, 0
	s.writes[w.ID] = writeRef{c: c, checkpoint: cp, write: w}
	s.out.Writes = append(s.out.Writes, w)
}

// sessionKeepMs is how long a stream remembers a run of a node that the catalog does not
// name as the node's present one, and how long this node has to be up to be sure of that:
// it may have the first batch of a new run before it has heard of the run.
const sessionKeepMs = 3_600_000

// runs says whether a session is of a node's present run.
func (s *Shard) runs(x core.Session) bool {
	if x == s.session {
		return true
	}
	for _, n := range s.machine.Nodes() {
		if core.SessionOf(n.Incarnation) == x {
			return true
		}
	}
	return false
}

// checkpointOf gives what the copy has applied.
func (s *Shard) checkpointOf(c *copyOf) *core.Checkpoint {
	cp := &core.Checkpoint{Start: c.start, Memory: c.mem.Encode()}
	c.rep.Checkpoint(cp)
	core.Assert(cp.Index == c.done && cp.Next == c.next, "a checkpoint is of what was applied")
	switch {
	case c == s.agreed:
		cp.Machine = s.encodeCatalog()
	case c.q != nil:
		cp.Machine = c.q.Encode()
	}
	return cp
}

// behind says whether a follower still needs what a checkpoint would let go, and the
// tail is not yet so long that it must go all the same.
func (s *Shard) behind(c *copyOf) bool {
	if !c.leads || c.rep.Tail().Bytes() > 4*s.opt.TailBytes {
		return false
	}
	for _, p := range c.rep.Progress(s.now.Mono) {
		if p.Disk != s.cfg.Self.Disk && p.Match < c.done && s.living(s.nodeOf(p.Disk)) {
			return true
		}
	}
	return false
}
