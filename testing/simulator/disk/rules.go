package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
)

// rules holds the order of I/O against what the store promises, from the trace alone.
//
//	range    nothing is written, truncated or read over a range of a file whose I/O is not retired
//	lock     a database and its log are changed only by who has locked the database, and the lock is given up when all I/O is over
//	meta     a meta block is written only when the other one, if it was written before, is synced
//	sticky   when a meta block could not be written or synced, none is written, and the file is not cut, before it is opened anew
//	cut      the database file gets no shorter than a meta block says that it is, if recovery may find that one
//	fresh    what is synced of the log is not written again before a meta block has become durable behind it
//	failed   when a write or a sync of the log has failed, nothing but zeroes is written to it before it is opened anew
type rules struct {
	free    bool // locks are none of the disk's business
	files   map[string]*fileRules
	peek    func(name string, offset, length int64) []byte
	proves  map[*io.Op]bool // meta blocks that are written again as they are
	unlocks map[*io.Op]bool // closes with which a lock is given up
}

// fileRules is what is known of one file.
type fileRules struct {
	locked bool
	covers map[*io.Op]bool // syncs under way: whether every write before them had ended

	// of a database
	meta    bool // a meta block was written, and no good sync was submitted since
	at      int64
	metas   [2][]byte // that were written since the file was opened, by slot
	broken  bool      // one could not be written or synced
	needed  int64     // the last length that it was right to cut the file to, or that it has grown to since; 0: not known
	durable int       // meta blocks that were synced

	// of a log
	dirty  []int64       // blocks that were written since the last good sync
	synced map[int64]int // blocks that are synced: what durable was then
	failed bool
	piece  uint64 // number of the last write
}

// MetaEnd is where the two meta blocks end, and logBlock the size of a block of the log in bytes.
const MetaEnd, logBlock = 8192, 4096

func (r *rules) file(name string) *fileRules {
	f := r.files[name]
	if f == nil {
		f = &fileRules{covers: map[*io.Op]bool{}, synced: map[int64]int{}}
		r.files[name] = f
	}
	return f
}

// IsLog reports whether a file is a log.
func IsLog(name string) bool { return strings.HasSuffix(name, "-wal") }

// isNew reports whether a file is being made: it has nothing to lose, and nobody else knows its name.
func isNew(name string) bool { return strings.Contains(name, ".new-") }

// database returns what is known of the database of a file, which may be its log.
func (r *rules) database(name string) *fileRules { return r.file(strings.TrimSuffix(name, "-wal")) }

// submitted checks what op may do now. queue are the ops under way, op included.
func (r *rules) submitted(op *io.Op, queue []*io.Op) {
	name, f := op.Name(), r.file(op.File)
	changes := name == "write" || name == "truncate"
	switch {
	case isNew(op.File):
	case name == "open" && (r.free || IsLog(op.File)):
		f.begin()
	case name == "close" && op.HoldsLock(): // it waits for what is under way on its own file
		f.locked, r.unlocks[op] = false, true
	case changes && !r.free && !r.database(op.File).locked:
		Violate("%v, and the database is not locked", op)
	}
	if changes || name == "read" {
		for _, other := range queue {
			if other != op && other.File == op.File && overlaps(op, other) && (changes || other.Name() != "read") {
				Violate("%v is submitted over %v, which is not retired", op, other)
			}
		}
	}
	switch {
	case isNew(op.File):
	case name == "sync":
		f.covers[op] = true
	case !changes:
	case IsLog(op.File):
		r.logs(op)
	default:
		r.changes(op, queue)
	}
}

// changes checks a change of a database file.
func (r *rules) changes(op *io.Op, queue []*io.Op) {
	f := r.file(op.File)
	meta := op.Name() == "write" && op.Offset < MetaEnd
	switch {
	case meta && r.same(op): // an open has found it, and makes sure that the disk has it
		r.proves[op] = true
	case meta && f.meta && op.Offset != f.at:
		Violate("%v: a meta block, and the other one is not synced", op)
	case meta && f.broken:
		Violate("%v: a meta block, behind one that could not be written", op)
	case op.Name() != "truncate" || zeroes(r.behind(op)): // nothing has been there, or it has been given up
	case f.needed > 0 && op.Length >= f.needed: // it was to be cut by more, and that failed
	case f.broken:
		Violate("%v cuts the file, behind a meta block that could not be written", op)
	default:
		if says := r.lengthSaid(op.File, queue); op.Length < says {
			Violate("%v cuts the file, and a meta block may be found that says %d", op, says)
		}
		f.needed = op.Length
	}
}

// lengthSaid returns the most that a meta block says of a database's length which recovery may find after a power cut: the newest one,
// the one before if that is not synced, and those that are being written.
func (r *rules) lengthSaid(name string, queue []*io.Op) int64 {
	f := r.file(name)
	newest, before := f.metas[0], f.metas[1] // what was written, wherever a fault has let it go
	if newest == nil {
		newest = r.peek(name, 0, metaSize)
	}
	if before == nil {
		before = r.peek(name, MetaEnd/2, metaSize)
	}
	if metaWrite(newest) < metaWrite(before) {
		newest, before = before, newest
	}
	says := metaLength(newest)
	if f.meta {
		says = max(says, metaLength(before))
	}
	for _, o := range queue {
		if o.File == name && o.Name() == "write" && o.Offset < MetaEnd {
			says = max(says, metaLength(bytes.Join(o.Buffers(), nil)))
		}
	}
	return says
}

// The part of a meta block that says something, and what the rules read of it: pager/meta.go has all of it.
const (
	metaSize        = 512
	metaPageSizeOff = 8
	metaWriteOff    = 32
	metaBlocksOff   = 56
	metaSumOff      = 504
)

// isMeta reports whether recovery would take a meta block for one.
func isMeta(block []byte) bool {
	return len(block) >= metaSize && xxhash.Sum64(block[:metaSumOff]) == binary.LittleEndian.Uint64(block[metaSumOff:])
}

// metaWrite returns the number of a meta block's write; 0 if there is none.
func metaWrite(block []byte) uint64 {
	if !isMeta(block) {
		return 0
	}
	return binary.LittleEndian.Uint64(block[metaWriteOff:])
}

// metaLength returns how long a meta block says that the file is; 0 if there is none.
func metaLength(block []byte) int64 {
	if !isMeta(block) {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(block[metaBlocksOff:])) * int64(binary.LittleEndian.Uint32(block[metaPageSizeOff:]))
}

// behind returns what a file has behind the length that op gives it.
func (r *rules) behind(op *io.Op) []byte {
	return r.peek(op.File, op.Length, math.MaxInt64)
}

// logs checks a change of a log.
func (r *rules) logs(op *io.Op) {
	f := r.file(op.File)
	if op.Name() == "truncate" || zero(op) || r.same(op) { // recovery writes again what it has found
		return
	}
	piece := op.Index == f.piece+1 // of the same group, submitted with the one before
	f.piece = op.Index
	if f.failed && !piece {
		Violate("%v, behind a failure of the log", op)
	}
	durable := r.database(op.File).durable
	for b := op.Offset / logBlock; b <= (op.Offset+op.Length-1)/logBlock; b++ {
		if at, was := f.synced[b]; was && at == durable {
			Violate("%v writes a block of the log again that was synced, and no meta block has become durable since", op)
		}
	}
}

// same reports whether a write leaves the file as it is.
func (r *rules) same(op *io.Op) bool {
	have := r.peek(op.File, op.Offset, op.Length)
	for _, b := range op.Buffers() {
		if !bytes.HasPrefix(have, b) {
			return false
		}
		have = have[len(b):]
	}
	return true
}

// zero reports whether an op writes nothing but zeroes.
func zero(op *io.Op) bool {
	if op.Name() != "write" {
		return false
	}
	for _, b := range op.Buffers() {
		if !zeroes(b) {
			return false
		}
	}
	return true
}

func zeroes(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// begin forgets what the one before had to keep to: whoever opens writes what it finds again.
func (f *fileRules) begin() {
	f.meta, f.broken, f.failed, f.needed, f.dirty = false, false, false, 0, nil
	f.metas = [2][]byte{}
	clear(f.synced)
}

// unlocked checks, when a database's lock has been given up, that nothing is under way that could change its log.
func (r *rules) unlocked(op *io.Op, queue []*io.Op) {
	for _, other := range queue {
		if changes := []string{"write", "truncate", "remove"}; other.File == op.File+"-wal" && slices.Contains(changes, other.Name()) {
			Violate("%v gave up the lock, and %v is under way", op, other)
		}
	}
}

// ended notes how op ended. queue are the ops under way.
func (r *rules) ended(op *io.Op, err error, queue []*io.Op) {
	f := r.file(op.File)
	if r.unlocks[op] {
		delete(r.unlocks, op)
		r.unlocked(op, queue)
	}
	if errors.Is(err, io.ErrCancelled) {
		delete(f.covers, op)
		return // it had not started
	}
	switch op.Name() {
	case "lock":
		if err == nil {
			f.begin()
			f.locked = true
		}
	case "truncate":
		f.cut(op.Length, err)
	case "write":
		r.wrote(op, err)
	case "sync":
		r.syncEnded(op, err)
	}
}

// cut notes that a file has got another length. One that is empty begins anew.
func (f *fileRules) cut(length int64, err error) {
	if err != nil {
		return
	}
	f.needed = length
	maps.DeleteFunc(f.synced, func(b int64, _ int) bool { return b*logBlock >= length })
	if length == 0 {
		f.failed, f.dirty = false, nil
	}
}

// wrote notes how a write ended.
func (r *rules) wrote(op *io.Op, err error) {
	f := r.file(op.File)
	switch {
	case IsLog(op.File) && !zero(op):
		f.failed = f.failed || err != nil
		content := bytes.Join(op.Buffers(), nil)
		for at := int64(0); at < op.Length; at += logBlock {
			b := (op.Offset + at) / logBlock
			delete(f.synced, b)
			if !zeroes(content[at:min(at+logBlock, op.Length)]) { // a new log is written with what it will need
				f.dirty = append(f.dirty, b)
			}
		}
	case r.proves[op]:
		delete(r.proves, op)
	case !IsLog(op.File) && op.Offset < MetaEnd:
		f.meta, f.at = true, op.Offset
		f.metas[op.Offset*2/MetaEnd] = bytes.Join(op.Buffers(), nil)
		f.broken = f.broken || err != nil
		clear(f.covers) // a sync under way may not cover it
	}
}

// syncEnded notes how a sync ended.
func (r *rules) syncEnded(op *io.Op, err error) {
	f := r.file(op.File)
	covers := f.covers[op]
	delete(f.covers, op)
	switch {
	case IsLog(op.File) && err != nil:
		f.failed = f.failed || len(f.dirty) > 0
	case IsLog(op.File):
		for _, b := range f.dirty {
			f.synced[b] = r.database(op.File).durable
		}
		f.dirty = f.dirty[:0]
	case f.meta && err != nil:
		f.broken = true
	case f.meta && covers:
		f.meta = false
		f.durable++
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
