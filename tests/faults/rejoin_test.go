package faults

import (
	"fmt"
	"os"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trine/tests/nodes"
)

// TestANodeWhoseDataIsDeletedIsFilledAndVotesAgain deletes a stopped node's directory. It comes
// back with a new disk. While it is filled it must elect nobody: so the only other node that has
// everything is killed meanwhile. Then each node in turn is killed, and all that was ever
// acknowledged is read back, at last from what the node itself was given.
func TestANodeWhoseDataIsDeletedIsFilledAndVotesAgain(t *testing.T) {
	c := dev(t, 3)
	cl := kafka(t, c.Addresses("9092", 0))
	topics := []string{"in-sync", "majority"}
	for _, mode := range topics {
		topic(t, cl, mode, mode)
	}
	_, err := channel(t, c.Hosts[0]).QueueDeclare("quorum", true, false, false, false,
		amqp.Table{"x-queue-type": "quorum"})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	write := func(host, n int) {
		t.Helper()
		more := lines(len(want), n)
		for _, s := range topics {
			produce(t, cl, s, more)
		}
		publish(t, c.Hosts[host-1], "quorum", more)
		want = append(want, more...)
	}
	read := func(host int, when string) {
		t.Helper()
		for _, s := range topics {
			same(t, s+" "+when, everything(t, c.Addresses("9092", host-1), s, len(want)), want)
		}
		same(t, "quorum "+when, peek(t, c.Hosts[host-1], "quorum", len(want)), want)
	}
	write(1, 300)
	before := c.Until(t, 1, c.Whole)

	c.Do(t, "stop", 2)
	write(1, 200)
	if err := os.RemoveAll(c.Node(2)); err != nil {
		t.Fatal(err)
	}
	led := c.Until(t, 3, func(*nodes.Status) error { return nil })
	c.Do(t, "kill", 1) // two of three are gone: node 2 with an empty disk must not make a majority
	begun := make(chan error, 1)
	go func() { // ends with the order; waited for below
		_, err := nodes.Trine("dev", "start", "2", "--data", c.Data)
		begun <- err
	}()
	time.Sleep(1500 * time.Millisecond) // longer than any suspicion, lease and turn to campaign
	alone, err := c.Status(3)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range alone.Nodes {
		if n.Leads && !led.Nodes[i].Leads {
			t.Errorf("node %d leads the catalog by the vote of an empty disk", n.Node)
		}
	}
	for i, st := range alone.Streams {
		if st.Epoch != led.Streams[i].Epoch {
			t.Errorf("%s: node %d leads by the vote of an empty disk", st.Name, st.Leader)
		}
	}
	c.Do(t, "start", 1)
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
	after := c.Until(t, 1, c.Whole)
	if before.Nodes[1].Disk == after.Nodes[1].Disk {
		t.Error("node 2 came back with the disk whose data was deleted")
	}
	read(2, "when it was filled")

	for _, n := range []int{1, 3} {
		c.Do(t, "kill", n)
		write(2, 50) // the other of the two that are left votes with node 2, or nothing is written
		read(2, fmt.Sprintf("with node %d killed", n))
		c.Do(t, "start", n)
		c.Until(t, 2, c.Whole)
	}
	for _, st := range c.Until(t, 2, c.Whole).Streams {
		if len(st.Members) < 3 {
			continue
		}
		if _, err := nodes.Trine("stream", "move", st.Name, "--to", "2,1,3", "--http", c.Hosts[1]+":15672"); err != nil {
			t.Fatal(err)
		}
	}
	c.Until(t, 2, func(s *nodes.Status) error {
		for _, st := range s.Streams {
			if len(st.Members) == 3 && st.Leader != 2 {
				return fmt.Errorf("%s: node %d leads", st.Name, st.Leader)
			}
		}
		return c.Whole(s)
	})
	read(2, "from node 2")
}
