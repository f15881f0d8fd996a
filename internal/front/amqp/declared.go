package amqp

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/topology"
)

// What is declared, by shorter names.
type (
	queue    = topology.Queue
	exchange = topology.Exchange
	label    = topology.Label
)

const (
	classic  = topology.Classic
	quorum   = topology.Quorum
	streamed = topology.Stream
)

// generated draws a name that nobody else has.
func generated(r io.Reader, prefix string) string {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		panic(fmt.Sprintf("draw a name: %v", err)) // crypto/rand does not fail
	}
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// documents takes changes of documents, on the node's loop.
func (f *Front) documents(ds []core.Document) {
	policies, gone := f.view.Documents(ds)
	if policies {
		f.applyPolicies()
	}
	f.hostsGone(gone)
	for _, d := range ds {
		if strings.HasPrefix(d.Key, topology.CountPrefix) {
			f.tally.Set(d)
		}
	}
	f.publishTally() // where a limit is new
}

// streamChanged takes a change of a stream, on the node's loop.
func (f *Front) streamChanged(s *core.Stream, gone bool) {
	known := f.view.StreamChanged(s, gone)
	if gone {
		f.sweep(s)
	} else if known {
		f.homeChanged(s)
		f.leaderChanged(s)
	}
}

// sweep removes the bindings of a queue that went by itself. One node does so.
func (f *Front) sweep(s *core.Stream) {
	changes := f.view.Sweep(s)
	if len(changes) == 0 || !f.caretaker() {
		return
	}
	f.core.Cluster().Put(changes, func(_ core.Revision, err error) {
		if k := core.KindOf(err); k != core.OK && k != core.Conflict && k != core.NotExist {
			f.log.Warn("bindings of a removed queue stay", "front", "amqp", "stream", s.Name, "err", err)
		}
	})
}

// applyPolicies makes every queue what the policies now say. One node does so.
func (f *Front) applyPolicies() {
	if !f.caretaker() {
		return
	}
	for _, a := range f.view.Alterations() {
		f.alter(a)
	}
}

// recheck makes a queue that was declared just now what the policies say, where one was put
// that this node did not know yet: whoever applied it did not know the queue.
func (f *Front) recheck(vhost, name string) {
	f.core.Cluster().Sync(func(err error) {
		if a, changed := f.view.Alteration(vhost, name); err == nil && changed {
			f.alter(a)
		}
	})
}

func (f *Front) alter(a topology.Alteration) {
	f.core.Streams().Alter(a.Stream, a.Alteration, func(_ *core.Stream, err error) {
		if err != nil && core.KindOf(err) != core.NotExist {
			f.log.Warn("a policy is not applied", "front", "amqp", "stream", a.Stream, "err", err)
		}
	})
}
