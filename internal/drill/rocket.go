package drill

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// rocketLoad is a producer used by many senders, each waiting for its answer, and a
// push consumer that reads back.
type rocketLoad struct {
	mode     string
	defaults bool // the client's own

	p     *plan
	topic string

	mu       sync.RWMutex
	producer rocketmq.Producer
	made     int // producers
}

// senders of one mode: each waits for its answer, so that as many as fail to get one
// within requestMax must not be all.
const (
	sendersMin = 32
	sendersMax = 512
)

// sendRetries is more than the client's own 2: it forgets which broker failed, so that among
// many senders all tries of a message may meet the one that is away.
const sendRetries = 5

var quietLog = sync.OnceFunc(func() { rlog.SetLogLevel("fatal") })

func (r *rocketLoad) prepare(ctx context.Context, p *plan) error {
	quietLog()
	r.p, r.topic = p, "drill-"+p.id
	for _, g := range p.groups {
		at := p.cluster.Address(g, Broker)
		err := remoting(ctx, at, 25, nil, []byte("trineMode="+r.mode+"\n"))
		if err != nil {
			return fmt.Errorf("set broker group %d: %w", g, err)
		}
		err = remoting(ctx, at, 17, map[string]string{"topic": r.topic, "defaultTopic": "TBW102",
			"readQueueNums": "1", "writeQueueNums": "1", "perm": "6", "topicFilterType": "SINGLE_TAG",
			"topicSysFlag": "0", "order": "false"}, nil)
		if err != nil {
			return fmt.Errorf("create topic at group %d: %w", g, err)
		}
	}
	if r.mode == "dledger" {
		if err := p.cluster.Lead(ctx, r.topic, p.leader); err != nil {
			return err
		}
	}
	if err := p.cluster.Healthy(ctx, r.wants()); err != nil {
		return err
	}
	return r.connect(ctx)
}

// connect makes a producer that has sent something.
func (r *rocketLoad) connect(ctx context.Context) error {
	r.made++
	name := fmt.Sprintf("p%s-%d", r.p.id, r.made)
	opts := []producer.Option{producer.WithNameServer(r.servers()), producer.WithGroupName(name),
		producer.WithInstanceName(name)}
	if !r.defaults {
		opts = append(opts, producer.WithSendMsgTimeout(requestMax), producer.WithRetry(sendRetries))
	}
	var err error
	if r.producer, err = rocketmq.NewProducer(opts...); err != nil {
		return err
	}
	if err := r.producer.Start(); err != nil {
		return err
	}
	for {
		res, err := r.producer.SendSync(ctx, primitive.NewMessage(r.topic, []byte("warm up")))
		if err == nil && res.Status == primitive.SendOK {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("first send: %v, %w", res, errors.Join(err, ctx.Err()))
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

func (r *rocketLoad) wants() []Want {
	switch r.mode {
	case "dledger":
		return []Want{{Part: r.topic, Copies: nodes, Leader: r.p.leader}}
	case "single":
		return []Want{{Part: r.topic, Copies: 1}}
	}
	return []Want{{Part: r.topic, Copies: 2}}
}

// home makes a producer anew that is connected to the broken node: it would find
// that node again with its next poll of routes only, up to 30 s later.
func (r *rocketLoad) home(ctx context.Context) error {
	if r.p.at[0] != r.p.target {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.producer.Shutdown() // it is not used again
	return r.connect(ctx)
}

func (r *rocketLoad) servers() (at primitive.NamesrvAddr) {
	for _, n := range r.p.at {
		at = append(at, r.p.cluster.Address(n, NameServer))
	}
	return at
}

func (r *rocketLoad) load(ctx, within context.Context) {
	todo := make(chan struct{})
	var wait sync.WaitGroup
	for s := range min(max(r.p.rate, sendersMin), sendersMax) {
		wait.Go(func() { // ends when todo is closed
			for range todo {
				r.send(within, s)
			}
		})
	}
	paced(ctx, r.p.rate, func() {
		select {
		case todo <- struct{}{}:
		case <-ctx.Done():
		}
	})
	close(todo)
	wait.Wait()
}

func (r *rocketLoad) send(ctx context.Context, sender int) {
	seq, body := r.p.ledger.Next(sender)
	if !r.defaults { // the client itself has no setting for it: it waits 3 s
		short, cancel := context.WithTimeout(ctx, requestMax)
		defer cancel()
		ctx = short
	}
	r.mu.RLock()
	res, err := r.producer.SendSync(ctx, primitive.NewMessage(r.topic, body))
	r.mu.RUnlock()
	if err == nil && res.Status != primitive.SendOK {
		if soft := statuses[res.Status]; soft != "" {
			r.p.ledger.Soft(sender, seq, soft)
			return
		}
		err = fmt.Errorf("send status %d", res.Status)
	}
	r.p.ledger.Told(sender, seq, err, false)
	if err != nil {
		sleep(ctx, backOffMax)
	}
}

// statuses are RocketMQ's soft answers: the master has the message.
var statuses = map[primitive.SendStatus]string{primitive.SendFlushDiskTimeout: "FLUSH_DISK_TIMEOUT",
	primitive.SendFlushSlaveTimeout: "FLUSH_SLAVE_TIMEOUT", primitive.SendSlaveNotAvailable: "SLAVE_NOT_AVAILABLE"}

func (r *rocketLoad) drain(ctx context.Context) error {
	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer(r.servers()),
		consumer.WithGroupName("c"+r.p.id), consumer.WithInstance("c"+r.p.id),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		return err
	}
	read := func(_ context.Context, ms ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range ms {
			part := fmt.Sprint(m.Queue.BrokerName, "/", m.Queue.QueueId)
			r.p.ledger.Read(m.Body, part, m.QueueOffset, false)
		}
		return consumer.ConsumeSuccess, nil
	}
	if err := c.Subscribe(r.topic, consumer.MessageSelector{}, read); err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	quiet(ctx, r.p.ledger, 1500*time.Millisecond)
	return c.Shutdown()
}

func (r *rocketLoad) close() {
	if r.producer != nil {
		_ = r.producer.Shutdown() // it is not used again
	}
}

// remoting sends one command of RocketMQ's protocol, as its admin tools do.
func remoting(ctx context.Context, at string, code int, fields map[string]string, body []byte) error {
	c, err := (&net.Dialer{Timeout: requestMax}).DialContext(ctx, "tcp", at)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	header, err := json.Marshal(map[string]any{"code": code, "language": "GO", "version": 431, "opaque": 1,
		"flag": 0, "extFields": fields})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, uint32(4+len(header)+len(body)))
	binary.Write(&b, binary.BigEndian, uint32(len(header)))
	b.Write(header)
	b.Write(body)
	if _, err := c.Write(b.Bytes()); err != nil {
		return err
	}
	var sizes [2]uint32
	if err := binary.Read(c, binary.BigEndian, &sizes); err != nil {
		return err
	}
	if sizes[0] < 4 || sizes[0] > 1<<20 || sizes[1] > sizes[0]-4 {
		return fmt.Errorf("answer of %d bytes with a header of %d", sizes[0], sizes[1])
	}
	frame := make([]byte, sizes[0]-4)
	if _, err := io.ReadFull(c, frame); err != nil {
		return err
	}
	var answer struct {
		Code   int    `json:"code"`
		Remark string `json:"remark"`
	}
	if err := json.Unmarshal(frame[:sizes[1]], &answer); err != nil {
		return err
	}
	if answer.Code != 0 {
		return fmt.Errorf("answer %d: %s", answer.Code, answer.Remark)
	}
	return nil
}
