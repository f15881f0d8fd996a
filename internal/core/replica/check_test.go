package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/cryptotest"

	"trine/internal/core"
)

// TestNoMessageEndsTheProcess gives copies of both kinds, in every role, messages
// that no copy would send.
func TestNoMessageEndsTheProcess(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 5)
	for _, policy := range []core.Policy{core.Majority(3), core.InSync(3, 2, core.FlushLazy)} {
		for s := range uint64(1500) {
			rng := rand.New(rand.NewPCG(s, 1))
			w := newBench(t, policy)
			for range rng.IntN(4) {
				es := []core.Entry{{Kind: core.EntryBatch, Count: 1, Data: make([]byte, 70)}}
				if err := w.copies[0].Propose(w.now, es); err != nil {
					t.Fatal(err)
				}
				w.run()
			}
			if rng.IntN(2) == 0 {
				w.compact()
			}
			c := w.copies[rng.IntN(2)]
			var said []*core.Replicate
			func() {
				defer func() {
					if r := recover(); r != nil {
						t.Fatalf("%s, seed %d: %v after %s", policy.Mode(), s, r, tellAll(said))
					}
				}()
				for range 30 {
					m := nonsense(rng, c)
					said = append(said, m)
					c.Step(w.now, m)
					if rng.IntN(3) == 0 {
						c.Tick(w.now)
					}
					if rng.IntN(2) == 0 {
						settle(c)
					}
				}
				settle(c)
			}()
		}
	}
}

// settle carries out what a copy wants of its disk, and applies.
func settle(c Copy) {
	var rd Ready
	for i := 0; i < 100 && c.Ready(&rd); i++ {
		for j := range rd.Writes {
			c.Persisted(rd.Writes[j].ID)
		}
		c.Applied(rd.Committed)
	}
}

func tellAll(ms []*core.Replicate) string {
	s := ""
	for _, m := range ms {
		s += fmt.Sprintf("\n%d>%d type %d epoch %d at %d/%d commit %d hint %d reject %v", m.From,
			m.To, m.Type, m.Epoch, m.Index, m.LogEpoch, m.Commit, m.Hint, m.Reject)
		s += fmt.Sprintf(" entries %d checkpoint %+v", len(m.Entries), m.Checkpoint)
	}
	return s
}

func nonsense(rng *rand.Rand, c Copy) *core.Replicate {
	small := func() core.Index { return core.Index(rng.IntN(12) - 1) }
	to := core.DiskID(1)
	switch c := c.(type) {
	case *group:
		to = c.cfg.Self
	case *following:
		to = c.cfg.Self
	}
	m := &core.Replicate{Stream: 9, Gen: 1, Type: core.ReplicateType(rng.IntN(19)), To: to,
		From: core.DiskID(1 + rng.IntN(4)), Epoch: core.Epoch(rng.IntN(5) - 1),
		LogEpoch: core.Epoch(rng.IntN(4)), Index: small(), Commit: small(), Hint: small(),
		Vote: core.DiskID(rng.IntN(5)), Reject: rng.IntN(4) == 0}
	if rng.IntN(50) == 0 {
		m.Epoch = 1<<31 - 1
	}
	if rng.IntN(3) == 0 {
		m.Context = []byte(transferContext)
	}
	epoch := m.LogEpoch
	for i := range rng.IntN(4) {
		epoch += core.Epoch(rng.IntN(2))
		m.Entries = append(m.Entries, core.Entry{Index: m.Index + core.Index(i) + 1, Gen: 1,
			Epoch: epoch, Kind: core.EntryKind(rng.IntN(8)), Base: core.Offset(rng.IntN(5)),
			Data: []byte{byte(rng.IntN(256))}})
	}
	if rng.IntN(2) == 0 {
		m.Checkpoint = &core.Checkpoint{Index: small(), Epoch: core.Epoch(rng.IntN(4)), Gen: 1,
			Members: []byte{membersVersion, 8, byte(rng.IntN(4)), 16, byte(rng.IntN(4))}}
	}
	return m
}
