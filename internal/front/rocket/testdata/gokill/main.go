// Gokill sends one message after another through rocketmq-client-go for a while and
// prints what became of them: run it, then kill a node. -addr sends straight to one
// address, as a client does whose route has been renewed.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

func main() {
	names := flag.String("n", "127.0.0.1:9876", "NameServers, separated by ;")
	topic := flag.String("topic", "gokill", "topic")
	span := flag.Duration("for", 20*time.Second, "how long to send")
	flag.Parse()
	rlog.SetLogLevel("fatal")
	run := fmt.Sprint(time.Now().UnixMilli())
	servers := primitive.NamesrvAddr(strings.Split(*names, ";"))
	p, err := rocketmq.NewProducer(producer.WithNameServer(servers), producer.WithRetry(0),
		producer.WithSendMsgTimeout(time.Second))
	if err != nil {
		panic(err)
	}
	if err := p.Start(); err != nil {
		panic(err)
	}
	acked, failed := map[string]int{}, 0
	var longest time.Duration
	var firstErr error
	last := time.Now()
	for i := 0; time.Since(last) < time.Minute && i >= 0; i++ {
		if *span -= 0; time.Since(start) > *span {
			break
		}
		id := fmt.Sprint(run, "-", i)
		r, err := p.SendSync(context.Background(), primitive.NewMessage(*topic, []byte(id)))
		if err != nil || r.Status != primitive.SendOK {
			if failed++; firstErr == nil {
				firstErr = fmt.Errorf("%v %w", r, err)
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		acked[id] = 0
		longest = max(longest, time.Since(last))
		last = time.Now()
	}
	fmt.Printf("acked %d, failed calls %d (first: %v), longest gap %v\n", len(acked), failed, firstErr,
		longest.Round(time.Millisecond))
	c, err := rocketmq.NewPullConsumer(consumer.WithNameServer(servers),
		consumer.WithGroupName("gokill-"+run))
	_ = c
	done := make(chan struct{})
	got := make(chan string, 1<<16)
	pc, err := rocketmq.NewPushConsumer(consumer.WithNameServer(servers),
		consumer.WithGroupName("gokill-"+run),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		panic(err)
	}
	_ = pc.Subscribe(*topic, consumer.MessageSelector{}, func(_ context.Context,
		ms ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range ms {
			got <- string(m.Body)
		}
		return consumer.ConsumeSuccess, nil
	})
	if err := pc.Start(); err != nil {
		panic(err)
	}
	read, twice := 0, 0
	for end := time.After(30 * time.Second); read < len(acked); {
		select {
		case id := <-got:
			if n, ok := acked[id]; ok {
				if acked[id]++; n == 0 {
					read++
				} else {
					twice++
				}
			}
			continue
		case <-end:
		}
		break
	}
	close(done)
	fmt.Printf("read back %d, missing %d, twice %d\n", read, len(acked)-read, twice)
	_ = pc.Shutdown()
	_ = p.Shutdown()
}

var start = time.Now()
