package catalog

import (
	"fmt"

	"pgregory.net/rapid"

	"trine/internal/core"
)

// This file draws commands that often fit the catalog as it is.

func (w *world) draw(t *rapid.T) []byte {
	switch uniform(t, 0, 25, "command") {
	case 0, 1, 2, 3:
		w.runs++
		p := core.Peer{Node: drawNode(t), Incarnation: core.Incarnation(w.runs)}
		p.Disk = core.DiskID(p.Node) * 16
		if uniform(t, 0, 4, "other disk") == 0 {
			p.Disk += core.DiskID(uniform(t, 0, 17, "disk"))
		}
		r := Registration{Rack: sampled(t, []string{"", "a", "b"}, "rack"),
			Clean: rapid.Bool().Draw(t, "clean"), SameBoot: rapid.Bool().Draw(t, "boot")}
		if rapid.Bool().Draw(t, "damaged") {
			r.Damaged = []core.StreamID{w.drawStream(t).ID}
		}
		return Register(p, r)
	case 4, 5, 6:
		return Fence(w.drawRun(t))
	case 7:
		return HandOver(w.drawRun(t))
	case 8, 9, 10, 11:
		s := w.drawStream(t)
		ch := InSyncChange{Stream: s.ID, Gen: s.Gen, Epoch: s.Epoch, Add: uniform(t, 0, 3, "add") > 0}
		ch.Disk = sampled(t, s.Members, "member").Disk
		if uniform(t, 0, 5, "old") == 0 {
			ch.Epoch--
		}
		return InSync([]InSyncChange{ch})
	case 12:
		return Move(w.drawStream(t).Name, drawNodes(t, 1))
	case 13, 14:
		by := w.drawRun(t)
		var ends []LogEnd
		for _, id := range w.a.Asked(by.Disk) {
			ends = append(ends, LogEnd{Stream: id, Epoch: core.Epoch(uniform(t, 0, 3, "epoch")),
				Index: core.Index(uniform(t, 0, 3, "index"))})
		}
		return Report(by, ends)
	case 15:
		s := w.drawStream(t)
		return Decide(s.Name, w.drawRun(t).Disk)
	case 16:
		return sampled(t, [][]byte{Grow(), Vote([]core.NodeID{1, 2, 3})}, "command")
	case 18, 19:
		s := w.drawStream(t)
		y := Yielding{Stream: s.ID, Gen: s.Gen, Epoch: s.Epoch, Out: rapid.Bool().Draw(t, "out")}
		if y.To, _ = w.a.Heir(s.ID); y.To == 0 || rapid.Bool().Draw(t, "any") {
			y.To = sampled(t, s.Members, "member").Disk
		}
		return Yield([]Yielding{y})
	case 17:
		return w.drawChanged(t)
	}
	return w.drawPut(t)
}

// uniform draws from min to max, each about as often: rapid's own ranges prefer the
// low ones, which would leave most rules untried.
func uniform(t *rapid.T, from, to int, label string) int {
	v := 0
	for n := to - from; n > 0; n >>= 1 {
		v *= 2
		if rapid.Bool().Draw(t, label) {
			v++
		}
	}
	return from + v%(to-from+1)
}

func sampled[V any](t *rapid.T, of []V, label string) V {
	return of[uniform(t, 0, len(of)-1, label)]
}

func drawNode(t *rapid.T) core.NodeID { return core.NodeID(uniform(t, 1, 5, "node")) }

func drawNodes(t *rapid.T, lenMin int) []core.NodeID {
	return rapid.SliceOfNDistinct(rapid.Custom(drawNode), lenMin, 4, rapid.ID[core.NodeID]).Draw(t, "nodes")
}

// drawRun gives a node's registered run, mostly.
func (w *world) drawRun(t *rapid.T) core.Peer {
	p := core.Peer{Node: drawNode(t)}
	if n := w.a.nodes[p.Node]; n != nil {
		p = n.Peer
	}
	if uniform(t, 0, 9, "older") == 0 {
		p.Incarnation--
	}
	return p
}

// drawStream gives a stream, or the catalog's own where there is none.
func (w *world) drawStream(t *rapid.T) *core.Stream {
	ids := w.a.ids.list()
	if len(ids) > 1 && uniform(t, 0, 9, "named") > 0 {
		ids = ids[1:]
	}
	return w.a.Stream(sampled(t, ids, "stream"))
}

func (w *world) drawChanged(t *rapid.T) []byte {
	s := w.drawStream(t)
	k := KindChange{Stream: s.ID, Gen: s.Gen, Seal: core.Index(uniform(t, 0, 9, "seal")),
		Floor: core.Epoch(uniform(t, 0, 9, "floor"))}
	for _, m := range s.Members {
		m.InSync = rapid.Bool().Draw(t, "holds")
		k.Members = append(k.Members, m)
	}
	return Changed(k)
}

func drawPolicy(t *rapid.T) core.Policy {
	n := uniform(t, 1, 4, "copies")
	f := core.Flush(uniform(t, 0, 1, "flush"))
	p := sampled(t, []core.Policy{core.Single(f), core.Mirror(n, f), core.Majority(n),
		core.InSync(n, 2, f), core.Primary(n, f), core.Pair(n, 1, f)}, "policy")
	if p.Election == core.ElectInSync && uniform(t, 0, 3, "any") == 0 {
		p.Election = core.ElectAny
	}
	return p
}

func (w *world) drawPut(t *rapid.T) []byte {
	var cs []core.Change
	for i := uniform(t, 1, 4, "changes"); i > 0; i-- {
		cs = append(cs, w.drawChange(t))
	}
	return Put(core.Peer{}, cs)
}

func (w *world) drawChange(t *rapid.T) core.Change {
	name := fmt.Sprint("q", uniform(t, 0, 5, "name"))
	var owner core.Owner
	if uniform(t, 0, 3, "owned") == 0 {
		p := w.drawRun(t)
		owner = core.Owner{Node: p.Node, Incarnation: p.Incarnation, Conn: 1}
	}
	switch uniform(t, 0, 6, "change") {
	case 0, 1, 2:
		d := &core.Definition{Name: name, Policy: drawPolicy(t), Owner: owner}
		if rapid.Bool().Draw(t, "placed") {
			d.At = drawNodes(t, 1)
		}
		return core.Change{Define: d}
	case 3, 4:
		a := &core.Alteration{}
		if rapid.Bool().Draw(t, "policy") {
			p := drawPolicy(t)
			a.Policy = &p
		}
		if rapid.Bool().Draw(t, "placed") {
			a.At = drawNodes(t, 1)
		}
		return core.Change{Stream: name, Alter: a}
	case 5:
		return core.Change{Stream: name}
	}
	ch := core.Change{Key: name, Owner: owner}
	if rapid.Bool().Draw(t, "value") {
		ch.Value = rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value")
	}
	if uniform(t, 0, 3, "expects") == 0 {
		ch.Expect = core.NoRevision
	}
	return ch
}
