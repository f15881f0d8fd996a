package catalog

import (
	"fmt"

	"trine/internal/core"
)

// Apply carries out one command, of the catalog's entry at index, and gives its
// result: an encoded Result. Bytes that are no command change nothing.
func (c *Catalog) Apply(index core.Index, command []byte) []byte {
	core.Assert(index > c.applied, "catalog entry %d applied after %d", index, c.applied)
	c.applied, c.minted = index, 0
	res := c.apply(&reader{b: command})
	if res.Revision == 0 {
		res.Revision = c.revision()
	}
	return res.Encode()
}

// revision is that of the present command.
func (c *Catalog) revision() core.Revision { return core.Revision(c.applied) }

// apply reads the whole command before it changes anything.
func (c *Catalog) apply(r *reader) Result {
	if v := r.byte(); r.why == "" && v != version {
		r.fail(fmt.Sprintf("its version %d is not known", v))
	}
	switch k := kind(r.byte()); k {
	case kindPut:
		return c.applyPut(r)
	case kindRegister:
		return c.applyRegister(r)
	case kindFence, kindHandOver:
		p := r.peer()
		if r.bad() {
			break
		}
		if k == kindFence {
			return c.fence(p)
		}
		return c.handOver(p)
	case kindInSync:
		return c.applyInSync(r)
	case kindMove:
		name, to := r.string(), r.nodes()
		if !r.bad() {
			return c.applyMove(name, to)
		}
	case kindReport:
		return c.applyReport(r)
	case kindDecide:
		name, disk := r.string(), core.DiskID(r.uint())
		if !r.bad() {
			return c.decide(name, disk)
		}
	case kindYield:
		return c.applyYield(r)
	case kindChanged:
		return c.applyChanged(r)
	case kindGrow:
		if !r.bad() {
			return c.grow()
		}
	case kindVote:
		if nodes := r.nodes(); !r.bad() {
			return c.vote(nodes)
		}
	default:
		if r.why == "" {
			r.fail(fmt.Sprintf("its kind %d is not known", k))
		}
	}
	return r.invalid()
}

// bad says that what was read is no whole command.
func (r *reader) bad() bool { return r.end("") != nil }

func (r *reader) invalid() Result {
	return Result{Kind: core.Invalid, Detail: "no command: " + r.why}
}

// refused is a Result that says why nothing was done.
func refused(k core.Kind, name, detail string, args ...any) Result {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return Result{Kind: k, Name: name, Detail: detail}
}
