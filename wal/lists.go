package wal

import (
	"cmp"
	"encoding/binary"
	"sort"

	"github.com/pawldb/pawl/types"
)

// lists is what a commit says of pages whose bytes are not in the log: references and freed runs.
type lists struct {
	seq   types.Seq
	refs  []byte // as in reference frames, one behind the other
	freed []freedRun
	count uint64 // pages

	last      types.PageID // last page of refs
	lastFreed types.PageID // behind the last page of freed
	unsorted  bool
}

// freedRun is a run of page ids given back.
type freedRun struct {
	first types.PageID
	count uint64
}

// bulkMin is how many pages the lists of a commit must name so that the index keeps them as they are, 32 bytes a reference
// and 16 a run, and searches them, instead of making an entry of each page; bulkMax, how many of those a layer has.
const (
	bulkMin = 4096
	bulkMax = 64
)

// reset makes b that of commit seq, which has said nothing yet. It keeps the memory.
func (b *lists) reset(seq types.Seq) {
	if b.count == 0 {
		b.seq = seq
		return
	}
	*b = lists{seq: seq, refs: b.refs[:0], freed: b.freed[:0]}
}

// bulk reports whether the lists can be kept as they are.
func (b *lists) bulk() bool { return b.count >= bulkMin && !b.unsorted }

// reference appends a reference.
func (b *lists) reference(page types.PageID, run, sum uint64) {
	le := binary.LittleEndian
	b.refs = le.AppendUint64(b.refs, uint64(page))
	b.refs = le.AppendUint64(b.refs, run)
	b.refs = le.AppendUint64(b.refs, sum)
	b.refs = le.AppendUint64(b.refs, 0)
	b.unsorted = b.unsorted || page <= b.last
	b.last = page
	b.count++
}

// free appends a freed run.
func (b *lists) free(first types.PageID, count uint64) {
	b.freed = append(b.freed, freedRun{first, count})
	b.unsorted = b.unsorted || first < b.lastFreed
	b.lastFreed = first + types.PageID(count)
	b.count += count
}

// references returns the number of references.
func (b *lists) references() int { return len(b.refs) / referenceEntrySize }

// ref returns the i-th reference as an index entry.
func (b *lists) ref(i int) indexEntry {
	le := binary.LittleEndian
	e := b.refs[i*referenceEntrySize:]
	return indexEntry{
		page: types.PageID(le.Uint64(e)), version: b.seq, kind: KindReference, written: true,
		a: le.Uint64(e[8:]), b: le.Uint64(e[16:]), older: -1,
	}
}

// gone returns the index entry of a freed page.
func (b *lists) gone(page types.PageID) indexEntry {
	return indexEntry{page: page, version: b.seq, kind: KindFreed, written: true, older: -1}
}

// each calls visit for every page.
func (b *lists) each(visit func(indexEntry)) {
	for i := range b.references() {
		visit(b.ref(i))
	}
	for _, r := range b.freed {
		for i := range r.count {
			visit(b.gone(r.first + types.PageID(i)))
		}
	}
}

// find returns what sorted lists say of a page.
func (b *lists) find(page types.PageID) (indexEntry, bool) {
	i, ok := sort.Find(b.references(), func(i int) int {
		return cmp.Compare(uint64(page), binary.LittleEndian.Uint64(b.refs[i*referenceEntrySize:]))
	})
	if ok {
		return b.ref(i), true
	}
	i = sort.Search(len(b.freed), func(i int) bool { return b.freed[i].first > page })
	if i > 0 && page < b.freed[i-1].first+types.PageID(b.freed[i-1].count) {
		return b.gone(page), true
	}
	return indexEntry{}, false
}
