package journal

import (
	"fmt"
	"reflect"

	"trine/internal/core"
)

// modelStream is what a stream must be, kept as plainly as can be.
type modelStream struct {
	id      core.StreamID
	lazy    bool
	there   bool
	state   core.HardState
	cp      *core.Checkpoint
	cps     []*core.Checkpoint // by the lazy road: the disk may still have an earlier one
	entries []core.Entry       // since the last install
	fill    []core.Entry
	last    core.Index
	next    core.Offset
	start   core.Offset
	reclaim *core.Reclaim
	floor   core.Index // lazy: flushed for certain
}

func (m *modelStream) clone() *modelStream {
	c := *m
	c.entries = m.entries[:len(m.entries):len(m.entries)]
	c.fill = m.fill[:len(m.fill):len(m.fill)]
	c.cps = m.cps[:len(m.cps):len(m.cps)]
	return &c
}

func (m *modelStream) cpIndex() core.Index {
	if m.cp == nil {
		return 0
	}
	return m.cp.Index
}

// apply does what core.Write says.
func (m *modelStream) apply(w *core.Write) {
	if w.Remove {
		*m = modelStream{id: m.id}
		return
	}
	m.there = true
	if len(w.Entries) > 0 || w.Install != nil {
		if m.lazy != (w.Road == core.FlushLazy) {
			m.floor = m.last
		}
		m.lazy = w.Road == core.FlushLazy
	}
	if w.Fill {
		for len(m.fill) > 0 && m.fill[len(m.fill)-1].Index >= w.Entries[0].Index {
			m.fill = m.fill[:len(m.fill)-1]
		}
		m.fill = append(m.fill[:len(m.fill):len(m.fill)], w.Entries...)
	}
	if c := w.Install; c != nil {
		m.entries = nil
		for _, e := range m.fill {
			if e.Index <= c.Index {
				m.entries = append(m.entries, e)
			}
		}
		m.fill, m.cp, m.cps, m.reclaim = nil, c, nil, nil
		m.last, m.next, m.start, m.floor = c.Index, c.Next, c.Start, c.Index
	}
	if w.Cut != 0 && w.Cut <= m.last {
		for len(m.entries) > 0 && m.entries[len(m.entries)-1].Index >= w.Cut {
			m.next = m.entries[len(m.entries)-1].Base
			m.entries = m.entries[:len(m.entries)-1]
		}
		m.last = w.Cut - 1
		m.floor = m.last
	}
	if !w.Fill && len(w.Entries) > 0 {
		m.entries = append(m.entries[:len(m.entries):len(m.entries)], w.Entries...)
		e := &w.Entries[len(w.Entries)-1]
		m.last, m.next = e.Index, e.Next()
	}
	if w.State != nil {
		m.state = *w.State
	}
	if w.Trim > 0 {
		m.start = max(m.start, w.Trim)
	}
	if w.Checkpoint != nil {
		m.cps = append(m.cps[:len(m.cps):len(m.cps)], m.cp)
		if w.Road == core.FlushEach {
			m.cps = nil
		}
		m.cp = w.Checkpoint
		m.start = max(m.start, w.Checkpoint.Start)
	}
	if w.Reclaim != nil {
		m.reclaim = w.Reclaim
	}
}

// check says how a recovered stream differs from the model.
func (m *modelStream) check(j *Journal, r *core.Recovered, power bool) error {
	if !m.there {
		if r != nil {
			return fmt.Errorf("it is there: %v", r)
		}
		return nil
	}
	if r == nil {
		return fmt.Errorf("it is not there")
	}
	if r.Damage != "" {
		return fmt.Errorf("damage: %s", r.Damage)
	}
	cp := core.Index(0)
	if r.Checkpoint != nil {
		cp = r.Checkpoint.Index
	}
	if !reflect.DeepEqual(r.Checkpoint, m.cp) {
		ok := false
		for _, c := range m.cps {
			ok = ok || reflect.DeepEqual(c, r.Checkpoint)
		}
		if !ok {
			return fmt.Errorf("checkpoint %v, not %v", r.Checkpoint, m.cp)
		}
	}
	last := cp + core.Index(len(r.Tail))
	if last != m.last && (!m.lazy || !power || last > m.last || last < m.floor) {
		return fmt.Errorf("ends at %d, not %d (floor %d)", last, m.last, m.floor)
	}
	want := m.state
	want.Commit = min(want.Commit, last)
	if r.State != want {
		return fmt.Errorf("state %v, not %v", r.State, want)
	}
	if r.Start != m.start && (len(m.cps) == 0 || r.Start > m.start) {
		return fmt.Errorf("starts at %d, not %d", r.Start, m.start)
	}
	return m.checkEntries(j, r.Tail, cp, last)
}

func (m *modelStream) checkEntries(j *Journal, tail []core.Entry, cp, last core.Index) error {
	byIndex := map[core.Index]*core.Entry{}
	for i := range m.entries {
		byIndex[m.entries[i].Index] = &m.entries[i]
	}
	for i := range tail {
		e := byIndex[cp+core.Index(i)+1]
		if e == nil || !sameEntry(e, &tail[i]) {
			return fmt.Errorf("tail has %s", entryText(&tail[i]))
		}
	}
	all, err := loadAll(j, m.id)
	if err != nil {
		return err
	}
	got := map[core.Index]bool{}
	for i := range all {
		e := byIndex[all[i].Index]
		if e == nil || !sameEntry(e, &all[i]) {
			return fmt.Errorf("load gives %s", entryText(&all[i]))
		}
		got[e.Index] = true
	}
	for i := range m.entries {
		e := &m.entries[i]
		need := e.Index > cp || e.Kind == core.EntryBatch && e.Next() > m.start &&
			wanted(m.reclaim, e.Base, e.Next())
		if need && e.Index <= last && !got[e.Index] {
			return fmt.Errorf("load gives no %s", entryText(e))
		}
	}
	return nil
}
