package route

import "bytes"

// Topic holds the patterns of a topic exchange, with what each leads to.
type Topic[D comparable] struct {
	root  *node[D]
	count int   // the ids below it are given out, or free: the size of a Scratch
	free  []int // ids of nodes that were cut off
}

type node[D comparable] struct {
	id    int
	hash  bool // it is a #: it stays reached over any word
	words map[string]*node[D]
	star  *node[D]
	many  *node[D]
	ends  []D
}

// Scratch is memory that matching uses, kept by the caller between calls.
type Scratch struct {
	seen []uint32
	turn uint32
}

func (s *Scratch) begin(n int) {
	if len(s.seen) < n {
		s.seen = append(s.seen, make([]uint32, n-len(s.seen))...)
	}
	if s.turn++; s.turn == 0 {
		clear(s.seen)
		s.turn = 1
	}
}

// first says whether node id is reached for the first time in this turn.
func (s *Scratch) first(id int) bool {
	if s.seen[id] == s.turn {
		return false
	}
	s.seen[id] = s.turn
	return true
}

func (t *Topic[D]) newNode() *node[D] {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return &node[D]{id: id}
	}
	t.count++
	return &node[D]{id: t.count - 1}
}

// cutWord takes the first word. more says whether a dot followed it.
func cutWord[T string | []byte](key T) (word, rest T, more bool) {
	for i := range len(key) {
		if key[i] == '.' {
			return key[:i], key[i+1:], true
		}
	}
	return key, key[len(key):], false
}

// Add adds what a pattern leads to.
func (t *Topic[D]) Add(pattern string, d D) {
	if t.root == nil {
		t.root = t.newNode()
	}
	n := t.root
	for more := len(pattern) > 0; more; {
		var word string
		word, pattern, more = cutWord(pattern)
		n = t.child(n, word)
	}
	n.ends = append(n.ends, d)
}

func (t *Topic[D]) child(n *node[D], word string) *node[D] {
	switch word {
	case "*":
		if n.star == nil {
			n.star = t.newNode()
		}
		return n.star
	case "#":
		if n.hash { // # directly after # adds nothing
			return n
		}
		if n.many == nil {
			n.many = t.newNode()
			n.many.hash = true
		}
		return n.many
	}
	next := n.words[word]
	if next == nil {
		if n.words == nil {
			n.words = map[string]*node[D]{}
		}
		next = t.newNode()
		n.words[word] = next
	}
	return next
}

// Remove takes back one Add. Nodes that lead nowhere any more are cut off.
func (t *Topic[D]) Remove(pattern string, d D) {
	if t.root != nil {
		t.remove(t.root, pattern, len(pattern) > 0, d)
	}
}

func (t *Topic[D]) remove(n *node[D], pattern string, more bool, d D) {
	if !more {
		n.ends = without(n.ends, d)
		return
	}
	word, rest, more := cutWord(pattern)
	next := n.words[word]
	switch {
	case word == "*":
		next = n.star
	case word == "#" && n.hash:
		next = n
	case word == "#":
		next = n.many
	}
	if next == nil {
		return
	}
	t.remove(next, rest, more, d)
	if next == n || len(next.ends)+len(next.words) > 0 || next.star != nil || next.many != nil {
		return
	}
	t.free = append(t.free, next.id)
	switch word {
	case "*":
		n.star = nil
	case "#":
		n.many = nil
	default:
		delete(n.words, word)
	}
}

func without[D comparable](ds []D, d D) []D {
	for i := range ds {
		if ds[i] == d {
			return append(ds[:i], ds[i+1:]...)
		}
	}
	return ds
}

// Match appends to into what the patterns that match key lead to; something that
// several patterns lead to is given several times.
func (t *Topic[D]) Match(key []byte, s *Scratch, into []D) []D {
	if t.root == nil {
		return into
	}
	var array [2][16]*node[D]
	now, next := array[0][:0], array[1][:0]
	s.begin(t.count)
	now = reach(now, t.root, s)
	for more := len(key) > 0; more && len(now) > 0; {
		var word []byte
		word, key, more = cutWord(key)
		s.begin(t.count)
		next = next[:0]
		for _, n := range now {
			if n.hash {
				next = reach(next, n, s)
			}
			if n.star != nil {
				next = reach(next, n.star, s)
			}
			if w := n.words[string(word)]; w != nil {
				next = reach(next, w, s)
			}
		}
		now, next = next, now
	}
	for _, n := range now {
		into = append(into, n.ends...)
	}
	return into
}

// reach adds a node and the # below it, which may stand for no word at all.
func reach[D comparable](set []*node[D], n *node[D], s *Scratch) []*node[D] {
	for ; n != nil && s.first(n.id); n = n.many {
		set = append(set, n)
	}
	return set
}

// MatchTopic says whether one pattern matches a key: the tree's answer for one.
func MatchTopic(pattern, key []byte) bool {
	if bytes.IndexByte(pattern, '*') < 0 && bytes.IndexByte(pattern, '#') < 0 {
		return bytes.Equal(pattern, key)
	}
	var t Topic[bool]
	var s Scratch
	t.Add(string(pattern), true)
	return len(t.Match(key, &s, nil)) > 0
}
