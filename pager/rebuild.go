package pager

import (
	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// rebuild is the part of Get that makes a version of a page out of an image and the deltas behind it. The reads of the deltas are under
// way at once, beside those for the image.
//
//	newest delta, delta, ... oldest delta   frames of the log, at most wal.DeltasMax
//	base                                    the version before: in memory, or what Get finds for a snapshot just before
type rebuild struct {
	deltas  []deltaRead // newest first
	base    []byte      // an image; nil: it is being looked for
	baseSum uint64      // of it
	find    Get
	finding bool // find has begun and has not ended
}

// deltaRead is a frame that is being read.
type deltaRead struct {
	entry wal.Entry
	load  *load
}

// readDeltas begins to read the frame of e, which is a delta, those that it is based on, and the image behind them.
func (g *Get) readDeltas(e wal.Entry) error {
	g.entry, g.state = e, getDeltas
	g.deltas = new(rebuild)
	r := g.deltas
	for r.base == nil {
		l, ok := g.readLog(e)
		if !ok {
			g.leave()
			g.state = getIndex
			return nil
		}
		r.deltas = append(r.deltas, deltaRead{e, l})
		if img := g.p.cache.table.find(g.id, e.Version-1); img != nil {
			r.base, r.baseSum = img.data, img.Sum()
			return nil
		}
		older, ok := g.p.log.Lookup(g.id, e.Version-1, g.gen.number)
		if !ok || older.Kind != wal.KindDelta { // groups are written in order: it can be read if e can
			break
		}
		e = older
	}
	r.find = Get{p: g.p, id: g.id, seq: e.Version - 1, gen: g.gen, slot: g.slot, snap: g.snap, alone: true}
	r.finding = true
	_, err := r.step()
	return err
}

// step goes on to look for the base. It returns what is to be waited for, or nil once it is there.
func (r *rebuild) step() (*io.Completion, error) {
	if !r.finding {
		return nil, nil
	}
	res, err := r.find.Step()
	r.finding = err == nil && res.Pending != nil
	if r.base = res.Value.Data; r.base != nil {
		r.baseSum = xxhash.Sum64(r.base)
	}
	return res.Pending, err
}

// readLog begins, or joins, the read of a frame. ok is false if the log has moved since e was looked up.
func (g *Get) readLog(e wal.Entry) (l *load, ok bool) {
	f, offset, n, ok := g.p.log.Locate(e)
	if !ok {
		return nil, false
	}
	l, first := g.p.cache.beginLoad(loadKey{id: g.id, epoch: e.Pos.Epoch, serial: e.Pos.Serial, offset: offset})
	if first {
		l.buf = make([]byte, n)
		f.Read(l.io, l.buf, offset)
	}
	return l, true
}

// waiting returns a read that is not over, or nil.
func (r *rebuild) waiting() *load {
	for i := range r.deltas {
		if l := r.deltas[i].load; !l.over().Done() {
			return l
		}
	}
	return nil
}

// apply makes the image, once all has been read.
func (g *Get) apply() (Page, error) {
	r := g.deltas
	if len(r.base) != g.p.pageSize {
		return Page{}, g.corruptLog(g.entry, "delta of an extent")
	}
	image, sum := r.base, r.baseSum // not to be changed: it may be others' as well
	var own [2][]byte               // used in turns: each version is made out of the one before
	for i := len(r.deltas) - 1; i >= 0; i-- {
		d := &r.deltas[i]
		err := d.load.err()
		if err == nil {
			next := own[i%2]
			if next == nil {
				next = make([]byte, len(image))
			}
			sum, err = g.p.log.Apply(d.entry, d.load.buf, image, next, pageVersion(image), sum)
			image, own[i%2] = next, next
		}
		if moved, err := g.moved(d.entry, err); moved || err != nil {
			return Page{}, err
		}
		if problem := g.logged(image, d.entry); problem != nil {
			return Page{}, problem
		}
	}
	return g.publish(image, sum), nil
}

// logged returns what is wrong with an image that the log has, or nil.
func (g *Get) logged(image []byte, e wal.Entry) error {
	problem := pageProblem(image, types.Run{Count: 1}, g.id, e.Version)
	if problem == "" {
		problem = versionProblem(image, e.Version)
	}
	if problem == "" {
		return nil
	}
	return g.corruptLog(e, problem)
}

// corruptLog returns an error about a frame.
func (g *Get) corruptLog(e wal.Entry, detail string) error {
	return &types.CorruptError{File: base(g.p.cfg.Path) + "-wal", Offset: e.Pos.Offset, Page: g.id, Detail: detail}
}
