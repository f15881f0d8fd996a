package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

func (c *Coordinator) join(e *Event, q *kmsg.JoinGroupRequest) {
	r := q.ResponseKind().(*kmsg.JoinGroupResponse)
	fail := func(code int16, id string) {
		r.ErrorCode, r.Generation, r.MemberID = code, -1, id
		c.reply(e.ID, r)
	}
	g := c.get(q.Group)
	switch {
	case q.Group == "":
		fail(errInvalidGroupID, q.MemberID)
		return
	case q.SessionTimeoutMillis < c.cfg.SessionMsMin || q.SessionTimeoutMillis > c.cfg.SessionMsMax:
		fail(errInvalidSessionTimeout, q.MemberID)
		return
	case g == nil && q.MemberID != "":
		fail(errUnknownMember, q.MemberID)
		return
	}
	if g == nil {
		g = c.make(q.Group)
	}
	switch {
	case c.cfg.SizeMax > 0 && g.find(q.MemberID) == nil &&
		len(g.members)+len(g.pending) >= c.cfg.SizeMax:
		fail(errGroupFull, q.MemberID)
	case !g.supports(q.ProtocolType, q.Protocols):
		fail(errInconsistentProtocol, q.MemberID)
	case q.MemberID == "":
		c.joinNew(g, e, q, r, fail)
	default:
		c.joinKnown(g, e, q, r, fail)
	}
	c.forgetIfUnused(g)
}

// forgetIfUnused drops a group that a refused join made.
func (c *Coordinator) forgetIfUnused(g *group) {
	if g.state == Empty && g.generation == 0 && g.writes == 0 && len(g.members) == 0 &&
		len(g.pending) == 0 && len(g.offsets) == 0 {
		c.drop(g)
	}
}

func newMemberFrom(id string, e *Event, q *kmsg.JoinGroupRequest,
	r *kmsg.JoinGroupResponse) *member {
	m := &member{id: id, instance: q.InstanceID, client: e.Client, host: e.Host}
	m.take(e, q, r)
	return m
}

// take makes the member wait for the rebalance's end, with what it joined with.
func (m *member) take(e *Event, q *kmsg.JoinGroupRequest, r *kmsg.JoinGroupResponse) {
	m.rebalanceMs, m.sessionMs = q.RebalanceTimeoutMillis, q.SessionTimeoutMillis
	if q.Version == 0 {
		m.rebalanceMs = q.SessionTimeoutMillis
	}
	m.protocols = q.Protocols
	m.joiningID, m.joining, m.joinSkips = e.ID, r, q.Version >= 9
}

func (c *Coordinator) joinNew(g *group, e *Event, q *kmsg.JoinGroupRequest,
	r *kmsg.JoinGroupResponse, fail func(int16, string)) {
	switch {
	case q.InstanceID != nil:
		id := *q.InstanceID + "-" + e.Random
		if old, ok := g.static[*q.InstanceID]; ok {
			c.replaceStatic(g, g.find(old), newMemberFrom(id, e, q, r))
			return
		}
		c.add(g, newMemberFrom(id, e, q, r), q.ProtocolType)
	case q.Version >= 4:
		id := e.Client + "-" + e.Random
		at := c.now.Mono + core.Time(q.SessionTimeoutMillis)*core.Millisecond
		g.pending[id] = at
		g.soon(c, at)
		fail(errMemberIDRequired, id)
	default:
		c.add(g, newMemberFrom(e.Client+"-"+e.Random, e, q, r), q.ProtocolType)
	}
}

func (c *Coordinator) joinKnown(g *group, e *Event, q *kmsg.JoinGroupRequest,
	r *kmsg.JoinGroupResponse, fail func(int16, string)) {
	if _, ok := g.pending[q.MemberID]; ok && q.InstanceID == nil {
		delete(g.pending, q.MemberID)
		c.add(g, newMemberFrom(q.MemberID, e, q, r), q.ProtocolType)
		return
	}
	m, code := g.validate(q.MemberID, q.InstanceID)
	if code != errNone {
		fail(code, q.MemberID)
		return
	}
	if m.joining != nil { // an answer that its client no longer waits for
		m.answerJoin(c, errRebalanceInProgress)
	}
	again := m.matches(q.Protocols)
	switch {
	case g.state == Stable && (m.id == g.leader || !again), g.state == CompletingRebalance && !again:
		m.take(e, q, r)
		c.maybePrepare(g)
	case g.state == PreparingRebalance:
		m.take(e, q, r)
		c.tryCompleteJoin(g)
	case g.state == Empty:
		fail(errUnknownMember, q.MemberID)
	default: // it did not hear the answer
		c.heard(g, m)
		c.fillJoin(g, m, r, false)
		c.reply(e.ID, r)
	}
}

// add takes a new member in.
func (c *Coordinator) add(g *group, m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType = protocolType
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	if m.instance != nil {
		g.static[*m.instance] = m.id
	}
	if g.state == PreparingRebalance && g.generation == 0 {
		g.newMember = true
	}
	m.isNew = true
	m.deadline = c.now.Mono + newMemberMs*core.Millisecond
	g.soon(c, m.deadline)
	c.maybePrepare(g)
}

// maybePrepare begins a rebalance if none is in progress.
func (c *Coordinator) maybePrepare(g *group) {
	if g.state != PreparingRebalance && g.state != Dead {
		c.prepare(g)
	}
	c.tryCompleteJoin(g)
}

func (c *Coordinator) prepare(g *group) {
	if g.state == CompletingRebalance {
		for _, m := range g.members {
			m.assignment = nil
			m.answerSync(c, errRebalanceInProgress)
			c.heard(g, m)
		}
	}
	g.syncDeadline = 0
	wait := g.rebalanceTime()
	g.initial = g.state == Empty && c.cfg.InitialDelay > 0
	if g.initial {
		first := min(c.cfg.InitialDelay, max(wait, core.Millisecond))
		g.initialLeft, g.newMember = max(wait-first, 0), false
		wait = first
	}
	g.set(c, PreparingRebalance)
	g.joinDeadline = c.now.Mono + wait
	g.soon(c, g.joinDeadline)
}

// tryCompleteJoin ends the wait for joins if nobody is missing.
func (c *Coordinator) tryCompleteJoin(g *group) {
	if g.state != PreparingRebalance || g.initial || len(g.pending) > 0 {
		return
	}
	for _, m := range g.members {
		if m.joining == nil {
			return
		}
	}
	c.completeJoin(g)
}

func (c *Coordinator) joinExpired(g *group) {
	if g.initial && g.newMember && g.initialLeft > 0 {
		wait := min(c.cfg.InitialDelay, g.initialLeft)
		g.initialLeft, g.newMember = g.initialLeft-wait, false
		g.joinDeadline = c.now.Mono + wait
		return
	}
	c.completeJoin(g)
}

// completeJoin begins the next generation with those who have joined.
func (c *Coordinator) completeJoin(g *group) {
	g.joinDeadline, g.initial = 0, false
	for _, m := range append([]*member(nil), g.members...) {
		if m.joining == nil && m.instance == nil {
			c.removeMember(g, m)
		}
	}
	if len(g.members) > 0 && !g.electLeader() {
		g.joinDeadline = c.now.Mono + max(g.rebalanceTime(), core.Second)
		return // only static members, of whom none has come back yet
	}
	g.generation++
	if len(g.members) == 0 {
		g.protocol, g.leader = "", ""
		g.set(c, Empty)
		c.write(g, []core.Record{c.groupRecord(g, nil)}, func(int16) {})
		return
	}
	g.protocol = g.elect()
	g.set(c, CompletingRebalance)
	for _, m := range g.members {
		m.isNew, m.synced = false, false
		c.heard(g, m)
		if m.joining != nil {
			r := m.joining
			m.joining = nil
			c.fillJoin(g, m, r, false)
			c.reply(m.joiningID, r)
		}
	}
	g.syncDeadline = c.now.Mono + max(g.rebalanceTime(), core.Millisecond)
	g.soon(c, g.syncDeadline)
}

// electLeader makes sure that the leader has joined; false where nobody has.
func (g *group) electLeader() bool {
	if m := g.find(g.leader); m != nil && m.joining != nil {
		return true
	}
	for _, m := range g.members {
		if m.joining != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

// fillJoin writes the present generation into a join's answer.
func (c *Coordinator) fillJoin(g *group, m *member, r *kmsg.JoinGroupResponse, skip bool) {
	r.ErrorCode, r.Generation, r.LeaderID, r.MemberID = errNone, g.generation, g.leader, m.id
	r.ProtocolType, r.Protocol = kmsg.StringPtr(g.protocolType), kmsg.StringPtr(g.protocol)
	r.SkipAssignment = skip
	r.Members = nil
	if m.id != g.leader {
		return
	}
	for _, o := range g.members {
		e := kmsg.NewJoinGroupResponseMember()
		e.MemberID, e.InstanceID, e.ProtocolMetadata = o.id, o.instance, o.metadata(g.protocol)
		r.Members = append(r.Members, e)
	}
}

// replaceStatic gives a static member's place to its next run.
func (c *Coordinator) replaceStatic(g *group, old, m *member) {
	for i := range g.members {
		if g.members[i] == old {
			g.members[i] = m
		}
	}
	g.static[*m.instance] = m.id
	old.answerJoin(c, errFencedInstance)
	old.answerSync(c, errFencedInstance)
	m.assignment, m.synced = old.assignment, old.synced
	wasLeader := g.leader == old.id
	if wasLeader {
		g.leader = m.id
	}
	c.heard(g, m)
	if g.state != Stable || g.elect() != g.protocol {
		c.maybePrepare(g)
		return
	}
	// Nothing changes but the id: it is written, and no rebalance is needed.
	r, id, skips, generation := m.joining, m.joiningID, m.joinSkips, g.generation
	m.joining = nil
	c.write(g, []core.Record{c.groupRecord(g, g.assignments())}, func(code int16) {
		if code != errNone || g.generation != generation {
			r.ErrorCode, r.Generation, r.MemberID = errUnknownMember, -1, m.id
			if code == errNone {
				r.ErrorCode = errRebalanceInProgress
			}
			c.reply(id, r)
			return
		}
		c.fillJoin(g, m, r, wasLeader && skips)
		if wasLeader && !skips { // who does not know of it must not think that it has to assign
			r.LeaderID, r.Members = old.id, nil
		}
		c.reply(id, r)
	})
}

// removeMember takes a member out. What follows from it is the caller's.
func (c *Coordinator) removeMember(g *group, m *member) {
	m.answerJoin(c, errUnknownMember)
	m.answerSync(c, errUnknownMember)
	for i := range g.members {
		if g.members[i] == m {
			g.members = append(g.members[:i:i], g.members[i+1:]...)
			break
		}
	}
	if m.instance != nil && g.static[*m.instance] == m.id {
		delete(g.static, *m.instance)
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// left goes on after a member was taken out.
func (c *Coordinator) left(g *group) {
	switch g.state {
	case Stable, CompletingRebalance:
		c.maybePrepare(g)
	case PreparingRebalance:
		c.tryCompleteJoin(g)
	}
}
