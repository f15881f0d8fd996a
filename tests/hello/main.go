// Command hello sends a message with Apache RocketMQ's own Go client and waits until it
// comes back.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

func main() {
	nameServer := "127.0.0.1:9876"
	if len(os.Args) > 1 {
		nameServer = os.Args[1]
	}
	if err := run([]string{nameServer}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(nameServers []string) error {
	rlog.SetLogLevel("error")
	p, err := producer.NewDefaultProducer(producer.WithNameServer(nameServers))
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		return err
	}
	defer p.Shutdown()
	sent, err := p.SendSync(context.Background(), primitive.NewMessage("Greetings", []byte("hello")))
	if err != nil {
		return err
	}
	fmt.Println("sent", sent.MsgID, "to", sent.MessageQueue.BrokerName)

	c, err := consumer.NewPushConsumer(consumer.WithNameServer(nameServers),
		consumer.WithGroupName("greeters"), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		return err
	}
	came := make(chan string, 1000)
	err = c.Subscribe("Greetings", consumer.MessageSelector{},
		func(_ context.Context, ms ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range ms {
				came <- string(m.Body)
			}
			return consumer.ConsumeSuccess, nil
		})
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return err
	}
	defer c.Shutdown()
	select {
	case text := <-came:
		fmt.Println("received", text)
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("nothing came")
	}
}
