package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"trine/internal/core"
)

// This file alone names raft's own messages. An entry is the same in both worlds:
// raft carries term, index and data, and what else core.Entry says is found again
// by (index, epoch), which name an entry for ever.

type (
	raftMessage  = raftpb.Message
	raftEntry    = raftpb.Entry
	raftMembers  = raftpb.ConfState
	raftSnapshot = raftpb.Snapshot
	raftState    = raftpb.HardState
)

const (
	raftAppend       = raftpb.MsgApp
	raftInstall      = raftpb.MsgSnap
	raftStorageWrite = raftpb.MsgStorageAppend
	raftStorageApply = raftpb.MsgStorageApply
)

// fromRaft and toRaft say what is what; types that never travel are not in them.
var fromRaft = map[raftpb.MessageType]core.ReplicateType{
	raftpb.MsgApp:           core.RepAppend,
	raftpb.MsgAppResp:       core.RepAppendAnswer,
	raftpb.MsgVote:          core.RepVote,
	raftpb.MsgVoteResp:      core.RepVoteAnswer,
	raftpb.MsgPreVote:       core.RepPreVote,
	raftpb.MsgPreVoteResp:   core.RepPreVoteAnswer,
	raftpb.MsgHeartbeat:     core.RepHeartbeat,
	raftpb.MsgHeartbeatResp: core.RepHeartbeatAnswer,
	raftpb.MsgSnap:          core.RepCheckpoint,
	raftpb.MsgTimeoutNow:    core.RepTimeoutNow,
}

var toRaft = map[core.ReplicateType]raftpb.MessageType{
	core.RepAppend:          raftpb.MsgApp,
	core.RepAppendAnswer:    raftpb.MsgAppResp,
	core.RepVote:            raftpb.MsgVote,
	core.RepVoteAnswer:      raftpb.MsgVoteResp,
	core.RepPreVote:         raftpb.MsgPreVote,
	core.RepPreVoteAnswer:   raftpb.MsgPreVoteResp,
	core.RepHeartbeat:       raftpb.MsgHeartbeat,
	core.RepHeartbeatAnswer: raftpb.MsgHeartbeatResp,
	core.RepCheckpoint:      raftpb.MsgSnap,
	core.RepTimeoutNow:      raftpb.MsgTimeoutNow,
}

// transferContext is what raft writes into the votes asked for in a transfer.
const transferContext = "CampaignTransfer"

// Transfer says whether m asks for a vote because its leader wished it so: such
// votes are granted in spite of leases.
func Transfer(m *core.Replicate) bool {
	return (m.Type == core.RepVote || m.Type == core.RepPreVote) &&
		string(m.Context) == transferContext
}

// outgoing translates what raft says, but for entries and checkpoint.
func outgoing(m *raftMessage) (*core.Replicate, bool) {
	t, ok := fromRaft[m.Type]
	return &core.Replicate{Type: t, From: core.DiskID(m.From), To: core.DiskID(m.To),
		Epoch: core.Epoch(m.Term), LogEpoch: core.Epoch(m.LogTerm), Index: core.Index(m.Index),
		Commit: core.Index(m.Commit), Reject: m.Reject, Hint: core.Index(m.RejectHint),
		Context: m.Context}, ok
}

// incoming translates what another copy says.
func (c *group) incoming(m *core.Replicate) (raftMessage, bool) {
	t, ok := toRaft[m.Type]
	out := raftMessage{Type: t, From: uint64(m.From), To: uint64(m.To), Term: uint64(m.Epoch),
		LogTerm: uint64(m.LogEpoch), Index: uint64(m.Index), Commit: uint64(m.Commit),
		Reject: m.Reject, RejectHint: uint64(m.Hint)}
	if Transfer(m) {
		out.Context = m.Context
	}
	if len(m.Entries) > 0 {
		out.Entries = make([]raftEntry, len(m.Entries))
		for i := range m.Entries {
			out.Entries[i] = c.entry(&m.Entries[i])
		}
	}
	if t == raftpb.MsgSnap {
		if m.Checkpoint == nil {
			return out, false
		}
		members, err := decodeMembers(m.Checkpoint.Members)
		if err != nil {
			return out, false
		}
		out.Snapshot = snapshotOf(m.Checkpoint, members)
	}
	return out, ok
}

// entry gives raft's view of an entry. Changes of members count only in the
// generation that made them.
func (c *group) entry(e *core.Entry) raftEntry {
	out := raftEntry{Term: uint64(e.Epoch), Index: uint64(e.Index), Data: e.Data}
	if e.Kind == core.EntryMembers && e.Gen == c.cfg.Gen {
		out.Type = raftpb.EntryConfChangeV2
	}
	return out
}

// kindOf says what an entry is that raft made itself.
func kindOf(e *raftEntry) core.EntryKind {
	if e.Type == raftpb.EntryNormal {
		return core.EntryEmpty
	}
	return core.EntryMembers
}

func snapshotOf(cp *core.Checkpoint, members raftMembers) *raftSnapshot {
	return &raftSnapshot{Metadata: raftpb.SnapshotMetadata{Index: uint64(cp.Index),
		Term: uint64(cp.Epoch), ConfState: members}}
}

// membersVersion begins what Checkpoint.Members holds; raft's ConfState follows.
const membersVersion = 1

func encodeMembers(m raftMembers) []byte {
	b, err := m.Marshal()
	core.Assert(err == nil, "members can be encoded: %v", err)
	return append([]byte{membersVersion}, b...)
}

func decodeMembers(b []byte) (raftMembers, error) {
	var m raftMembers
	if len(b) == 0 || b[0] != membersVersion {
		return m, fmt.Errorf("decode members: %d bytes of no known version", len(b))
	}
	if err := m.Unmarshal(b[1:]); err != nil {
		return m, fmt.Errorf("decode members: %w", err)
	}
	seen := map[uint64]bool{0: true}
	for _, id := range append(append([]uint64(nil), m.Voters...), m.Learners...) {
		if seen[id] {
			return m, fmt.Errorf("decode members: disk %x is named twice, or 0", id)
		}
		seen[id] = true
	}
	if len(m.Voters) == 0 || len(m.VotersOutgoing) > 0 || len(m.LearnersNext) > 0 || m.AutoLeave {
		return m, fmt.Errorf("decode members: %d voters, or a joint change, which is never made",
			len(m.Voters))
	}
	return m, nil
}

// change is one step from the members there are to those wished for.
type change uint8

const (
	addLearner change = 1 + iota
	promote
	remove
)

func encodeChange(ch change, d core.DiskID) []byte {
	single := raftpb.ConfChangeSingle{NodeID: uint64(d)}
	switch ch {
	case addLearner:
		single.Type = raftpb.ConfChangeAddLearnerNode
	case promote:
		single.Type = raftpb.ConfChangeAddNode
	case remove:
		single.Type = raftpb.ConfChangeRemoveNode
	}
	b, err := (&raftpb.ConfChangeV2{Changes: []raftpb.ConfChangeSingle{single}}).Marshal()
	core.Assert(err == nil, "a change of members can be encoded: %v", err)
	return b
}

// proposal is the message that asks raft to append an entry of ours.
func (c *group) proposal(es []core.Entry) raftMessage {
	m := raftMessage{Type: raftpb.MsgProp, From: uint64(c.cfg.Self),
		Entries: make([]raftEntry, len(es))}
	for i := range es {
		m.Entries[i] = c.entry(&es[i])
	}
	return m
}

// apply makes raft take a committed change of members.
func (c *group) apply(e *core.Entry) {
	var cc raftpb.ConfChangeV2
	if err := cc.Unmarshal(e.Data); err != nil || len(cc.Changes) != 1 {
		return // not written by this package: every copy passes over it
	}
	if d := cc.Changes[0]; d.Type == raftpb.ConfChangeRemoveNode && len(c.members.Voters) == 1 &&
		c.members.Voters[0] == d.NodeID {
		return // the last voter stays
	}
	c.members = *c.node.ApplyConfChange(cc)
}

// The words that only this node says to its own raft.

func appliedMessage(self core.DiskID, through core.Index) raftMessage {
	return raftMessage{Type: raftpb.MsgStorageApplyResp, To: uint64(self),
		From: raft.LocalApplyThread, Entries: []raftEntry{{Index: uint64(through)}}}
}

func aliveMessage(from core.DiskID, epoch core.Epoch) raftMessage {
	return raftMessage{Type: raftpb.MsgHeartbeatResp, From: uint64(from), Term: uint64(epoch)}
}

func beatMessage(from core.DiskID, epoch core.Epoch, commit core.Index) raftMessage {
	return raftMessage{Type: raftpb.MsgHeartbeat, From: uint64(from), Term: uint64(epoch),
		Commit: uint64(commit)}
}

func standMessage(self core.DiskID, epoch core.Epoch) raftMessage {
	return raftMessage{Type: raftpb.MsgTimeoutNow, From: uint64(self), To: uint64(self),
		Term: uint64(epoch)}
}
