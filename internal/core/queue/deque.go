package queue

// deque is a line of things: put in at the back, taken at the front. The zero
// value is empty.
type deque[T any] struct {
	list []T
	head int
}

func (d *deque[T]) len() int  { return len(d.list) - d.head }
func (d *deque[T]) front() *T { return &d.list[d.head] }

func (d *deque[T]) push(t T) {
	if len(d.list) == cap(d.list) && d.head > len(d.list)/2 {
		n := copy(d.list, d.list[d.head:])
		clear(d.list[n:])
		d.list, d.head = d.list[:n], 0
	}
	d.list = append(d.list, t)
}

func (d *deque[T]) pop() T {
	t := d.list[d.head]
	var zero T
	d.list[d.head] = zero
	if d.head++; d.head == len(d.list) {
		d.list, d.head = d.list[:0], 0
	}
	return t
}

// popBack takes what was put in last.
func (d *deque[T]) popBack() T {
	last := len(d.list) - 1
	t := d.list[last]
	var zero T
	d.list[last] = zero
	if d.list = d.list[:last]; d.head == last {
		d.list, d.head = d.list[:0], 0
	}
	return t
}
