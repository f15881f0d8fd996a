package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"

	"trine/internal/core"
)

// storage is the tail, as raft reads it. What raft has not seen written it keeps
// itself, so that it asks for the rest only, which no write in flight can change.
type storage struct{ c *group }

func (s storage) InitialState() (raftState, raftMembers, error) {
	return s.c.state, s.c.members, nil
}

func (s storage) FirstIndex() (uint64, error) { return uint64(s.c.tail.First()), nil }

func (s storage) LastIndex() (uint64, error) { return uint64(s.c.tail.Last()), nil }

func (s storage) Term(i uint64) (uint64, error) {
	if core.Index(i) < s.c.tail.base {
		return 0, raft.ErrCompacted
	}
	epoch, ok := s.c.tail.EpochAt(core.Index(i))
	if !ok {
		return 0, raft.ErrUnavailable
	}
	return uint64(epoch), nil
}

// Entries gives views of entries that live until the next Ready: raft keeps none
// that it read here.
func (s storage) Entries(lo, hi, bytesMax uint64) ([]raftEntry, error) {
	t := &s.c.tail
	if core.Index(lo) <= t.base {
		return nil, raft.ErrCompacted
	}
	if core.Index(hi) > t.Last()+1 {
		return nil, raft.ErrUnavailable
	}
	es := t.Slice(core.Index(lo), core.Index(hi)-1, int(min(bytesMax, 1<<62)))
	if cap(s.c.views)-len(s.c.views) < len(es) {
		s.c.views = make([]raftEntry, 0, max(16, len(es), 2*cap(s.c.views)))
	}
	n := len(s.c.views)
	for i := range es {
		s.c.views = append(s.c.views, s.c.entry(&es[i]))
	}
	return s.c.views[n:len(s.c.views):len(s.c.views)], nil
}

func (s storage) Snapshot() (raftSnapshot, error) {
	cp := s.c.cp
	if cp == nil || cp.Index < max(1, s.c.tail.base) {
		return raftSnapshot{}, raft.ErrSnapshotTemporarilyUnavailable
	}
	members, err := decodeMembers(cp.Members)
	if err != nil {
		return raftSnapshot{}, raft.ErrSnapshotTemporarilyUnavailable
	}
	return *snapshotOf(cp, members), nil
}

// silent is raft's logger: what is worth saying the caller learns from Status. A
// broken rule inside raft is a panic here as everywhere.
type silent struct{}

func (silent) Debug(...any)            {}
func (silent) Debugf(string, ...any)   {}
func (silent) Error(...any)            {}
func (silent) Errorf(string, ...any)   {}
func (silent) Info(...any)             {}
func (silent) Infof(string, ...any)    {}
func (silent) Warning(...any)          {}
func (silent) Warningf(string, ...any) {}
func (silent) Fatal(v ...any)          { panic("raft: " + fmt.Sprint(v...)) }
func (silent) Fatalf(f string, v ...any) {
	panic("raft: " + fmt.Sprintf(f, v...))
}
func (silent) Panic(v ...any) { panic("raft: " + fmt.Sprint(v...)) }
func (silent) Panicf(f string, v ...any) {
	panic("raft: " + fmt.Sprintf(f, v...))
}
