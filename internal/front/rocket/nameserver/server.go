// Package nameserver knows what NameServers are asked for: at which addresses the
// queues of a topic are to be had, and the key-value table. All nodes know the same,
// so that one that lives is enough.
//
// A broker name stands for a group of queues, not for a node; its address is that of
// a node that lives. By which port a client comes says which group it means:
//
//	port p            the node's own group, "broker-<node>"
//	port p + 10n      "broker-n", n another node's number
//	port p + 10k + 5  the group whose document has index k
package nameserver

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"trine/internal/core"
	"trine/internal/front"
	"trine/internal/front/rocket/topology"
)

// kvPrefix is where the key-value table stands in the catalog.
const kvPrefix = topology.Prefix + "kv/"

// Options say what a Server calls the cluster and how it counts ports.
type Options struct {
	Cluster  string // its name towards clients
	PortStep int    // between the ports of groups
	NoAuto   bool   // topics do not create themselves
}

// Server answers as one NameServer. Safe for any goroutine; it calls nobody under its
// lock.
type Server struct {
	core front.Core
	view *topology.View
	o    Options

	mu   sync.RWMutex
	keys map[string]struct{} // of the key-value table
}

// New makes a Server over what is declared. DocumentsChanged must be told of changes.
func New(c front.Core, v *topology.View, o Options) *Server {
	return &Server{core: c, view: v, o: o, keys: map[string]struct{}{}}
}

// DocumentsChanged takes what of changed documents is of the key-value table.
func (s *Server) DocumentsChanged(ds []core.Document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ds {
		d := &ds[i]
		switch {
		case !strings.HasPrefix(d.Key, kvPrefix):
		case d.Value != nil:
			s.keys[d.Key] = struct{}{}
		default:
			delete(s.keys, d.Key)
		}
	}
}

// Key gives the document of a key in a namespace.
func Key(namespace, key string) string { return kvPrefix + namespace + "/" + key }

// Pair is a key and its value.
type Pair struct {
	Key   string
	Value []byte
}

// Table gives what a namespace holds, in order of the keys.
func (s *Server) Table(namespace string) []Pair {
	under := Key(namespace, "")
	var all []Pair
	s.mu.RLock()
	for k := range s.keys {
		if key, ok := strings.CutPrefix(k, under); ok {
			all = append(all, Pair{Key: key})
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	for i := range all {
		d, _ := s.core.Cluster().Get(under + all[i].Key)
		all[i].Value = d.Value
	}
	return all
}

// Topics gives the topics that are there, the template among them, in order.
func (s *Server) Topics() []string {
	names := s.view.Topics()
	if !slices.Contains(names, topology.TemplateTopic) {
		names = append(names, topology.TemplateTopic)
	}
	sort.Strings(names)
	return names
}

// SystemTopics gives the names that are not users', brokers' among them.
func (s *Server) SystemTopics() []string {
	names := []string{s.o.Cluster}
	for _, g := range s.view.Groups() {
		names = append(names, g.Name)
	}
	return append(names, topology.SystemTopics...)
}
