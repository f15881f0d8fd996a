package topology

import (
	"slices"

	"trine/internal/core"
)

// withoutBindings adds to changes the removal of the bindings picked, and of the
// auto-delete exchanges that lose their last one by it.
func (v *View) withoutBindings(host string, changes []core.Change,
	pick func(*vhost) []*Binding) []core.Change {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[host]
	if h == nil {
		return changes
	}
	known := map[string]bool{}
	for _, c := range changes {
		known[c.Key] = true
	}
	work := slices.Clone(pick(h))
	for n := 0; n < len(work); n++ {
		b := work[n]
		if known[b.document] {
			continue
		}
		known[b.document] = true
		changes = append(changes, core.Change{Key: b.document, Expect: core.AnyRevision})
		x := h.exchanges[b.Source]
		if x == nil || !x.AutoDelete || known[ExchangeKey(host, x.Name)] || !h.losesAll(x, work) {
			continue
		}
		known[ExchangeKey(host, x.Name)] = true
		changes = append(changes, core.Change{Key: ExchangeKey(host, x.Name), Expect: x.Revision})
		changes = h.withStores(changes, x)
		work = append(work, h.byTarget[x.Name]...) // it takes the bindings to it along
	}
	return changes
}

// losesAll says whether all bindings from an exchange are among those that go.
func (h *vhost) losesAll(x *Exchange, going []*Binding) bool {
	for _, b := range h.bySource[x.Name] {
		if b.linked && !slices.Contains(going, b) {
			return false
		}
	}
	return true
}

// Bound says whether a binding is there and in use.
func (v *View) Bound(vhost, key string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[vhost]
	return h != nil && h.bindings[key] != nil && h.bindings[key].linked
}

// toStream gives the bindings that were made for one stream.
func (h *vhost) toStream(name string, id core.StreamID) []*Binding {
	var bs []*Binding
	for _, b := range h.byQueue[name] {
		if b.Stream == id {
			bs = append(bs, b)
		}
	}
	return bs
}

// RemoveQueue gives what to change for a queue to go with its bindings, and the
// auto-delete exchanges that had no others.
func (v *View) RemoveQueue(q *Queue) []core.Change {
	changes := []core.Change{{Stream: q.Stream.Name, IfID: q.Stream.ID}}
	return v.withoutBindings(q.VHost, changes, func(h *vhost) []*Binding {
		return h.toStream(q.Name, q.Stream.ID)
	})
}

// Sweep gives what to change for the bindings of a queue that went by itself to go.
func (v *View) Sweep(s *core.Stream) []core.Change {
	host, name, _ := CutName(s.Name, StreamPrefix)
	return v.withoutBindings(host, nil, func(h *vhost) []*Binding { return h.toStream(name, s.ID) })
}

// RemoveExchange gives what to change for an exchange to go, with all bindings.
func (v *View) RemoveExchange(vhostName string, x *Exchange) []core.Change {
	changes := []core.Change{{Key: ExchangeKey(vhostName, x.Name), Expect: x.Revision}}
	v.mu.RLock()
	if h := v.vhosts[vhostName]; h != nil {
		changes = h.withStores(changes, x)
	}
	v.mu.RUnlock()
	return v.withoutBindings(vhostName, changes, func(h *vhost) []*Binding {
		return slices.Concat(h.bySource[x.Name], h.byTarget[x.Name])
	})
}

// RemoveBinding gives what to change for one binding to go: nothing where it is not
// there.
func (v *View) RemoveBinding(vhostName, key string) []core.Change {
	return v.withoutBindings(vhostName, nil, func(h *vhost) []*Binding {
		if b := h.bindings[key]; b != nil {
			return []*Binding{b}
		}
		return nil
	})
}

// Used says whether anything is bound to an exchange as its source.
func (v *View) Used(x *Exchange) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return x.out.Count > 0
}
