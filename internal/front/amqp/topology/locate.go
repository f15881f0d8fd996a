package topology

import (
	"slices"

	"trine/internal/core"
)

// balanceMax is how many queues are counted to find the node with the fewest: with more
// of them chance is as good, and does not grow dearer with each. RabbitMQ's number.
const balanceMax = 1000

// Locate gives the node where a new queue begins, of those that live: that of its client
// (client-local, and what no locator names), the one that leads the fewest queues (balanced,
// least-leaders, min-masters), or any (random). random gives a number below its argument.
func (v *View) Locate(vhost, name string, l Label, living []core.NodeID, random func(int) int) core.NodeID {
	if l.Exclusive || len(living) == 0 {
		return l.Node
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	switch v.policies.effective(vhost, name, l).locator(l) {
	case "random":
		return living[random(len(living))]
	case "balanced", "least-leaders", "min-masters":
		n := 0
		for _, h := range v.vhosts {
			n += len(h.queues)
		}
		if n > balanceMax {
			return living[random(len(living))]
		}
		return v.leastLed(l.Node, living)
	}
	return l.Node
}

// locator is what the arguments say, or else the policy in force.
func (e *Effective) locator(l Label) string {
	for _, key := range []string{"x-queue-leader-locator", "x-queue-master-locator"} {
		if s, ok := textOf(l.Arguments, key); ok {
			return s
		}
	}
	if e.LeaderLocator != "" {
		return e.LeaderLocator
	}
	return e.MasterLocator
}

// leastLed gives the node that leads the fewest queues; of equals first, else the earliest.
func (v *View) leastLed(first core.NodeID, living []core.NodeID) core.NodeID {
	led := map[core.NodeID]int{}
	for _, h := range v.vhosts {
		for _, q := range h.queues {
			at := q.Stream.Leader
			if at == 0 {
				at = q.Node
			}
			led[at]++
		}
	}
	best := living[0]
	if slices.Contains(living, first) {
		best = first
	}
	for _, n := range living {
		if led[n] < led[best] {
			best = n
		}
	}
	return best
}
