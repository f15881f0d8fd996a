package node

import (
	"slices"
	"strings"
	"sync"

	"trine/internal/core"
	"trine/internal/core/shard"
)

// view is this node's copy of the catalog, for every goroutine. Only the loop
// writes to it; the watchers belong to the loop alone.
type view struct {
	mu        sync.RWMutex
	streams   map[string]*core.Stream
	names     []string // of streams, sorted
	documents map[string]core.Document
	nodes     []core.NodeInfo

	streamWatchers   []streamWatcher
	documentWatchers []documentWatcher
}

type streamWatcher struct {
	prefix  string
	changed func(s *core.Stream, gone bool)
}

type documentWatcher struct {
	prefix  string
	changed func([]core.Document)
}

func newView() *view {
	return &view{streams: map[string]*core.Stream{}, documents: map[string]core.Document{}}
}

// publish takes over what changed and tells the watchers. The loop calls it.
func (v *view) publish(c *shard.View) {
	if len(c.Streams)+len(c.Gone)+len(c.Documents) == 0 && c.Nodes == nil {
		return
	}
	v.mu.Lock()
	for _, s := range c.Gone {
		if at := v.streams[s.Name]; at != nil && at.ID == s.ID {
			v.remove(s.Name)
		}
	}
	for _, s := range c.Streams {
		v.insert(s)
	}
	for _, d := range c.Documents {
		if d.Value == nil {
			delete(v.documents, d.Key)
		} else {
			v.documents[d.Key] = d
		}
	}
	if c.Nodes != nil {
		v.nodes = slices.Clone(c.Nodes)
	}
	v.mu.Unlock()
	v.tell(c)
}

func (v *view) tell(c *shard.View) {
	for _, s := range c.Gone {
		for _, w := range v.streamWatchers {
			if strings.HasPrefix(s.Name, w.prefix) {
				w.changed(s, true)
			}
		}
	}
	for _, s := range c.Streams {
		for _, w := range v.streamWatchers {
			if strings.HasPrefix(s.Name, w.prefix) {
				w.changed(s, false)
			}
		}
	}
	if len(c.Documents) == 0 {
		return
	}
	for _, w := range v.documentWatchers {
		var mine []core.Document
		for _, d := range c.Documents {
			if strings.HasPrefix(d.Key, w.prefix) {
				mine = append(mine, d)
			}
		}
		if len(mine) > 0 {
			w.changed(mine)
		}
	}
}

func (v *view) insert(s *core.Stream) {
	if _, there := v.streams[s.Name]; !there {
		i, _ := slices.BinarySearch(v.names, s.Name)
		v.names = slices.Insert(v.names, i, s.Name)
	}
	v.streams[s.Name] = s
}

func (v *view) remove(name string) {
	delete(v.streams, name)
	if i, there := slices.BinarySearch(v.names, name); there {
		v.names = slices.Delete(v.names, i, i+1)
	}
}

func (v *view) lookup(name string) *core.Stream {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.streams[name]
}

func (v *view) list(prefix string) []*core.Stream {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var found []*core.Stream
	from, _ := slices.BinarySearch(v.names, prefix)
	for _, name := range v.names[from:] {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		found = append(found, v.streams[name])
	}
	return found
}

func (v *view) document(key string) (core.Document, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	d, there := v.documents[key]
	return d, there
}

// documentsBelow gives them in the order of their keys.
func (v *view) documentsBelow(prefix string) []core.Document {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var found []core.Document
	for key, d := range v.documents {
		if strings.HasPrefix(key, prefix) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b core.Document) int { return strings.Compare(a.Key, b.Key) })
	return found
}

func (v *view) allNodes() []core.NodeInfo {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Clone(v.nodes)
}

// watchStreams runs on the loop.
func (v *view) watchStreams(w streamWatcher) {
	v.streamWatchers = append(v.streamWatchers, w)
	for _, s := range v.list(w.prefix) {
		w.changed(s, false)
	}
}

// watchDocuments runs on the loop.
func (v *view) watchDocuments(w documentWatcher) {
	v.documentWatchers = append(v.documentWatchers, w)
	if ds := v.documentsBelow(w.prefix); len(ds) > 0 {
		w.changed(ds)
	}
}
