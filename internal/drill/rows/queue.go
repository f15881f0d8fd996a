package rows

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// outcome is what became of a message as its publisher knows.
type outcome uint8

const (
	unknown outcome = iota
	acked
	returned // and confirmed, as RabbitMQ does
	nacked
)

// queue is what is known of one queue's messages. Its clients write into it.
type queue struct {
	kind       string
	publishers []*publisher

	mu       sync.Mutex
	sent     map[string]outcome
	counts   [4]int
	answers  [nodes + 1][]answer // of a publisher, by its home
	seen     map[string]int      // deliveries
	settled  map[string]settled  // by whom
	hands    map[string]int      // whose a message is that is not settled
	living   map[int]int         // consumers, and their nodes
	consumer int                 // the last
	last     time.Time           // of a delivery
	cancels  int
	again    int // delivered again, marked so
	unmarked int // delivered again, not marked
	late     int // delivered again over a second after a living consumer settled it
	doubly   int // delivered while another living consumer held it

	broken, healed, ended time.Time
}

// answer is an acknowledgement and the node that gave it.
type answer struct {
	at   time.Time
	node int
}

type settled struct {
	at time.Time
	by int
}

func newQueue(kind string) *queue {
	return &queue{kind: kind, sent: map[string]outcome{}, seen: map[string]int{}, settled: map[string]settled{},
		hands: map[string]int{}, living: map[int]int{}, last: time.Now()}
}

func (q *queue) told(p *publisher, at int, id string, o outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent[id] = o
	q.counts[o]++
	if o == acked {
		q.answers[p.home] = append(q.answers[p.home], answer{time.Now(), at})
	}
}

func (q *queue) joined(at int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.consumer++
	q.living[q.consumer] = at
	return q.consumer
}

func (q *queue) left(consumer int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.living, consumer)
}

func (q *queue) came(consumer int, id string, redelivered bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = time.Now()
	if q.seen[id]++; q.seen[id] > 1 {
		if redelivered {
			q.again++
		} else {
			q.unmarked++
		}
		if t, ok := q.settled[id]; ok && time.Since(t.at) > time.Second && q.lives(t.by) {
			q.late++
		}
		if holder, ok := q.hands[id]; ok && holder != consumer && q.lives(holder) {
			q.doubly++
		}
	}
	q.hands[id] = consumer
}

// lives says whether a consumer goes on, and what it does reaches the others: node 1 is the
// one that is broken.
func (q *queue) lives(consumer int) bool { return q.living[consumer] > 1 }

func (q *queue) settling(consumer int, id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled[id] = settled{time.Now(), consumer}
	if q.hands[id] == consumer {
		delete(q.hands, id)
	}
}

// Row is what became of one queue under one fault.
type Row struct {
	Queue, Fault                  string
	Acked, Lost                   int // confirmed and not returned; of these never delivered
	Returned, Nacked, Unknown     int
	Gap                           time.Duration // the longest without a confirm, publishers of nodes 2 and 3
	First                         time.Duration // the longest of node 1's publisher
	Again, Unmarked, Late, Doubly int           // deliveries after the first
	Cancels                       int
	Both                          int // confirmed by node 1 after another node had led, before the repair
	Asked                         string
}

// row judges.
func (q *queue) row(fault string) Row {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := Row{Queue: q.kind, Fault: fault, Acked: q.counts[acked], Returned: q.counts[returned],
		Nacked: q.counts[nacked], Unknown: q.counts[unknown], Again: q.again, Unmarked: q.unmarked, Late: q.late,
		Doubly: q.doubly, Cancels: q.cancels}
	for id, o := range q.sent {
		if o == acked && q.seen[id] == 0 {
			r.Lost++
		}
	}
	r.First = q.gap(1)
	r.Gap = max(q.gap(2), q.gap(3))
	if fault == "cable" || fault == "partition" || fault == "pause" {
		r.Both = q.both()
	}
	return r
}

// gap is the longest time without a confirm that a publisher met, from the fault on.
func (q *queue) gap(home int) (most time.Duration) {
	last := q.broken
	for _, a := range q.answers[home] {
		if a.at.Before(q.broken) {
			last = a.at
			continue
		}
		most, last = max(most, a.at.Sub(last)), a.at
	}
	return max(most, q.ended.Sub(last))
}

// both counts confirms that node 1 gave once the others had been served without it. The
// silence of a new leader's election parts the two.
func (q *queue) both() (n int) {
	var since time.Time
	for home := 2; home <= nodes; home++ {
		last := q.broken
		for _, a := range q.answers[home] {
			if a.at.Before(q.broken) || a.at.After(q.healed) || a.node == 1 {
				continue
			}
			if a.at.Sub(last) > 200*time.Millisecond && (since.IsZero() || a.at.Before(since)) {
				since = a.at
			}
			last = a.at
		}
	}
	for _, as := range q.answers {
		for _, a := range as {
			if a.node == 1 && !since.IsZero() && a.at.After(since) && a.at.Before(q.healed) {
				n++
			}
		}
	}
	return n
}

func (r Row) String() string {
	return fmt.Sprintf("%s, %s: %d acked, %d lost, gap %.2f s (node 1's client %.2f s), %d nacked, %d returned, %d unknown",
		r.Queue, r.Fault, r.Acked, r.Lost, r.Gap.Seconds(), r.First.Seconds(), r.Nacked, r.Returned, r.Unknown)
}

// Markdown writes rows as a table.
func Markdown(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 4, 1, ' ', 0)
	fmt.Fprintln(t, "| queue\t| fault\t| acked\t| lost\t| longest gap, nodes 2 and 3\t| node 1's client\t| nacked\t| returned\t|"+
		" unknown\t| again, marked\t| unmarked\t| after settled\t| held twice\t| cancels\t| both sides\t| declare meanwhile\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range rows {
		fmt.Fprintf(t, "| %s\t| %s\t| %d\t| %d\t| %.2f s\t| %.2f s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %s\t|\n",
			r.Queue, r.Fault, r.Acked, r.Lost, r.Gap.Seconds(), r.First.Seconds(), r.Nacked, r.Returned, r.Unknown,
			r.Again, r.Unmarked, r.Late, r.Doubly, r.Cancels, r.Both, r.Asked)
	}
	return t.Flush()
}

// Kept says whether nothing that was confirmed is lost, and no two nodes led at once.
func Kept(rows []Row) bool {
	for _, r := range rows {
		if r.Lost > 0 || r.Both > 0 || r.Doubly > 0 {
			return false
		}
	}
	return true
}
