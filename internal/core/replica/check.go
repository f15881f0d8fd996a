package replica

import "trine/internal/core"

// sound says whether a message can be what it says it is. What is not is dropped:
// the codec knows the form only.
func sound(m *core.Replicate) bool {
	if m.Index < 0 || m.Commit < 0 || m.Hint < 0 || m.Epoch < 0 || m.LogEpoch < 0 || m.From == 0 {
		return false
	}
	switch m.Type {
	case core.RepAppend:
		return soundEntries(m)
	case core.RepCheckpoint:
		cp := m.Checkpoint
		return cp != nil && cp.Index >= 0 && cp.Epoch >= 0 && cp.Epoch <= m.Epoch && cp.Next >= 0
	}
	return true
}

// soundEntries says whether entries follow one another and m.Index, in epochs that do
// not fall.
func soundEntries(m *core.Replicate) bool {
	epoch := m.LogEpoch
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != m.Index+core.Index(i)+1 || e.Epoch < epoch || e.Base < 0 || e.Count < 0 {
			return false
		}
		epoch = e.Epoch
	}
	return epoch <= m.Epoch
}

// sound adds what raft ends the process for: an answer to what was never sent, and
// entries that differ from what holds here.
func (c *group) sound(m *core.Replicate) bool {
	if !sound(m) || m.Epoch < 1 || m.Epoch > epochMax {
		return false
	}
	switch m.Type {
	case core.RepAppendAnswer:
		return !c.leads || m.Index <= c.tail.Last()
	case core.RepAppend:
		for i := range m.Entries {
			e := &m.Entries[i]
			epoch, ok := c.tail.EpochAt(e.Index)
			if e.Index > c.committed || ok && epoch != e.Epoch {
				return e.Index > c.committed
			}
		}
	}
	return true
}

// epochMax leaves room for elections below what an epoch can count.
const epochMax core.Epoch = 1<<31 - 1<<20
