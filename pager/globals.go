package pager

import (
	"encoding/binary"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
)

// Globals are what a commit says of the whole database: the payload of its commit record in the log, and a field of the meta
// block.
//
//	offset  size  field
//	     0     8  root       page id of the root tree; 0: none yet
//	     8     8  sequence   of the root tree, for its users
//	    16     8  next page  every page id in use is below; at most 2^48
//	    24     8  pages      page ids in use
const (
	globalsRootOff     = 0
	globalsSequenceOff = 8
	globalsNextOff     = 16
	globalsPagesOff    = 24
	globalsSize        = 32
)

// Fails to compile unless the last field ends exactly at the record's end.
var _ [0]struct{} = [globalsSize - (globalsPagesOff + 8)]struct{}{}

// Globals is what a commit says of the whole database.
type Globals struct {
	Root     types.PageID // of the root tree; 0: none yet
	Sequence uint64       // of the root tree
	NextPage types.PageID // every page id in use is below
	Pages    uint64       // page ids in use
}

// pageIDLimit is above every page id. It is far more than a file has blocks, and keeps sums over ids from overflowing.
const pageIDLimit types.PageID = 1 << 48

// problem returns what can't be so in g, or "".
func (g *Globals) problem() string {
	switch {
	case g.NextPage > pageIDLimit:
		return "next page id is out of range"
	case g.Root != 0 && g.Root >= g.NextPage:
		return "root page id is not below the next page id"
	case g.Pages > 0 && g.Pages >= uint64(g.NextPage):
		return "more pages in use than ids below the next page id"
	case g.Root != 0 && g.Pages == 0:
		return "a root page, but no pages in use"
	}
	return ""
}

// encode appends the record to dst.
func (g *Globals) encode(dst []byte) []byte {
	if p := g.problem(); p != "" {
		panic(invariant.Failf("pager: globals %+v: %s", *g, p))
	}
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(g.Root))
	dst = le.AppendUint64(dst, g.Sequence)
	dst = le.AppendUint64(dst, uint64(g.NextPage))
	return le.AppendUint64(dst, g.Pages)
}

// decodeGlobals reads a record. file and offset say where it lies, for the *types.CorruptError that tells damage.
func decodeGlobals(buf []byte, file string, offset int64) (Globals, error) {
	if len(buf) != globalsSize {
		return Globals{}, &types.CorruptError{File: file, Offset: offset, Detail: "globals record of a wrong size"}
	}
	g := parseGlobals(buf)
	if p := g.problem(); p != "" {
		return Globals{}, &types.CorruptError{File: file, Offset: offset, Detail: p}
	}
	return g, nil
}

// parseGlobals reads the fields without judging them.
func parseGlobals(buf []byte) Globals {
	le := binary.LittleEndian
	return Globals{
		Root:     types.PageID(le.Uint64(buf[globalsRootOff:])),
		Sequence: le.Uint64(buf[globalsSequenceOff:]),
		NextPage: types.PageID(le.Uint64(buf[globalsNextOff:])),
		Pages:    le.Uint64(buf[globalsPagesOff:]),
	}
}

// miscounted returns the error for globals that can't be so, though every change of them was right: what the file said of
// the pages in use was not.
func (p *Pager) miscounted(problem string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &types.CorruptError{
		File: p.name, Offset: int64(p.meta.slot()) * metaSlotSize, Detail: "counts of pages that can't be right: " + problem,
	}
}
