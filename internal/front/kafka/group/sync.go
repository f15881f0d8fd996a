package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

func (c *Coordinator) sync(e *Event, q *kmsg.SyncGroupRequest) {
	r := q.ResponseKind().(*kmsg.SyncGroupResponse)
	fail := func(code int16) {
		r.ErrorCode = code
		c.reply(e.ID, r)
	}
	g := c.get(q.Group)
	if g == nil {
		fail(errUnknownMember)
		return
	}
	m, code := g.validate(q.MemberID, q.InstanceID)
	switch {
	case code != errNone:
		fail(code)
		return
	case q.Generation != g.generation:
		fail(errIllegalGeneration)
		return
	case q.ProtocolType != nil && *q.ProtocolType != g.protocolType, q.Protocol != nil &&
		*q.Protocol != g.protocol:
		fail(errInconsistentProtocol)
		return
	}
	switch g.state {
	case PreparingRebalance:
		fail(errRebalanceInProgress)
	case Stable:
		m.synced = true
		c.heard(g, m)
		c.fillSync(g, m, r)
		c.reply(e.ID, r)
	case CompletingRebalance:
		m.answerSync(c, errRebalanceInProgress)
		m.syncingID, m.syncing, m.synced = e.ID, r, true
		if m.id == g.leader {
			c.assign(g, q)
		}
	default:
		fail(errUnknownMember)
	}
}

func (c *Coordinator) fillSync(g *group, m *member, r *kmsg.SyncGroupResponse) {
	r.ErrorCode, r.MemberAssignment = errNone, m.assignment
	r.ProtocolType, r.Protocol = kmsg.StringPtr(g.protocolType), kmsg.StringPtr(g.protocol)
}

// assign writes what the leader decided; it is true once it is written.
func (c *Coordinator) assign(g *group, q *kmsg.SyncGroupRequest) {
	given := map[string][]byte{}
	for i := range q.GroupAssignment {
		given[q.GroupAssignment[i].MemberID] = q.GroupAssignment[i].MemberAssignment
	}
	generation := g.generation
	c.write(g, []core.Record{c.groupRecord(g, given)}, func(code int16) {
		if g.state != CompletingRebalance || g.generation != generation {
			return
		}
		if code != errNone {
			for _, m := range g.members {
				m.answerSync(c, code)
				c.heard(g, m)
			}
			c.maybePrepare(g)
			return
		}
		g.set(c, Stable)
		for _, m := range g.members {
			m.assignment = given[m.id]
			if m.syncing != nil {
				c.fillSync(g, m, m.syncing)
				m.answerSync(c, errNone)
			}
			c.heard(g, m)
		}
	})
}

// assignments gives what the members have now.
func (g *group) assignments() map[string][]byte {
	out := map[string][]byte{}
	for _, m := range g.members {
		out[m.id] = m.assignment
	}
	return out
}

// syncExpired takes out the members that never asked what is theirs.
func (c *Coordinator) syncExpired(g *group) {
	g.syncDeadline = 0
	if g.state != CompletingRebalance && g.state != Stable {
		return
	}
	gone := false
	for _, m := range slices.Clone(g.members) {
		if !m.synced {
			c.removeMember(g, m)
			gone = true
		}
	}
	if gone {
		c.left(g)
	}
}

func (c *Coordinator) heartbeat(e *Event, q *kmsg.HeartbeatRequest) {
	r := q.ResponseKind().(*kmsg.HeartbeatResponse)
	r.ErrorCode = c.heartbeatCode(q)
	c.reply(e.ID, r)
}

func (c *Coordinator) heartbeatCode(q *kmsg.HeartbeatRequest) int16 {
	g := c.get(q.Group)
	if g == nil {
		return errUnknownMember
	}
	m, code := g.validate(q.MemberID, q.InstanceID)
	switch {
	case code != errNone:
		return code
	case q.Generation != g.generation:
		return errIllegalGeneration
	case g.state == Empty:
		return errUnknownMember
	}
	c.heard(g, m)
	if g.state == PreparingRebalance {
		return errRebalanceInProgress
	}
	return errNone
}

func (c *Coordinator) leave(e *Event, q *kmsg.LeaveGroupRequest) {
	r := q.ResponseKind().(*kmsg.LeaveGroupResponse)
	g := c.get(q.Group)
	members := q.Members
	if q.Version < 3 {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = q.MemberID
		members = []kmsg.LeaveGroupRequestMember{m}
	}
	for i := range members {
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID = members[i].MemberID, members[i].InstanceID
		m.ErrorCode = errUnknownMember
		if g != nil {
			m.ErrorCode = c.leaveOne(g, &members[i])
		}
		if q.Version < 3 {
			r.ErrorCode = m.ErrorCode
			break
		}
		r.Members = append(r.Members, m)
	}
	if g != nil {
		c.forgetIfUnused(g)
	}
	c.reply(e.ID, r)
}

func (c *Coordinator) leaveOne(g *group, q *kmsg.LeaveGroupRequestMember) int16 {
	id := q.MemberID
	if q.InstanceID != nil && id == "" {
		id = g.static[*q.InstanceID]
	}
	if _, ok := g.pending[id]; ok && q.InstanceID == nil {
		delete(g.pending, id)
		c.tryCompleteJoin(g)
		return errNone
	}
	m, code := g.validate(id, q.InstanceID)
	if code != errNone {
		return code
	}
	c.removeMember(g, m)
	c.left(g)
	return errNone
}
