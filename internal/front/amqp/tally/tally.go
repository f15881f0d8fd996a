// Package tally counts the connections and channels that limits are about. Every node
// knows its own at once, and those of the others from a document that each keeps: of
// what is limited alone, so that nothing is written where nothing is.
package tally

import (
	"encoding/json"
	"maps"
	"sync"

	"trine/internal/core"
	"trine/internal/front"
)

// Tally is one node's. Its methods may be called from any goroutine.
type Tally struct {
	self string // the key of this node's document

	mu     sync.Mutex // guards all below
	mine   Counts
	others map[string]Counts // by document
	told   Counts            // what this node's document says
	busy   bool              // it is being written
	again  bool              // and mine has changed meanwhile
}

// Counts are how many there are at once.
type Counts struct {
	Hosts    map[string]int `json:"hosts,omitempty"`    // connections, by virtual host
	Users    map[string]int `json:"users,omitempty"`    // connections, by user
	Channels map[string]int `json:"channels,omitempty"` // by user
}

// New gives the tally of a node whose document has the key self.
func New(self string) *Tally {
	return &Tally{self: self, mine: none(), others: map[string]Counts{}}
}

func none() Counts { return Counts{map[string]int{}, map[string]int{}, map[string]int{}} }

// Verdict is what limits say.
type Verdict uint8

// The verdicts.
const (
	Enough Verdict = iota
	HostFull
	UserFull
)

// Enter counts a connection unless it is one too many. A limit below 0 is none.
func (t *Tally) Enter(host, user string, ofHost, ofUser int) Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := func(pick func(Counts) int) int {
		n := pick(t.mine)
		for _, o := range t.others {
			n += pick(o)
		}
		return n
	}
	if ofHost >= 0 && of(func(c Counts) int { return c.Hosts[host] }) >= ofHost {
		return HostFull
	}
	if ofUser >= 0 && of(func(c Counts) int { return c.Users[user] }) >= ofUser {
		return UserFull
	}
	t.mine.Hosts[host]++
	t.mine.Users[user]++
	return Enough
}

// Open counts a channel unless it is one too many.
func (t *Tally) Open(user string, ofUser int) Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ofUser >= 0 {
		n := t.mine.Channels[user]
		for _, o := range t.others {
			n += o.Channels[user]
		}
		if n >= ofUser {
			return UserFull
		}
	}
	t.mine.Channels[user]++
	return Enough
}

// Leave counts a connection out.
func (t *Tally) Leave(host, user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	less(t.mine.Hosts, host)
	less(t.mine.Users, user)
}

// Shut counts a channel out.
func (t *Tally) Shut(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	less(t.mine.Channels, user)
}

func less(m map[string]int, name string) {
	if m[name]--; m[name] <= 0 {
		delete(m, name)
	}
}

// Set takes what another node counted.
func (t *Tally) Set(d core.Document) {
	if d.Key == t.self {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var c Counts
	if d.Value == nil || json.Unmarshal(d.Value, &c) != nil {
		delete(t.others, d.Key)
		return
	}
	t.others[d.Key] = c
}

// Tell writes this node's document where what it says has changed: one change of the
// catalog at a time.
func (t *Tally) Tell(c front.Core, l Limits) {
	t.mu.Lock()
	now := Counts{limited(t.mine.Hosts, l.Host), limited(t.mine.Users, l.User),
		limited(t.mine.Channels, l.Channels)}
	if t.busy || now.same(t.told) {
		t.again = t.busy
		t.mu.Unlock()
		return
	}
	t.busy, t.again = true, false
	t.mu.Unlock()
	value, err := json.Marshal(now)
	core.Assert(err == nil, "numbers have a JSON form: %v", err)
	owner := core.Owner{Node: c.Self().Node, Incarnation: c.Self().Incarnation}
	c.Cluster().Put([]core.Change{{Key: t.self, Value: value, Owner: owner}},
		func(_ core.Revision, err error) {
			t.mu.Lock()
			t.busy = false
			if err == nil {
				t.told = now
			}
			again := t.again && err == nil
			t.mu.Unlock()
			if again {
				t.Tell(c, l)
			}
		})
}

// Limits says whether a virtual host's connections, and a user's connections and
// channels, are limited.
type Limits struct{ Host, User, Channels func(name string) bool }

func limited(m map[string]int, is func(string) bool) map[string]int {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(name string, _ int) bool { return !is(name) })
	return m
}

func (c Counts) same(d Counts) bool {
	return maps.Equal(c.Hosts, d.Hosts) && maps.Equal(c.Users, d.Users) &&
		maps.Equal(c.Channels, d.Channels)
}
