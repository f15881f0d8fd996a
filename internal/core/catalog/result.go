package catalog

import "trine/internal/core"

// Result is what a command came to. Kind is OK, or says why nothing was done.
type Result struct {
	Kind     core.Kind
	Name     string // the stream or document that it was about
	Detail   string
	Revision core.Revision // the command's own; with Conflict the present one
	// IDs are the streams that a Put defined, altered and removed, in order; with
	// Exist the one that is there; of InSync those whose items were refused; of
	// Report and Decide those that lead again.
	IDs []core.StreamID
}

// Encode gives the result's bytes.
func (res Result) Encode() []byte {
	w := &writer{b: make([]byte, 0, 32+len(res.Detail)+10*len(res.IDs))}
	w.byte(version)
	w.byte(byte(res.Kind))
	w.string(res.Name)
	w.string(res.Detail)
	w.int(int64(res.Revision))
	w.uint(uint64(len(res.IDs)))
	for _, id := range res.IDs {
		w.uint(uint64(id))
	}
	return w.b
}

// DecodeResult reads what Apply gave.
func DecodeResult(b []byte) (Result, error) {
	r := &reader{b: b}
	if r.byte() != version {
		r.fail("its version is not known")
	}
	res := Result{Kind: core.Kind(r.byte()), Name: r.string(), Detail: r.string(),
		Revision: core.Revision(r.int())}
	res.IDs = r.streams()
	return res, r.end("decode result")
}

// Err gives the result as an error of operation op, nil where it is OK.
func (res Result) Err(op string) error {
	if res.Kind == core.OK {
		return nil
	}
	return &core.Error{Op: op, Name: res.Name, Kind: res.Kind, Detail: res.Detail}
}

func (r *reader) streams() []core.StreamID {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	ids := make([]core.StreamID, n)
	for i := range ids {
		ids[i] = core.StreamID(r.uint())
	}
	return ids
}
