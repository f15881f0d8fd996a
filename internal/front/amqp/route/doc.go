// Package route says where a message goes: which bindings of an exchange match a
// routing key or a table of headers. It is pure, and its cost does not depend on
// how patterns are written.
//
// A topic's patterns are words between dots; * stands for one word, # for any
// number. They are kept as a tree of words, and a key is matched by walking all
// branches at once, word by word: the set of nodes reached so far, each at most
// once, so that a row of # costs no more than one.
//
//	bindings        a.b   a.*   #.c        key a.b
//	tree      root ─ a ─ b●                {root #} → {a #} → {b● *● #}
//	             │    └ *●                 ● reached at the end: a match
//	             └ # ─ c●
package route
