package drill

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// killAfter is how long after the wish for another mode the leader is killed, in
// turn: the change itself takes some 10 to 100 ms.
var killAfter = []time.Duration{0, 3, 8, 15, 30, 60, 120}

// alter asks for the next mode of every stream, at a node that lives on, and waits
// until the moment for the kill. The wish may go under with the leader.
func (s *series) alter(ctx context.Context, i int) (note string, err error) {
	after := killAfter[i%len(killAfter)] * time.Millisecond
	var says []string
	for _, t := range s.track {
		ch := t.m.Changes[t.step%len(t.m.Changes)]
		t.step++
		st, err := s.c.Find(ctx, t.p.id)
		if err != nil {
			return "", err
		}
		says = append(says, fmt.Sprintf("%s: %s to %s", t.m.Name, st.Mode, ch.Mode))
		s.asked.Go(func() { // ends with its context; altered waits
			asked, cancel := context.WithTimeout(ctx, requestMax)
			defer cancel()
			_ = s.c.Alter(asked, s.seats.client, st.Name, ch) // altered asks again
		})
	}
	sleep(ctx, after)
	return fmt.Sprintf("%s; killed %v later", strings.Join(says, ", "), after), nil
}

// altered repeats the wish until it is seen.
func (s *series) altered(ctx context.Context) {
	s.asked.Wait()
	var wait sync.WaitGroup
	for _, t := range s.track {
		wait.Go(func() { // ends with ctx at the latest; waited for below
			ch := t.m.Changes[(t.step-1)%len(t.m.Changes)]
			for ctx.Err() == nil {
				st, err := s.c.Find(ctx, t.p.id)
				if err == nil && st.Mode == ch.Mode {
					return
				}
				if err == nil && !st.Changing {
					_ = s.c.Alter(ctx, s.seats.client, st.Name, ch) // asked again below
				}
				sleep(ctx, 100*time.Millisecond)
			}
		})
	}
	wait.Wait()
}
