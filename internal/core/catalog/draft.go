package catalog

import "trine/internal/core"

// draft checks the changes of one Put before any is carried out, each against what
// the ones before it would have made.
type draft struct {
	c         *Catalog
	streams   map[string]drafted
	documents map[string]core.Revision // NoRevision: it would be deleted
}

// drafted is what a stream would be.
type drafted struct {
	there    bool
	id       core.StreamID // 0: the Put makes it
	policy   core.Policy
	changing bool
}

func (d *draft) stream(name string) drafted {
	if s, ok := d.streams[name]; ok {
		return s
	}
	if st, ok := d.c.names.get(name); ok {
		return drafted{true, st.ID, st.Policy, st.Changing}
	}
	return drafted{}
}

func (d *draft) becomes(name string, s drafted) {
	if d.streams == nil {
		d.streams = make(map[string]drafted)
	}
	d.streams[name] = s
}

func (d *draft) check(ch *core.Change) Result {
	switch {
	case ch.Define != nil:
		return d.define(ch.Define)
	case ch.Stream != "":
		return d.stands(ch)
	}
	return d.document(ch)
}

func (d *draft) owner(name string, o core.Owner) Result {
	if o != (core.Owner{}) && !d.c.runs(o.Node, o.Incarnation) {
		return refused(core.Fenced, name, "the run of node %d that would own it is over", o.Node)
	}
	return Result{}
}

func (d *draft) document(ch *core.Change) Result {
	if ch.Key == "" {
		return refused(core.Invalid, "", "a document needs a key")
	}
	have, ok := d.documents[ch.Key]
	if !ok {
		have = core.NoRevision
		if doc, there := d.c.documents.get(ch.Key); there {
			have = doc.Revision
		}
	}
	if ch.Expect != core.AnyRevision && ch.Expect != have {
		res := refused(core.Conflict, ch.Key, "it is at revision %d, not at %d", have, ch.Expect)
		res.Revision = have
		return res
	}
	if d.documents == nil {
		d.documents = make(map[string]core.Revision)
	}
	d.documents[ch.Key] = d.c.revision()
	if ch.Value == nil {
		d.documents[ch.Key] = core.NoRevision
	}
	return d.owner(ch.Key, ch.Owner)
}

func (d *draft) define(def *core.Definition) Result {
	if def.Name == "" {
		return refused(core.Invalid, "", "a stream needs a name")
	}
	if s := d.stream(def.Name); s.there {
		res := refused(core.Exist, def.Name, "")
		res.IDs = []core.StreamID{s.id}
		return res
	}
	if def.Policy.Mode() == "" {
		return refused(core.Invalid, def.Name, "%+v is none of the accepted modes", def.Policy)
	}
	if res := d.c.checkNodes(def.Name, def.At); res.Kind != core.OK {
		return res
	}
	if !d.c.canPlace(def) {
		return refused(core.Unavailable, def.Name, "no node where it may live is alive")
	}
	d.becomes(def.Name, drafted{there: true, policy: def.Policy})
	return d.owner(def.Name, def.Owner)
}

// stands checks an alteration or a removal.
func (d *draft) stands(ch *core.Change) Result {
	s := d.stream(ch.Stream)
	switch {
	case !s.there:
		return refused(core.NotExist, ch.Stream, "")
	case ch.IfID != 0 && ch.IfID != s.id:
		return refused(core.Conflict, ch.Stream, "another stream has that name by now")
	case ch.Alter == nil:
		d.becomes(ch.Stream, drafted{})
		return Result{}
	}
	if p := ch.Alter.Policy; p != nil {
		switch {
		case p.Mode() == "":
			return refused(core.Invalid, ch.Stream, "%+v is none of the accepted modes", *p)
		case s.changing && p.Raft() == s.policy.Raft():
			return refused(core.Conflict, ch.Stream, "its kind of replication is being changed")
		case p.Raft() != s.policy.Raft():
			s.changing = true
		default:
			s.policy = *p
		}
		d.becomes(ch.Stream, s)
	}
	if ch.Alter.At == nil {
		return Result{}
	}
	return d.c.checkMove(ch.Stream, ch.Alter.At)
}
