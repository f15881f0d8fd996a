package queue

import (
	"cmp"
	"slices"

	"trine/internal/core"
)

// timed is a message and when something becomes of it.
type timed struct {
	at     core.Stamp
	offset core.Offset
}

func (a timed) compare(b timed) int {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c
	}
	return cmp.Compare(a.offset, b.offset)
}

// due is a heap of timed messages, the earliest first.
type due struct{ list []timed }

func (d *due) sort() { slices.SortFunc(d.list, timed.compare) }

// first gives the earliest stamp; false where there is none.
func (d *due) first() (core.Stamp, bool) {
	if len(d.list) == 0 {
		return 0, false
	}
	return d.list[0].at, true
}

func (d *due) push(t timed) {
	d.list = append(d.list, t)
	for i := len(d.list) - 1; i > 0; {
		up := (i - 1) / 2
		if d.list[up].compare(d.list[i]) <= 0 {
			break
		}
		d.list[up], d.list[i] = d.list[i], d.list[up]
		i = up
	}
}

func (d *due) pop() timed {
	t := d.list[0]
	last := len(d.list) - 1
	d.list[0] = d.list[last]
	d.list = d.list[:last]
	for i := 0; ; {
		low := i
		for down := 2*i + 1; down <= 2*i+2 && down < last; down++ {
			if d.list[down].compare(d.list[low]) < 0 {
				low = down
			}
		}
		if low == i {
			return t
		}
		d.list[low], d.list[i] = d.list[i], d.list[low]
		i = low
	}
}
