package catalog

import (
	"math"
	"sort"

	"trine/internal/core"
)

func (w *writer) peer(p core.Peer) {
	w.int(int64(p.Node))
	w.uint(uint64(p.Disk))
	w.uint(uint64(p.Incarnation))
}

func (r *reader) peer() core.Peer {
	return core.Peer{Node: core.NodeID(r.int32()), Disk: core.DiskID(r.uint()),
		Incarnation: core.Incarnation(r.uint())}
}

func (w *writer) owner(o core.Owner) {
	w.int(int64(o.Node))
	w.uint(uint64(o.Incarnation))
	w.uint(o.Conn)
}

func (r *reader) owner() core.Owner {
	return core.Owner{Node: core.NodeID(r.int32()), Incarnation: core.Incarnation(r.uint()),
		Conn: r.uint()}
}

func (w *writer) policy(p core.Policy) {
	w.int(int64(p.Copies))
	w.int(int64(p.MinInSync))
	w.byte(byte(p.Commit))
	w.byte(byte(p.Election))
	w.byte(byte(p.Flush))
}

func (r *reader) policy() core.Policy {
	return core.Policy{Copies: int(r.int32()), MinInSync: int(r.int32()),
		Commit: core.Commit(r.byte()), Election: core.Election(r.byte()),
		Flush: core.Flush(r.byte())}
}

func (w *writer) keep(k core.Keep) {
	w.int(k.MsMax)
	w.int(k.BytesMax)
	w.int(k.SegmentBytes)
	w.int(k.SegmentMs)
	w.bool(k.Compact)
	w.int(k.TombstoneMs)
	w.int(k.CompactLagMs)
	w.uint(uint64(math.Float32bits(k.DirtyRatio)))
}

func (r *reader) keep() core.Keep {
	return core.Keep{MsMax: r.int(), BytesMax: r.int(), SegmentBytes: r.int(), SegmentMs: r.int(),
		Compact: r.bool(), TombstoneMs: r.int(), CompactLagMs: r.int(),
		DirtyRatio: math.Float32frombits(r.uint32())}
}

func (w *writer) queue(q *core.QueueSettings) {
	w.byte(q.Priorities)
	w.int(q.TTLMs)
	w.int(q.LengthMax)
	w.int(q.BytesMax)
	w.bool(q.DropHead)
	w.int(int64(q.DeliveryLimit))
	w.bool(q.SingleActive)
	w.int(q.IdleMs)
	w.bool(q.AutoDelete)
	w.optional(q.ForwardTo)
	w.bool(q.ForwardRetry)
	w.bool(q.ReturnToBack)
}

func (r *reader) queue() *core.QueueSettings {
	return &core.QueueSettings{Priorities: r.byte(), TTLMs: r.int(), LengthMax: r.int(),
		BytesMax: r.int(), DropHead: r.bool(), DeliveryLimit: r.int32(), SingleActive: r.bool(),
		IdleMs: r.int(), AutoDelete: r.bool(), ForwardTo: r.optional(), ForwardRetry: r.bool(),
		ReturnToBack: r.bool()}
}

func (w *writer) nodes(ns []core.NodeID) {
	w.uint(uint64(len(ns)))
	for _, n := range ns {
		w.int(int64(n))
	}
}

func (r *reader) nodes() []core.NodeID {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	ns := make([]core.NodeID, n)
	for i := range ns {
		ns[i] = core.NodeID(r.int32())
	}
	return ns
}

func (w *writer) members(ms []core.Member) {
	w.uint(uint64(len(ms)))
	for _, m := range ms {
		w.int(int64(m.Node))
		w.uint(uint64(m.Disk))
		w.bool(m.InSync)
	}
}

func (r *reader) members() []core.Member {
	n := r.count(3)
	if n == 0 {
		return nil
	}
	ms := make([]core.Member, n)
	for i := range ms {
		ms[i] = core.Member{Node: core.NodeID(r.int32()), Disk: core.DiskID(r.uint()),
			InSync: r.bool()}
	}
	return ms
}

func (w *writer) definition(d *core.Definition) {
	w.string(d.Name)
	w.policy(d.Policy)
	w.keep(d.Keep)
	w.bool(d.Queue != nil)
	if d.Queue != nil {
		w.queue(d.Queue)
	}
	w.nodes(d.At)
	w.owner(d.Owner)
	w.optional(d.Labels)
}

func (r *reader) definition() core.Definition {
	d := core.Definition{Name: r.string(), Policy: r.policy(), Keep: r.keep()}
	if r.bool() {
		d.Queue = r.queue()
	}
	d.At, d.Owner, d.Labels = r.nodes(), r.owner(), r.optional()
	return d
}

// alteration writes which fields are set in one byte, then those.
func (w *writer) alteration(a *core.Alteration) {
	var set byte
	fields := [...]bool{a.Policy != nil, a.Keep != nil, a.Queue != nil, a.At != nil, a.Labels != nil}
	for i, is := range fields {
		if is {
			set |= 1 << i
		}
	}
	w.byte(set)
	if a.Policy != nil {
		w.policy(*a.Policy)
	}
	if a.Keep != nil {
		w.keep(*a.Keep)
	}
	if a.Queue != nil {
		w.queue(a.Queue)
	}
	if a.At != nil {
		w.nodes(a.At)
	}
	if a.Labels != nil {
		w.optional(a.Labels)
	}
}

func (r *reader) alteration() *core.Alteration {
	a := &core.Alteration{}
	set := r.byte()
	if set > 31 {
		r.fail("an alteration sets a field that is not known")
	}
	if set&1 != 0 {
		p := r.policy()
		a.Policy = &p
	}
	if set&2 != 0 {
		k := r.keep()
		a.Keep = &k
	}
	if set&4 != 0 {
		a.Queue = r.queue()
	}
	if set&8 != 0 {
		a.At = r.nodes()
	}
	if set&16 != 0 {
		a.Labels = r.optional()
	}
	return a
}

// addresses are written in the order of their names.
func (w *writer) addresses(m map[string]string) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	w.uint(uint64(len(names)))
	for _, name := range names {
		w.string(name)
		w.string(m[name])
	}
}

func (r *reader) addresses() map[string]string {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for i := 0; i < n; i++ {
		name := r.string()
		m[name] = r.string()
	}
	return m
}
