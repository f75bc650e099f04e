package disk

import (
	"strings"

	"github.com/pawldb/pawl/io"
)

// rules holds the order of I/O against what the store promises, from the trace alone.
//
//	range   nothing is written, truncated or read over a range of a file whose I/O is not retired
//	meta    a meta block is written only when the other one, if it was written before, is synced
type rules struct {
	files map[string]*fileRules
}

// fileRules is what is known of one file.
type fileRules struct {
	meta   bool // a meta block was written, and no good sync was submitted since
	at     int64
	covers map[*io.Op]bool
}

// metaEnd is where the two meta blocks end.
const metaEnd = 8192

func (r *rules) file(name string) *fileRules {
	f := r.files[name]
	if f == nil {
		f = &fileRules{covers: map[*io.Op]bool{}}
		if r.files == nil {
			r.files = map[string]*fileRules{}
		}
		r.files[name] = f
	}
	return f
}

func isLog(name string) bool { return strings.HasSuffix(name, "-wal") }

// submitted checks what op may do now. queue are the ops under way, op included.
func (r *rules) submitted(op *io.Op, queue []*io.Op) {
	name := op.Name()
	if name == "open" {
		r.file(op.File).meta = false // whoever opens writes what it finds again
	}
	if name == "close" || name == "open" {
		return
	}
	changes := name == "write" || name == "truncate"
	if changes || name == "read" {
		for _, other := range queue {
			if other != op && other.File == op.File && overlaps(op, other) && (changes || other.Name() != "read") {
				Violate("%v is submitted over %v, which is not retired", op, other)
			}
		}
	}
	f := r.file(op.File)
	switch {
	case name == "sync":
		f.covers[op] = true
		return
	case !changes:
		return
	case isLog(op.File) || strings.Contains(op.File, ".new-"): // a file that is made has nothing to lose
	case name == "write" && op.Offset < metaEnd && f.meta && op.Offset != f.at:
		Violate("%v: a meta block, and the other one is not synced", op)
	}
}

// ended notes how op ended.
func (r *rules) ended(op *io.Op, err error) {
	f := r.file(op.File)
	switch op.Name() {
	case "write":
		if op.Offset < metaEnd {
			f.meta, f.at = true, op.Offset
			clear(f.covers) // a sync under way may not cover it
		}
	case "sync":
		f.meta = f.meta && (err != nil || !f.covers[op])
		delete(f.covers, op)
	}
}

// overlaps reports whether two I/Os of one file meet.
func overlaps(a, b *io.Op) bool {
	from, to, ok := span(a)
	from2, to2, ok2 := span(b)
	return ok && ok2 && from < to2 && from2 < to
}

// span returns the range that an I/O is about.
func span(op *io.Op) (from, to int64, ok bool) {
	switch op.Name() {
	case "read", "write":
		return op.Offset, op.Offset + op.Length, true
	case "truncate":
		return op.Length, 1 << 62, true
	}
	return 0, 0, false
}
