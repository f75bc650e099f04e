package pager

import (
	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

const (
	copyDepth     = 4       // windows read ahead
	copyWindowMax = 1 << 20 // bytes of a window
	copyWindowMin = 8       // blocks
	copyGapMax    = 64 << 10
)

// copyWindow is a part of the copy's file that is made in one buffer.
type copyWindow struct {
	first types.Block
	count int    // blocks
	buf   []byte // of count blocks
	what  []copyWhat
	group *io.CompletionGroup
	reads []io.Completion
}

// copyWhat says where the bytes of a block come from.
type copyWhat uint8

const (
	copyFree   copyWhat = iota // zeroes
	copyFixed                  // meta blocks, homes: from the plan
	copyLaid                   // an overlay
	copySource                 // the same block of the database's file
)

// copyReads reads ahead what a copy takes from the database's file: a few windows at once, in the order of the file.
// A window begins and ends with a block in use, and has no long gap of free ones; what is between windows is zero.
type copyReads struct {
	plan    *copyPlan
	blocks  int // of a window, at the most
	gap     types.Block
	at      types.Block // nothing before is left to be read
	windows []*copyWindow
	spare   [][]byte
}

// start readies the reads.
func (r *copyReads) start(plan *copyPlan) {
	size := plan.p.pageSize
	*r = copyReads{plan: plan}
	// A quarter of a sixteenth of the budget each, so that a copy does not drive others out of a small cache.
	r.blocks = max(int(min(copyWindowMax, plan.p.cfg.CacheSize/64))/size, copyWindowMin)
	r.gap = types.Block(max(1, copyGapMax/size))
}

// fill begins to read windows until there are enough.
func (r *copyReads) fill() {
	for len(r.windows) < copyDepth {
		first := r.plan.used.next(r.at, true)
		if first == r.plan.used.blocks() {
			return
		}
		w := &copyWindow{first: first, count: r.length(first)}
		w.buf = r.buffer(w.count * r.plan.p.pageSize)
		r.at = first + types.Block(w.count)
		r.classify(w)
		r.submit(w)
		r.windows = append(r.windows, w)
	}
}

// length returns how many blocks a window has that begins at first.
func (r *copyReads) length(first types.Block) int {
	used := r.plan.used
	limit := first + types.Block(r.blocks)
	end := first
	for end < limit {
		at := used.next(end, true)
		if at == used.blocks() || at >= limit || at-end > r.gap && end > first {
			break
		}
		end = min(used.next(at, false), limit)
	}
	return int(end - first)
}

// buffer returns a buffer of so many bytes. The cache's budget pays for it.
func (r *copyReads) buffer(size int) []byte {
	if n := len(r.spare); n > 0 {
		buf := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return buf[:size]
	}
	full := r.blocks * r.plan.p.pageSize
	r.plan.p.cache.hold(int64(full))
	return make([]byte, full)[:size]
}

// recycle takes a buffer back that nobody looks at any more.
func (r *copyReads) recycle(buf []byte) { r.spare = append(r.spare, buf) }

// forget ends what the cache's budget pays for some buffers.
func (p *Pager) forget(bufs [][]byte) {
	for _, buf := range bufs {
		p.cache.hold(-int64(cap(buf)))
	}
}

// close lets go of the buffers that are not in use.
func (r *copyReads) close() {
	r.plan.p.forget(r.spare)
	r.spare = nil
}

// classify notes where the blocks of a window come from.
func (r *copyReads) classify(w *copyWindow) {
	laid := r.plan.overlaysIn(w.first, w.first+types.Block(w.count))
	w.what = make([]copyWhat, w.count)
	for i := range w.what {
		b := w.first + types.Block(i)
		for len(laid) > 0 && laid[0].block < b {
			laid = laid[1:]
		}
		switch {
		case !r.plan.used.has(b):
			w.what[i] = copyFree
		case r.plan.fixed(b):
			w.what[i] = copyFixed
		case len(laid) > 0 && laid[0].block == b:
			w.what[i] = copyLaid
		default:
			w.what[i] = copySource
		}
	}
}

// submit begins to read the window's blocks, neighbours at once, and writes what comes from nowhere. Free blocks are
// not read: they may be behind the file's end, or being written.
func (r *copyReads) submit(w *copyWindow) {
	size := r.plan.p.pageSize
	var runs [][2]int
	for i := 0; i < w.count; {
		from, what := i, w.what[i]
		for i < w.count && w.what[i] == what {
			i++
		}
		if what == copySource {
			runs = append(runs, [2]int{from, i})
			continue
		}
		clear(w.buf[from*size : i*size])
		for at := from; at < i && what == copyFixed; at++ {
			r.plan.fillFixed(w.buf[at*size:][:size], w.first+types.Block(at))
		}
	}
	w.group = new(io.CompletionGroup)
	w.group.Start("blocks to be copied")
	w.reads = make([]io.Completion, len(runs))
	for i, run := range runs {
		w.group.Add(&w.reads[i])
		r.plan.p.file.Read(&w.reads[i], w.buf[run[0]*size:run[1]*size], r.plan.p.offset(w.first+types.Block(run[0])))
	}
	w.group.Build()
}

// head returns the first window, or nil when there are no more.
func (r *copyReads) head() *copyWindow {
	if len(r.windows) == 0 {
		return nil
	}
	return r.windows[0]
}

// pop takes the first window out, whose reads are over.
func (r *copyReads) pop() *copyWindow {
	w := r.windows[0]
	if !w.group.Completion().Done() {
		panic(invariant.Failf("pager: blocks from %d on taken before they were read", w.first))
	}
	copy(r.windows, r.windows[1:])
	r.windows[len(r.windows)-1] = nil
	r.windows = r.windows[:len(r.windows)-1]
	return w
}

// abandon gives up reads under way, and runs then once none of them can touch a block or a buffer.
func (r *copyReads) abandon(then func()) {
	group := new(io.CompletionGroup)
	group.Start("reads of an abandoned copy")
	var bufs [][]byte
	for _, w := range r.windows {
		group.Add(w.group.Completion())
		bufs = append(bufs, w.buf)
	}
	group.Cancel()
	group.Build()
	p := r.plan.p
	group.Completion().OnRetire(func(*io.Completion) {
		p.forget(bufs)
		then()
	})
	r.windows = nil
}
