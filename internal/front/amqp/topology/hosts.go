package topology

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"trine/internal/core"
	"trine/internal/front"
)

// FirstHost is the virtual host that is there as installed.
const FirstHost = "/"

// HostDoc is a virtual host's document.
type HostDoc struct {
	Removed     bool     `json:"removed,omitempty"` // of FirstHost
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	QueueType   string   `json:"default_queue_type,omitempty"`
	Tracing     bool     `json:"tracing,omitempty"`
}

// Host is a virtual host that clients may open.
type Host struct {
	Name string
	HostDoc
	Limits map[string]int // by name: less than 0 is none
}

// The limits that a virtual host may have.
const (
	QueuesMax      = "max-queues"
	ConnectionsMax = "max-connections"
)

func hostKey(name string) string  { return vhostPrefix + escape(name) }
func limitKey(name string) string { return limitPrefix + escape(name) }

// PutHost gives the change that makes a virtual host, or describes it anew.
func PutHost(name string, d HostDoc) core.Change {
	return core.Change{Key: hostKey(name), Value: jsonOf(d)}
}

func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	core.Assert(err == nil, "plain fields have a JSON form: %v", err)
	return b
}

// RemoveHost gives the changes for a virtual host to be opened no more, with its limits
// and policies; what is declared in it is there until HostContents is removed.
func (v *View) RemoveHost(name string) []core.Change {
	changes := []core.Change{{Key: hostKey(name)}, {Key: limitKey(name)}}
	if name == FirstHost {
		changes[0] = PutHost(name, HostDoc{Removed: true})
	}
	for _, p := range v.Policies(name) {
		changes = append(changes, core.Change{Key: PolicyKey(name, p.Name)})
	}
	for _, p := range v.OperatorPolicies(name) {
		changes = append(changes, core.Change{Key: OperatorKey(name, p.Name)})
	}
	for _, p := range v.Parameters(name, "") {
		changes = append(changes, core.Change{Key: p.key()})
	}
	return changes
}

// HostContents gives what to change for some of what is declared in a virtual host to
// go: at most about n changes, none where nothing is left.
func (v *View) HostContents(name string, n int) []core.Change {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[name]
	if h == nil {
		return nil
	}
	var changes []core.Change
	for _, q := range sortedKeys(h.queues) {
		if len(changes) >= n {
			return changes
		}
		s := h.queues[q].Stream
		changes = append(changes, core.Change{Stream: s.Name, IfID: s.ID})
	}
	for _, name := range sortedKeys(h.stores) {
		if len(changes) >= n {
			return changes
		}
		s := h.stores[name].Stream
		changes = append(changes, core.Change{Stream: s.Name, IfID: s.ID})
	}
	for _, key := range sortedKeys(h.bindings) {
		if len(changes) >= n {
			return changes
		}
		changes = append(changes, core.Change{Key: key})
	}
	for _, x := range sortedKeys(h.exchanges) {
		if len(changes) < n && h.exchanges[x].Revision != 0 {
			changes = append(changes, core.Change{Key: ExchangeKey(name, x)})
		}
	}
	return changes
}

// LimitHost gives the change that sets one limit of a virtual host, or without a value
// takes it away: Conflict where the limits change meanwhile.
func (v *View) LimitHost(name, limit string, value *int) core.Change {
	v.mu.RLock()
	defer v.mu.RUnlock()
	c := core.Change{Key: limitKey(name), Expect: core.NoRevision}
	next := map[string]int{}
	if h := v.vhosts[name]; h != nil {
		maps.Copy(next, h.limits)
		if h.limitRevision != 0 {
			c.Expect = h.limitRevision
		}
	}
	delete(next, limit)
	if value != nil {
		next[limit] = *value
	}
	c.Value = jsonOf(next)
	return c
}

// Hosts gives the virtual hosts that clients may open, by name.
func (v *View) Hosts() []Host {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []Host
	v.each("", func(h *vhost) {
		if h.declared {
			all = append(all, h.info())
		}
	})
	return all
}

// Host gives one virtual host.
func (v *View) Host(name string) (Host, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[name]
	if h == nil || !h.declared {
		return Host{}, false
	}
	return h.info(), true
}

// Tracing says whether a virtual host's messages are told of.
func (v *View) Tracing(host string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[host]
	return h != nil && h.doc.Tracing
}

func (h *vhost) info() Host { return Host{Name: h.name, HostDoc: h.doc, Limits: maps.Clone(h.limits)} }

// Limit gives one limit of a virtual host; less than 0 is none.
func (v *View) Limit(host, limit string) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if h := v.vhosts[host]; h != nil {
		if n, ok := h.limits[limit]; ok {
			return n
		}
	}
	return -1
}

// QueueCount counts the queues of a virtual host.
func (v *View) QueueCount(host string) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	h := v.vhosts[host]
	if h == nil {
		return 0
	}
	n := 0
	for _, q := range h.queues {
		if !q.Reply {
			n++
		}
	}
	return n
}

// QueueType gives the kind of a virtual host's queues where a declaration names none,
// or "".
func (v *View) QueueType(host string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if h := v.vhosts[host]; h != nil {
		return h.doc.QueueType
	}
	return ""
}

// setHost takes a virtual host's document, and says whether it went by it.
func (v *View) setHost(name string, d core.Document) (gone bool) {
	var doc HostDoc
	there := d.Value != nil && json.Unmarshal(d.Value, &doc) == nil && !doc.Removed
	h := v.vhosts[name]
	if h == nil && !there {
		return false
	}
	h = v.host(name)
	gone = h.declared && !there
	h.declared, h.doc = there, doc
	return gone
}

// setLimits takes the document of a virtual host's limits.
func (v *View) setLimits(name string, d core.Document) {
	h := v.host(name)
	h.limits, h.limitRevision = nil, d.Revision
	if d.Value == nil {
		h.limitRevision = 0
		return
	}
	_ = json.Unmarshal(d.Value, &h.limits) // of a newer version: no limits
}

// hostOf gives the virtual host that a document describes or limits.
func hostOf(d core.Document) (name string, limits, ok bool) {
	if name, ok = strings.CutPrefix(d.Key, vhostPrefix); ok {
		return unescape(name), false, true
	}
	name, ok = strings.CutPrefix(d.Key, limitPrefix)
	return unescape(name), true, ok
}

// sweepChanges is how much of a virtual host goes by one change of the catalog.
const sweepChanges = 500

// sweepTries is how often in a row a sweep may be refused: each refusal says that
// something went or came meanwhile.
const sweepTries = 100

// EndHost removes a virtual host: with it go more, its limits and policies at once, then
// all that is declared in it.
func (v *View) EndHost(c front.Core, name string, more []core.Change, done func(error)) {
	c.Cluster().Put(append(v.RemoveHost(name), more...), func(_ core.Revision, err error) {
		if err != nil {
			done(err)
			return
		}
		v.SweepHost(c, name, done)
	})
}

// SweepHost removes what is declared in a virtual host that clients may not open. Who asks
// while it is under way waits for the same end.
func (v *View) SweepHost(c front.Core, name string, done func(error)) {
	v.mu.Lock()
	waiting, busy := v.sweeps[name]
	v.sweeps[name] = append(waiting, done)
	v.mu.Unlock()
	if busy {
		return
	}
	v.sweepHost(c, name, sweepTries, func(err error) {
		v.mu.Lock()
		told := v.sweeps[name]
		delete(v.sweeps, name)
		v.mu.Unlock()
		for _, done := range told {
			done(err)
		}
	})
}

func (v *View) sweepHost(c front.Core, name string, tries int, done func(error)) {
	changes := v.HostContents(name, sweepChanges)
	if len(changes) == 0 || v.HasHost(name) {
		done(nil)
		return
	}
	c.Cluster().Put(changes, func(_ core.Revision, err error) {
		switch k := core.KindOf(err); {
		case err == nil:
			v.sweepHost(c, name, sweepTries, done)
		case tries > 0 && (k == core.Conflict || k == core.NotExist):
			time.AfterFunc(5*time.Millisecond, func() { v.sweepHost(c, name, tries-1, done) })
		default:
			done(err)
		}
	})
}
