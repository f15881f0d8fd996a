// Goclient sends messages through rocketmq-client-go and reads them back, against
// any NameServer: go run . -n 127.0.0.1:9876 -count 1000 -threads 8
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

func main() {
	names := flag.String("n", "127.0.0.1:9876", "NameServers, separated by ;")
	topic := flag.String("topic", "goclient", "topic")
	group := flag.String("group", fmt.Sprint("goclient-", os.Getpid()), "consumer group")
	count := flag.Int("count", 1000, "messages to send")
	threads := flag.Int("threads", 8, "senders")
	size := flag.Int("size", 128, "bytes of a body")
	ordered := flag.Bool("orderly", false, "consume in order")
	wait := flag.Duration("wait", 60*time.Second, "until all must be read back")
	verbose := flag.Bool("v", false, "the client's own log")
	flag.Parse()
	if !*verbose {
		rlog.SetLogLevel("fatal")
	}
	servers := primitive.NamesrvAddr(strings.Split(*names, ";"))
	p, err := rocketmq.NewProducer(producer.WithNameServer(servers),
		producer.WithGroupName("goclient-p"))
	check(err)
	check(p.Start())
	var mu sync.Mutex
	acked := map[string]bool{}
	var failed atomic.Int64
	start := time.Now()
	var wg sync.WaitGroup
	for t := range *threads {
		wg.Go(func() {
			for i := t; i < *count; i += *threads {
				id := fmt.Sprintf("%s-%08d", *group, i)
				m := primitive.NewMessage(*topic, []byte(id+strings.Repeat(".", max(*size-len(id), 0))))
				m.WithKeys([]string{id})
				r, err := p.SendSync(context.Background(), m)
				if err != nil || r.Status != primitive.SendOK {
					if failed.Add(1) < 10 {
						fmt.Println("send:", r, err)
					}
					continue
				}
				mu.Lock()
				acked[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	fmt.Printf("sent %d, failed %d, in %v: %.0f/s\n", len(acked), failed.Load(),
		took.Round(time.Millisecond),
		float64(len(acked))/took.Seconds())

	got := map[string]int{}
	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer(servers),
		consumer.WithGroupName(*group),
		consumer.WithConsumerOrder(*ordered),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	check(c.Subscribe(*topic, consumer.MessageSelector{}, func(_ context.Context,
		ms ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range ms {
			id, _, _ := strings.Cut(string(m.Body), ".")
			if acked[id] {
				got[id]++
			}
		}
		return consumer.ConsumeSuccess, nil
	}))
	start = time.Now()
	check(c.Start())
	for time.Since(start) < *wait {
		mu.Lock()
		all := len(got) == len(acked)
		mu.Unlock()
		if all {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	took = time.Since(start)
	mu.Lock()
	defer mu.Unlock()
	twice := 0
	for _, n := range got {
		if n > 1 {
			twice++
		}
	}
	fmt.Printf("read back %d, missing %d, twice %d, in %v\n", len(got), len(acked)-len(got), twice,
		took.Round(time.Millisecond))
	_ = c.Shutdown()
	_ = p.Shutdown()
	if len(got) != len(acked) || failed.Load() > 0 {
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
}
