package drill

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// amqpLoad is two publishers with confirms, and one consumer that settles each
// message by itself.
type amqpLoad struct {
	kind     string
	mirrored bool
	defaults bool // the client's own

	p     *plan
	queue string
	stop  context.CancelFunc // of the consumer
	again context.CancelFunc // of its session, guarded by mu: another follows
	ended chan struct{}

	mu   sync.Mutex
	away map[int]context.CancelFunc // ends sessions that are not with the first node
	next int
}

const (
	amqpPublishers = 2
	amqpPrefetch   = 200
	amqpWindow     = 4000 // unconfirmed messages of one publisher
)

var (
	errNacked   = errors.New("nack")
	errReturned = errors.New("returned")
	errCut      = errors.New("connection ended before the confirm")
)

// amqpError is what a server said when it closed something, with its code.
type amqpError struct{ said *amqp.Error }

func (e amqpError) Error() string { return e.said.Error() }

func (e amqpError) code() string {
	what, _, _ := strings.Cut(e.said.Reason, " '") // names of queues and nodes follow
	return fmt.Sprintf("%d %s", e.said.Code, what)
}

// said gives an error of the client as what the server said, where it did.
func said(err error) error {
	var e *amqp.Error
	if errors.As(err, &e) && e.Server {
		return amqpError{e}
	}
	return err
}

func (a *amqpLoad) dial(node int) (*amqp.Connection, *amqp.Channel, error) {
	url := "amqp://guest:guest@" + a.p.cluster.Address(node, AMQP) + "/"
	config := amqp.Config{Heartbeat: 2 * time.Second, Dial: func(network, addr string) (net.Conn, error) {
		return amqp.DefaultDial(requestMax)(network, addr)
	}}
	if a.defaults {
		config = amqp.Config{Locale: "en_US", Heartbeat: 10 * time.Second} // those of amqp.Dial
	}
	c, err := amqp.DialConfig(url, config)
	if err != nil {
		return nil, nil, err
	}
	ch, err := c.Channel()
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, ch, nil
}

func (a *amqpLoad) prepare(ctx context.Context, p *plan) error {
	a.p, a.queue = p, "drill-"+p.id
	if a.mirrored {
		err := p.cluster.Policy(ctx, a.queue, "^"+a.queue+"$", map[string]any{"ha-mode": "all"})
		if err != nil {
			return err
		}
	}
	c, ch, err := a.dial(p.leader)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = ch.QueueDeclare(a.queue, true, false, false, false, amqp.Table{"x-queue-type": a.kind})
	if err != nil {
		return err
	}
	if err := p.cluster.Lead(ctx, a.queue, p.leader); err != nil {
		return err
	}
	if err := p.cluster.Healthy(ctx, a.wants()); err != nil {
		return err
	}
	consume, stop := context.WithCancel(context.Background())
	a.stop, a.ended = stop, make(chan struct{})
	go a.consume(consume) // close waits
	return nil
}

func (a *amqpLoad) wants() []Want {
	copies := nodes
	if a.kind == "classic" && !a.mirrored {
		copies = 1
	}
	return []Want{{Part: a.queue, Copies: copies, Leader: a.p.leader}}
}

// each connects to the first node that takes it and runs fn on the connection, until
// ctx ends. fn returns when the connection is of no more use or its context ends.
func (a *amqpLoad) each(ctx context.Context, fn func(context.Context, *amqp.Channel) error) {
	for i := 0; ctx.Err() == nil; i++ {
		place := i % len(a.p.at)
		c, ch, err := a.dial(a.p.at[place])
		if err == nil {
			session, end := context.WithCancel(ctx)
			id := a.began(place, end)
			err = fn(session, ch)
			a.mu.Lock()
			delete(a.away, id)
			a.mu.Unlock()
			end()
			c.CloseDeadline(time.Now().Add(requestMax))
			i = -1
		}
		if err != nil && ctx.Err() == nil {
			a.p.ledger.Fail(said(err))
			sleep(ctx, backOffMax)
		}
	}
}

// began notes a session that home shall end.
func (a *amqpLoad) began(place int, end context.CancelFunc) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next++
	if place > 0 {
		if a.away == nil {
			a.away = map[int]context.CancelFunc{}
		}
		a.away[a.next] = end
	}
	return a.next
}

func (a *amqpLoad) home(ctx context.Context) error {
	for {
		a.mu.Lock()
		n := len(a.away)
		for _, end := range a.away {
			end()
		}
		a.mu.Unlock()
		if n == 0 {
			return nil
		}
		if sleep(ctx, backOffMax); ctx.Err() != nil {
			return fmt.Errorf("%d clients are not back at node %d: %w", n, a.p.at[0], ctx.Err())
		}
	}
}

func (a *amqpLoad) consume(ctx context.Context) {
	defer close(a.ended)
	a.each(ctx, func(ctx context.Context, ch *amqp.Channel) error {
		ctx, end := context.WithCancel(ctx)
		defer end()
		a.mu.Lock()
		a.again = end
		a.mu.Unlock()
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := ch.Qos(amqpPrefetch, 0, false); err != nil {
			return fmt.Errorf("qos: %w", err)
		}
		ds, err := ch.Consume(a.queue, "drill", false, false, false, false, nil)
		if err != nil {
			return fmt.Errorf("consume: %w", err)
		}
		for {
			select {
			case <-ctx.Done():
				return nil
			case d, ok := <-ds:
				if !ok {
					select {
					case err := <-closed:
						if err != nil {
							return fmt.Errorf("consumer: %w", err)
						}
					case <-time.After(10 * time.Millisecond):
					}
					return errors.New("consumer was cancelled")
				}
				at, ours := a.p.ledger.Read(d.Body, a.queue, -1, d.Redelivered)
				if err := d.Ack(false); err != nil {
					return fmt.Errorf("ack: %w", err)
				}
				if ours {
					a.p.ledger.Settled(at)
				}
			}
		}
	})
}

func (a *amqpLoad) load(ctx, within context.Context) {
	var wait sync.WaitGroup
	for p := range amqpPublishers {
		wait.Go(func() { a.publish(ctx, within, p) }) // ends with within at the latest
	}
	wait.Wait()
}

func (a *amqpLoad) publish(ctx, within context.Context, producer int) {
	a.each(ctx, func(ctx context.Context, ch *amqp.Channel) error {
		o := &confirms{ledger: a.p.ledger, producer: producer, room: make(chan struct{}, amqpWindow)}
		if err := ch.Confirm(false); err != nil {
			return fmt.Errorf("confirm: %w", err)
		}
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		returns := ch.NotifyReturn(make(chan amqp.Return, amqpWindow))
		answers := ch.NotifyPublish(make(chan amqp.Confirmation, amqpWindow))
		done := make(chan struct{})
		go func() { o.take(answers, returns); close(done) }() // ends with the channel; waited for below
		var failed error
		sending, cancel := context.WithCancel(ctx)
		defer cancel()
		paced(sending, a.p.rate/amqpPublishers, func() {
			select {
			case <-done:
				cancel()
				return
			case <-sending.Done():
				return
			case o.room <- struct{}{}:
			}
			seq, body := o.next()
			err := ch.PublishWithContext(sending, "", a.queue, true, false, amqp.Publishing{
				DeliveryMode: amqp.Persistent, Body: body, MessageId: fmt.Sprint(seq)})
			if err != nil {
				failed = err
				cancel()
			}
		})
		if failed == nil {
			o.await(within, done)
		}
		ch.Close()
		<-done
		select {
		case err := <-closed:
			if err != nil {
				return fmt.Errorf("publisher: %w", err)
			}
		default:
		}
		return failed
	})
}

// confirms pairs what one channel published with what it was told.
type confirms struct {
	ledger   *Ledger
	producer int
	room     chan struct{}

	mu       sync.Mutex
	seqs     []int64 // by delivery tag, from 1
	open     int
	returned map[string]bool
}

func (o *confirms) next() (int64, []byte) {
	seq, body := o.ledger.Next(o.producer)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seqs = append(o.seqs, seq)
	o.open++
	return seq, body
}

// take notes every outcome until the channel ends; what is open then is unknown.
func (o *confirms) take(answers chan amqp.Confirmation, returns chan amqp.Return) {
	told := map[uint64]bool{}
	o.returned = map[string]bool{}
	note := func(r amqp.Return) { o.returned[r.MessageId] = true }
	for answers != nil {
		select {
		case r, ok := <-returns:
			if !ok {
				returns = nil
				continue
			}
			note(r)
		case c, ok := <-answers:
			if !ok {
				answers = nil
				continue
			}
			// A return goes out before its confirm, on a channel of its own here.
			for more := returns != nil; more; {
				select {
				case r, ok := <-returns:
					if more = ok; ok {
						note(r)
					}
				default:
					more = false
				}
			}
			o.mu.Lock()
			seq := o.seqs[c.DeliveryTag-1]
			o.open--
			o.mu.Unlock()
			told[c.DeliveryTag] = true
			<-o.room
			switch {
			case o.returned[fmt.Sprint(seq)]:
				o.ledger.Told(o.producer, seq, errReturned, true)
			case !c.Ack:
				o.ledger.Told(o.producer, seq, errNacked, false)
			default:
				o.ledger.Told(o.producer, seq, nil, false)
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, seq := range o.seqs {
		if !told[uint64(i)+1] {
			o.ledger.Told(o.producer, seq, errCut, false)
		}
	}
}

// await waits until all is confirmed.
func (o *confirms) await(ctx context.Context, done chan struct{}) {
	for {
		o.mu.Lock()
		open := o.open
		o.mu.Unlock()
		if open == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// drain lets the consumer empty the queue. What only another consumer is given was
// not lost, but the first one stood still.
func (a *amqpLoad) drain(ctx context.Context) error {
	quiet(ctx, a.p.ledger, time.Second)
	still := a.p.ledger.Missing()
	if still == 0 {
		return nil
	}
	a.mu.Lock()
	if a.again != nil {
		a.again()
	}
	a.mu.Unlock()
	quiet(ctx, a.p.ledger, time.Second)
	a.p.ledger.Stalled(still - a.p.ledger.Missing())
	return nil
}

func (a *amqpLoad) close() {
	if a.stop != nil {
		a.stop()
		<-a.ended
	}
}
