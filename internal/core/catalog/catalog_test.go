package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trine/internal/core"
)

// TestNamesStayInOrder holds the ordered map against a sorted list.
func TestNamesStayInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, is := newOrdered[int](), map[string]int{}
		step := uniform(t, 1, 3, "step")
		for i := range uniform(t, 0, 4000, "keys") {
			key := fmt.Sprintf("%c%d", 'a'+i*step%3, i*7919%5003)
			o.put(key, i)
			is[key] = i
			if i%5 == 0 {
				gone := fmt.Sprintf("%c%d", 'a'+i%3, i*31%5003)
				o.remove(gone)
				delete(is, gone)
			}
		}
		for _, prefix := range []string{"", "a", "b1", "c99", "d", "A"} {
			var want, got []string
			for key, v := range is {
				if strings.HasPrefix(key, prefix) {
					want = append(want, fmt.Sprint(key, " ", v))
				}
			}
			slices.Sort(want)
			o.each(prefix, func(key string, v int) { got = append(got, fmt.Sprint(key, " ", v)) })
			slices.SortFunc(want, func(a, b string) int {
				return strings.Compare(strings.Fields(a)[0], strings.Fields(b)[0])
			})
			if !slices.Equal(got, want) {
				t.Fatalf("below %q: %d keys, should be %d: %v\n%v", prefix, len(got), len(want), got, want)
			}
		}
	})
}

// TestGrowthIsBoundedPerEntry: a node that joins gets a thousand copies at once, the
// rest with Grow.
func TestGrowthIsBoundedPerEntry(t *testing.T) {
	c := New(1, []core.Member{{Node: 1, Disk: 16, InSync: true}})
	c.Apply(1, Register(core.Peer{Node: 1, Disk: 16, Incarnation: 1}, Registration{}))
	c.Apply(2, defines(0, 2500))
	join := core.Peer{Node: 2, Disk: 32, Incarnation: 1}
	c.Apply(3, Register(join, Registration{}))
	for i, want := range []int{1000, 2000, 2500} {
		if got := len(c.On(32)); got != want {
			t.Fatalf("after %d times: %d copies, should be %d", i, got, want)
		}
		if c.Growing() != (want < 2500) {
			t.Fatalf("with %d copies Growing is %v", want, c.Growing())
		}
		c.Apply(core.Index(4+i), Grow())
	}
}

// TestACheckpointTakesAnOlderCatalogsPlace: what is there no more counts as gone.
func TestACheckpointTakesAnOlderCatalogsPlace(t *testing.T) {
	w := furnished()
	old, err := Decode(w.a.Encode())
	if err != nil {
		t.Fatal(err)
	}
	w.a.Apply(50, Put(core.Peer{}, []core.Change{{Stream: "q0"}, {Key: "d0"}}))
	c, err := Decode(w.a.Encode())
	if err != nil {
		t.Fatal(err)
	}
	c.Replace(old)
	var ch Changes
	c.Changes(&ch)
	if len(ch.Gone) != 1 || ch.Gone[0].Name != "q0" || len(ch.Streams) != 3 || !ch.Nodes {
		t.Errorf("gone %v, streams %v, nodes %v", ch.Gone, ch.Streams, ch.Nodes)
	}
	if len(ch.Documents) != 3 || ch.Documents[0].Key != "d0" || ch.Documents[0].Value != nil {
		t.Errorf("documents %v", ch.Documents)
	}
}

// TestWhatTheCatalogAnswers asks each of its questions once.
func TestWhatTheCatalogAnswers(t *testing.T) {
	c := furnished().a
	q0, q1 := c.ByName("q0"), c.ByName("q1")
	if got := c.List("q"); len(got) != 3 || got[0] != q0 || c.Stream(q0.ID) != q0 {
		t.Errorf("List gives %v", got)
	}
	if c.ByName("q") != nil || c.Stream(7) != nil || c.Lead(7) != 0 || c.First(7) != nil || c.Seal(7) != 0 {
		t.Error("there is a stream that there is not")
	}
	if c.Lead(q0.ID) != 16 || c.Lead(q1.ID) != 0 {
		t.Errorf("leads: %x, %x", c.Lead(q0.ID), c.Lead(q1.ID))
	}
	if led := c.Led(1); len(led) != 1 || led[0] != q0 || c.Led(9) != nil {
		t.Errorf("node 1 leads %v", led)
	}
	if p, ok := c.Target(q1.ID); !ok || p.Mode() != "single" {
		t.Errorf("q1 changes to %v, %v", p, ok)
	}
	if _, ok := c.Target(q0.ID); ok {
		t.Error("q0 changes its kind")
	}
	nodes := c.Nodes()
	if len(nodes) != 3 || !nodes[0].Voter || nodes[1].Voter || !nodes[1].Alive {
		t.Errorf("nodes %+v", nodes)
	}
	if d, ok := c.Document("d1"); !ok || string(d.Value) != "\x01" || len(c.Documents("d")) != 3 {
		t.Errorf("document %v", d)
	}
	if c.Cluster() != 1 || c.Condition(q0.ID) != Led || c.Condition(q1.ID) != Elects || c.Condition(7) != 0 {
		t.Error("cluster or conditions")
	}
}

// TestTheLastEpochHasNoSuccessor: epochs end before they would begin anew.
func TestTheLastEpochHasNoSuccessor(t *testing.T) {
	w := furnished()
	st, _ := w.a.names.get("q0")
	w.a.edit(st).Epoch = epochMax
	w.a.Apply(60, Fence(core.Peer{Node: 1, Disk: 16, Incarnation: 1}))
	if st.Leader != 0 || st.Epoch != epochMax {
		t.Error(w.a.DescribeStream(st.ID))
	}
}
