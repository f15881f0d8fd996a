package replica

import "trine/internal/core"

// Tail is a copy's log above its checkpoint, in memory: what it sends to others,
// and all that Raft calls storage.
//
//	    base           First                          Last
//	checkpoint|entry  base+1 | base+2 | ... | base+len
//
// Slices of it that were given out stay as they were: entries are appended behind
// them or, after a cut, to a new array, never over them.
type Tail struct {
	base    core.Index
	epoch   core.Epoch  // of the entry at base
	next    core.Offset // that the entry at base+1 takes
	entries []core.Entry
	bytes   int
}

// First gives the index of the first entry, one above the checkpoint's.
func (t *Tail) First() core.Index { return t.base + 1 }

// Last gives the index of the last entry, or the checkpoint's where there is none.
func (t *Tail) Last() core.Index { return t.base + core.Index(len(t.entries)) }

// Bytes gives what the entries count for in budgets.
func (t *Tail) Bytes() int { return t.bytes }

// Next gives the offset that the entry after Last takes.
func (t *Tail) Next() core.Offset {
	if n := len(t.entries); n > 0 {
		return t.entries[n-1].Next()
	}
	return t.next
}

// Entry gives the entry at i, or nil where the tail does not have it. It is shared.
func (t *Tail) Entry(i core.Index) *core.Entry {
	if i <= t.base || i > t.Last() {
		return nil
	}
	return &t.entries[i-t.base-1]
}

// EpochAt gives the epoch of the entry at i: of those in the tail, and of the one
// at the checkpoint.
func (t *Tail) EpochAt(i core.Index) (core.Epoch, bool) {
	if i == t.base {
		return t.epoch, true
	}
	if e := t.Entry(i); e != nil {
		return e.Epoch, true
	}
	return 0, false
}

// LastEpoch gives the epoch of the entry at Last.
func (t *Tail) LastEpoch() core.Epoch {
	e, _ := t.EpochAt(t.Last())
	return e
}

// Slice gives the entries from one index to another, both included, as far as the
// tail has them and bytesMax allows; at least one, if there is one. It is shared.
func (t *Tail) Slice(from, to core.Index, bytesMax int) []core.Entry {
	from, to = max(from, t.First()), min(to, t.Last())
	if from > to {
		return nil
	}
	es := t.entries[from-t.base-1 : to-t.base]
	size := 0
	for i := range es {
		size += es[i].Size()
		if size > bytesMax && i > 0 {
			return es[:i:i]
		}
	}
	return es[:len(es):len(es)]
}

// span is Slice without a limit, of what the tail has.
func (t *Tail) span(from, to core.Index) []core.Entry {
	i, k := from-t.base-1, to-t.base
	return t.entries[i:k:k]
}

// AtOffset gives the index of the entry that holds an offset, or of the first
// above it; Last()+1 where there is none. Entries without offsets are passed over.
func (t *Tail) AtOffset(o core.Offset) core.Index {
	lo, hi := 0, len(t.entries)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if t.entries[m].Next() <= o {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return t.base + 1 + core.Index(lo)
}

// append adds entries that follow Last, copying them but not their data.
func (t *Tail) append(es ...core.Entry) {
	for i := range es {
		core.Assert(es[i].Index == t.Last()+1+core.Index(i), "entry %d follows %d in the tail",
			es[i].Index, t.Last()+core.Index(i))
		t.bytes += es[i].Size()
	}
	t.entries = append(t.entries, es...)
}

// cut removes the entries from index i on.
func (t *Tail) cut(i core.Index) {
	if i > t.Last() {
		return
	}
	core.Assert(i > t.base, "cut at %d is above the checkpoint at %d", i, t.base)
	n := int(i - t.base - 1)
	for k := n; k < len(t.entries); k++ {
		t.bytes -= t.entries[k].Size()
	}
	t.entries = t.entries[:n:n]
}

// drop forgets the entries up to index i.
func (t *Tail) drop(i core.Index) {
	if i = min(i, t.Last()); i <= t.base {
		return
	}
	n := int(i - t.base)
	for k := range t.entries[:n] {
		t.bytes -= t.entries[k].Size()
	}
	t.next, t.epoch, t.base = t.entries[n-1].Next(), t.entries[n-1].Epoch, i
	if rest := t.entries[n:]; len(rest) == 0 {
		t.entries = nil
	} else if len(rest) < n {
		t.entries = append(make([]core.Entry, 0, 2*len(rest)), rest...)
	} else {
		t.entries = rest
	}
}

// restore begins the tail anew above a checkpoint.
func (t *Tail) restore(cp *core.Checkpoint) {
	*t = Tail{}
	if cp != nil {
		t.base, t.epoch, t.next = cp.Index, cp.Epoch, cp.Next
	}
}

// recoverTail makes the tail that a disk has.
func recoverTail(rec *core.Recovered) Tail {
	var t Tail
	if rec != nil {
		t.restore(rec.Checkpoint)
		t.append(rec.Tail...)
	}
	return t
}
