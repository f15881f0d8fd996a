package kafka

import (
	"trine/internal/core"
)

// fetchBytesMax bounds one answer, whatever the client asks for.
const fetchBytesMax = 55 << 20

// fetch begins a Fetch request. Sessions are not kept: every request names all of
// its partitions, which the answer's session id 0 says to the client.
func fetch(c *Conn, r *request) error {
	f := &fetching{}
	if err := readFetch(r, f); err != nil {
		return err
	}
	r.body = nil
	if f.session != 0 || f.sessionEpoch > 0 {
		f.code = errFetchSessionNotFound
		r.reply(f)
		return nil
	}
	if f.resolve() {
		f.begin(nil)
		return nil
	}
	c.certain(false, func(err error) {
		f.resolve()
		f.begin(err)
	})
	return nil
}

// resolve finds the partitions; false where one is not known here.
func (f *fetching) resolve() bool {
	ts, sure := f.r.c.f.topics, true
	for i := range f.topics {
		t := &f.topics[i]
		var found *topic
		if f.r.version >= 13 {
			found = ts.getID(t.id)
		} else {
			found = ts.get(t.name)
		}
		for j := t.from; j < t.to; j++ {
			p := &f.parts[j]
			p.topic, p.p = found, found.part(p.index)
			sure = sure && p.p != nil
		}
	}
	return sure
}

// begin reads what can be read; unsure prevented that the catalog was asked.
func (f *fetching) begin(unsure error) {
	read := core.Read{Parts: make([]core.ReadPart, 0, len(f.parts)), Stable: f.stable, Here: true,
		BytesMin: int(max(f.bytesMin, 0)), BytesMax: int(min(max(f.bytesMax, 0), fetchBytesMax)),
		Wait: core.Time(max(f.waitMs, 0)) * core.Millisecond}
	for i := range f.parts {
		p := &f.parts[i]
		switch {
		case p.p == nil && unsure != nil:
			p.code = errLeaderNotAvailable
		case p.p == nil && p.topic == nil && f.r.version >= 13:
			p.code = errUnknownTopicID
		case p.p == nil:
			p.code = errUnknownTopic
		default:
			if p.stream = p.p.stream.Load(); p.stream == nil {
				p.code = errLeaderNotAvailable
			}
		}
		if p.code != errNone {
			read.BytesMin = 0 // what is wrong is told at once
			continue
		}
		read.Parts = append(read.Parts, core.ReadPart{Stream: p.stream.ID, From: p.from,
			BytesMax: int(max(p.bytesMax, 0)), IfEpoch: core.Epoch(max(p.epoch, 0)),
			LastEpoch: core.Epoch(max(p.lastEpoch, 0))})
	}
	if read.BytesMin == 0 {
		read.Wait = 0
	}
	if len(read.Parts) == 0 {
		if read.Wait > 0 { // a consumer without partitions waits as long as it asks to
			f.r.c.f.cfg.Later(f.r.c.w.Now().Mono+read.Wait, func() {
				f.r.c.later(func() { f.r.reply(f) })
			})
			return
		}
		f.r.reply(f)
		return
	}
	f.r.c.f.core.Log().Read(read, func(as []core.ReadAnswer) {
		f.r.c.later(func() { f.end(as) })
	})
}

// end takes in what was read.
func (f *fetching) end(as []core.ReadAnswer) {
	n := 0
	for i := range f.parts {
		p := &f.parts[i]
		if p.code != errNone || n >= len(as) {
			continue
		}
		p.answer = as[n]
		n++
		if err := p.answer.Err; err != nil {
			p.code = dataCode(err, core.Epoch(max(p.epoch, 0)))
			p.answer.Batches, p.answer.Diverging = nil, nil
			if p.code == errNotLeader {
				p.answer.Leader, p.answer.Epoch = f.r.c.f.leaderOf(err, p.p.stream.Load())
			}
		}
	}
	f.r.reply(f)
}
