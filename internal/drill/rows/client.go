package rows

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// heldFor is how long a consumer keeps a message before it settles it.
const heldFor = 20 * time.Millisecond

// begin starts a publisher and a consumer on every node. They end with the scene's contexts.
func (q *queue) begin(s *scene) {
	for n := 1; n <= nodes; n++ {
		p := &publisher{q: q, home: n}
		q.publishers = append(q.publishers, p)
		s.wait.Go(func() { // ends with s.publish
			s.anywhere(s.publish, n, func(ctx context.Context, conn *amqp.Connection, at int) error {
				return p.run(ctx, s, conn, at)
			})
		})
		s.wait.Go(func() { // ends with s.consume
			s.anywhere(s.consume, n, func(ctx context.Context, conn *amqp.Connection, at int) error {
				return q.consume(ctx, conn, at)
			})
		})
	}
}

// anywhere runs a client on its own node, and on the next when its connection ends.
func (s *scene) anywhere(ctx context.Context, home int, run func(context.Context, *amqp.Connection, int) error) {
	for at := home; ctx.Err() == nil; sleep(ctx, 50*time.Millisecond) {
		conn, err := s.dial(at)
		if err == nil {
			err = run(ctx, conn, at)
			stuck := time.AfterFunc(time.Second, func() { conn.CloseDeadline(time.Now()) })
			conn.CloseDeadline(time.Now().Add(time.Second))
			stuck.Stop()
		}
		if err != nil && !errors.Is(err, errAgain) {
			at = at%nodes + 1
		}
	}
}

// errAgain: the connection is good, its channel has ended.
var errAgain = errors.New("channel ended")

// publisher has one message in flight.
type publisher struct {
	q    *queue
	home int
	seq  int
}

func (p *publisher) run(ctx context.Context, s *scene, conn *amqp.Connection, at int) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 1))
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	ended := ch.NotifyClose(make(chan *amqp.Error, 1))
	for ctx.Err() == nil {
		p.seq++
		id := fmt.Sprintf("%d-%d", p.home, p.seq)
		err := ch.PublishWithContext(ctx, "", p.q.kind, true, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(id)})
		if err != nil {
			p.q.told(p, at, id, unknown)
			return err
		}
		select {
		case cf, ok := <-confirms:
			switch {
			case !ok:
				p.q.told(p, at, id, unknown)
				return errors.New("the connection ended")
			case !cf.Ack:
				p.q.told(p, at, id, nacked)
				sleep(ctx, 10*time.Millisecond)
			case len(returns) > 0:
				<-returns
				p.q.told(p, at, id, returned)
			default:
				p.q.told(p, at, id, acked)
			}
		case <-ended:
			p.q.told(p, at, id, unknown)
			if conn.IsClosed() {
				return errors.New("the connection ended")
			}
			return errAgain
		case <-time.After(s.o.Patient):
			p.q.told(p, at, id, unknown)
			return errors.New("no answer")
		case <-ctx.Done():
			p.q.told(p, at, id, unknown)
			return ctx.Err()
		}
		sleep(ctx, time.Millisecond)
	}
	return nil
}

// consume settles what comes, a moment after it came.
func (q *queue) consume(ctx context.Context, conn *amqp.Connection, at int) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(50, 0, false); err != nil {
		return err
	}
	cancelled := ch.NotifyCancel(make(chan string, 1))
	ds, err := ch.Consume(q.kind, "", false, false, false, false, nil)
	if err != nil {
		if conn.IsClosed() {
			return err
		}
		return errAgain
	}
	self := q.joined(at)
	defer q.left(self)
	type held struct {
		d    amqp.Delivery
		till time.Time
	}
	hands := make(chan held, 64)
	defer close(hands)
	go func() { // ends with hands
		for h := range hands {
			sleep(ctx, time.Until(h.till))
			q.settling(self, string(h.d.Body))
			h.d.Ack(false)
		}
	}()
	for {
		select {
		case d, ok := <-ds:
			if !ok {
				if conn.IsClosed() {
					return errors.New("the connection ended")
				}
				return errAgain
			}
			q.came(self, string(d.Body), d.Redelivered)
			hands <- held{d, time.Now().Add(heldFor)}
		case <-cancelled:
			q.mu.Lock()
			q.cancels++
			q.mu.Unlock()
			return errAgain
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
