package wal

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/internal/prefetch"
	"github.com/pawldb/pawl/types"
)

// indexedAtOnce is how many entries of groups that were accepted are kept back, but for those that the last one brings. A page's entry
// before lies anywhere in the index: those of many groups are asked for at once, since a group may have no more than one.
const indexedAtOnce = 256

// index takes the entries that were kept back into the index. The machine does that before it waits, and before it says that anything else
// is wrong.
func (m *Recover) index() error {
	y := m.log.index.layers[0]
	m.slots = m.slots[:0]
	for i := range m.entries {
		slot := y.newest.slot(m.entries[i].page)
		if at := *slot - 1; at >= 0 {
			prefetch.Value(&y.entries[at])
		}
		m.slots = append(m.slots, slot)
	}
	if len(m.entries) > cap(y.entries)-len(y.entries) {
		y.entries = slices.Grow(y.entries, m.expected(len(y.entries)))
	}
	for i := range m.entries {
		e := &m.entries[i]
		if e.kind == KindDelta {
			was := y.before(*m.slots[i]-1, e)
			e.on(&was)
		}
		if e.deltas > DeltasMax {
			detail := fmt.Sprintf("more than %d deltas in a row", DeltasMax)
			return &types.CorruptError{File: m.log.name, Offset: int64(e.c), Page: e.page, Detail: detail}
		}
		e.older = y.newest.put(m.slots[i], int32(len(y.entries)))
		y.entries = append(y.entries, *e)
	}
	m.entries = m.entries[:0]
	return nil
}

// before returns the page's entry before e, which is not in the layer; zero if there is none. at is that of the newest in entries, or -1.
func (y *layer) before(at int32, e *indexEntry) (was indexEntry) {
	was, _ = y.lookupFrom(at, e.page, e.version-1)
	return was
}

// expected returns how many entries to make room for: those kept back, and those that the rest of the log brings if it is as what came
// before, but no more than growthMost times the have that there are.
func (m *Recover) expected(have int) int {
	const growthMost = 8
	l := m.log
	h := &m.headers[m.place].h
	rest := min(max(l.geo.end(m.place)-m.offset, 0), l.geo.length(m.place)) // m.offset is in the segment before while a group goes on
	for place := range m.headers {
		if f := &m.headers[place]; f.ok && !f.followed && f.h.serial > h.serial {
			rest += l.geo.length(place)
		}
	}
	n := len(m.entries)
	return n + int(min(int64(have+n)*rest/max(m.result.Bytes, 1), int64(growthMost*(have+n))))
}
