package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"trine/internal/core"
	"trine/internal/front"
)

// Node is one node of the cluster. Disk and Run are in hexadecimal.
type Node struct {
	Node      core.NodeID       `json:"node"`
	Disk      string            `json:"disk"`
	Run       string            `json:"run"`
	Alive     bool              `json:"alive"`
	Self      bool              `json:"self"`  // it answers this request
	Voter     bool              `json:"voter"` // votes in the catalog
	Leads     bool              `json:"leads"` // leads the catalog
	Rack      string            `json:"rack,omitempty"`
	Addresses map[string]string `json:"addresses"`
}

// Stream is one stream.
type Stream struct {
	Name      string        `json:"name"`
	ID        core.StreamID `json:"id"`
	Mode      string        `json:"mode"`
	Copies    int           `json:"copies"` // asked for
	MinInSync int           `json:"min_in_sync"`
	Flush     string        `json:"flush"` // each or lazy
	Queue     bool          `json:"queue"`
	Leader    core.NodeID   `json:"leader"` // 0: none
	Epoch     core.Epoch    `json:"epoch"`
	Kind      int           `json:"generation"`
	InSync    int           `json:"in_sync"`
	Changing  bool          `json:"changing,omitempty"`
	Members   []Member      `json:"members"`
	Local     *Ends         `json:"local,omitempty"` // what this node's copy holds
	Lent      *QueueState   `json:"queue_state,omitempty"`
}

// Member is one copy of a stream.
type Member struct {
	Node   core.NodeID `json:"node"`
	Disk   string      `json:"disk"`
	InSync bool        `json:"in_sync"`
}

// Ends is from where to where a copy may be read.
type Ends struct {
	Start     core.Offset `json:"start"`
	Committed core.Offset `json:"committed"`
}

// QueueState is what a queue says of itself.
type QueueState struct {
	Ready     int64 `json:"ready"`
	Lent      int64 `json:"lent"`
	Bytes     int64 `json:"bytes"`
	Consumers int   `json:"consumers"`
}

// Change asks for another mode; zero fields stay as they are.
type Change struct {
	Mode      string `json:"mode"`
	Copies    int    `json:"copies"`
	MinInSync int    `json:"min_in_sync"`
	Flush     string `json:"flush"`
}

// Move asks for other nodes, the preferred leader first.
type Move struct {
	Nodes []core.NodeID `json:"nodes"`
}

func (a *Admin) nodes(c front.Core, _ *http.Request) (any, error) {
	all := []Node{}
	for _, n := range c.Cluster().Nodes() {
		all = append(all, Node{Node: n.Node, Disk: hex(n.Disk), Run: hex(n.Incarnation), Alive: n.Alive,
			Self: n.Self, Voter: n.Voter, Leads: n.Leads, Rack: n.Rack, Addresses: n.Addresses})
	}
	return all, nil
}

func hex[T ~uint64](v T) string { return fmt.Sprintf("%016x", uint64(v)) }

func (a *Admin) streams(c front.Core, r *http.Request) (any, error) {
	q := r.URL.Query()
	found := c.Streams().List(q.Get("prefix"))
	if name := q.Get("name"); name != "" {
		s, err := lookup(r.Context(), c, name)
		if err != nil {
			return nil, err
		}
		found = []*core.Stream{s}
	}
	all := make([]Stream, len(found))
	for i, s := range found {
		all[i] = describe(s)
	}
	if q.Get("ends") != "" {
		if err := ends(r.Context(), c, found, all); err != nil {
			return nil, err
		}
	}
	if q.Get("name") != "" && all[0].Queue {
		i, err := await(r.Context(), func(done func(core.QueueInfo, error)) {
			c.Queue().Inspect(all[0].ID, done)
		})
		if err == nil {
			all[0].Lent = &QueueState{i.Ready, i.Lent, i.Bytes, len(i.Consumers)}
		}
	}
	return all, nil
}

// lookup says that there is no such stream only once this node knows all that was
// agreed before.
func lookup(ctx context.Context, c front.Core, name string) (*core.Stream, error) {
	if s := c.Streams().Lookup(name); s != nil {
		return s, nil
	}
	_, err := await(ctx, func(done func(struct{}, error)) {
		c.Cluster().Sync(func(err error) { done(struct{}{}, err) })
	})
	if err != nil {
		return nil, err
	}
	if s := c.Streams().Lookup(name); s != nil {
		return s, nil
	}
	return nil, &core.Error{Op: "find stream", Name: name, Kind: core.NotExist}
}

func describe(s *core.Stream) Stream {
	d := Stream{Name: s.Name, ID: s.ID, Mode: s.Policy.Mode(), Copies: s.Policy.Copies,
		MinInSync: s.Policy.MinInSync, Flush: flushName(s.Policy.Flush), Queue: s.Queue != nil,
		Leader: s.Leader, Epoch: s.Epoch, Kind: int(s.Gen), InSync: s.InSyncCount(), Changing: s.Changing}
	for _, m := range s.Members {
		d.Members = append(d.Members, Member{m.Node, hex(m.Disk), m.InSync})
	}
	return d
}

func flushName(f core.Flush) string {
	if f == core.FlushEach {
		return "each"
	}
	return "lazy"
}

// farAway is above every offset: a Read from there is answered with where the copy
// begins and ends, and reads nothing.
const farAway = core.Offset(1) << 60

// ends fills in what this node's copies hold.
func ends(ctx context.Context, c front.Core, found []*core.Stream, all []Stream) error {
	read := core.Read{Copy: true, Here: true}
	var at []int
	for i, s := range found {
		for _, m := range s.Members {
			if m.Node == c.Self().Node {
				read.Parts = append(read.Parts, core.ReadPart{Stream: s.ID, From: farAway})
				at = append(at, i)
				break
			}
		}
	}
	if len(at) == 0 {
		return nil
	}
	parts, err := await(ctx, func(done func([]core.ReadAnswer, error)) {
		c.Log().Read(read, func(as []core.ReadAnswer) { done(as, nil) })
	})
	if err != nil {
		return err
	}
	for k, p := range parts {
		if core.KindOf(p.Err) == core.OutOfRange {
			all[at[k]].Local = &Ends{p.Start, p.Committed}
		}
	}
	return nil
}

func (a *Admin) alter(c front.Core, r *http.Request) (any, error) {
	var ch Change
	if err := decode(r, &ch); err != nil {
		return nil, err
	}
	s, err := lookup(r.Context(), c, r.URL.Query().Get("name"))
	if err != nil {
		return nil, err
	}
	p, err := ch.apply(s.Policy)
	if err != nil {
		return nil, err
	}
	s, err = await(r.Context(), func(done func(*core.Stream, error)) {
		c.Streams().Alter(s.Name, core.Alteration{Policy: &p}, done)
	})
	if err != nil {
		return nil, err
	}
	return describe(s), nil
}

func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &core.Error{Op: "read request", Kind: core.Invalid, Err: err}
	}
	return nil
}

// apply gives the policy p with the change made to it.
func (ch Change) apply(p core.Policy) (core.Policy, error) {
	copies, minimum, flush := p.Copies, p.MinInSync, p.Flush
	if ch.Copies != 0 {
		copies = ch.Copies
	}
	switch ch.Flush {
	case "":
	case "each":
		flush = core.FlushEach
	case "lazy":
		flush = core.FlushLazy
	default:
		return p, &core.Error{Op: "alter stream", Kind: core.Invalid,
			Detail: fmt.Sprintf("flush %q is neither each nor lazy", ch.Flush)}
	}
	mode := ch.Mode
	if mode == "" {
		mode = p.Mode()
	}
	if ch.MinInSync != 0 {
		minimum = ch.MinInSync
	} else if ch.Mode == "insync" {
		minimum = max(1, copies/2+1)
	}
	var next core.Policy
	switch mode {
	case "single":
		next = core.Single(flush)
	case "mirror":
		next = core.Mirror(copies, flush)
	case "majority":
		next = core.Majority(copies)
	case "insync":
		next = core.InSync(copies, minimum, flush)
	case "primary":
		next = core.Primary(copies, flush)
	case "pair":
		next = core.Pair(copies, max(1, minimum), flush)
	default:
		return p, &core.Error{Op: "alter stream", Kind: core.Invalid, Detail: fmt.Sprintf(
			"mode %q is none of single, mirror, majority, insync, primary, pair", mode)}
	}
	return next, next.Check()
}

func (a *Admin) move(c front.Core, r *http.Request) (any, error) {
	var m Move
	if err := decode(r, &m); err != nil {
		return nil, err
	}
	s, err := lookup(r.Context(), c, r.URL.Query().Get("name"))
	if err != nil {
		return nil, err
	}
	if len(m.Nodes) == 0 {
		return nil, &core.Error{Op: "move stream", Name: s.Name, Kind: core.Invalid,
			Detail: "no node is named"}
	}
	_, err = await(r.Context(), func(done func(struct{}, error)) {
		c.Cluster().Move(s.Name, m.Nodes, func(err error) { done(struct{}{}, err) })
	})
	if err != nil {
		return nil, err
	}
	s, err = lookup(r.Context(), c, s.Name)
	if err != nil {
		return nil, err
	}
	return describe(s), nil
}
