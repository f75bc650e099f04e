package wal

import (
	"fmt"
	"slices"

	"github.com/pawldb/pawl/internal/prefetch"
	"github.com/pawldb/pawl/types"
)

// indexedAtOnce is how many entries are looked up together. A page's entry before lies anywhere in the index, and a group may have no more
// than one: those of groups that were accepted are kept back until there are so many, and then all are asked for at once.
const indexedAtOnce = 256

// keep takes the entries of a group that was accepted.
func (m *Recover) keep() error {
	if len(m.parser.entries) >= indexedAtOnce {
		if err := m.index(); err != nil {
			return err
		}
	}
	if len(m.entries) == 0 {
		m.entries, m.parser.entries = m.parser.entries, m.entries
		return nil
	}
	m.entries = append(m.entries, m.parser.entries...)
	return nil
}

// index takes the entries that were kept back into the index. The machine does that before it waits, and before it says that anything else
// is wrong.
func (m *Recover) index() error {
	all := m.entries
	m.entries = m.entries[:0]
	for len(all) > 0 {
		n := min(indexedAtOnce, len(all))
		if err := m.indexSome(all[:n], len(all)); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// indexSome takes up to indexedAtOnce entries into the index, the first ones of left.
func (m *Recover) indexSome(entries []indexEntry, left int) error {
	y := m.log.index.layers[0]
	var slots [indexedAtOnce]*int32
	for i := range entries {
		slots[i] = y.newest.slot(entries[i].page)
		if at := *slots[i] - 1; at >= 0 {
			prefetch.Value(&y.entries[at])
		}
	}
	if len(entries) > cap(y.entries)-len(y.entries) {
		y.entries = slices.Grow(y.entries, m.expected(len(y.entries), left))
	}
	for i := range entries {
		e := &entries[i]
		if e.kind == KindDelta {
			was, _ := y.lookupFrom(*slots[i]-1, e.page, e.version-1)
			e.on(&was)
		}
		if e.deltas > DeltasMax {
			detail := fmt.Sprintf("more than %d deltas in a row", DeltasMax)
			return &types.CorruptError{File: m.log.name, Offset: int64(e.c), Page: e.page, Detail: detail}
		}
		e.older = y.newest.put(slots[i], int32(len(y.entries)))
		y.entries = append(y.entries, *e)
	}
	return nil
}

// expected returns how many entries to make room for, where have are in the index: those left of what was kept back, and those that the rest
// of the log brings if it is as what came before, but no more than growthMost times those that there are.
func (m *Recover) expected(have, left int) int {
	const growthMost = 8
	l := m.log
	h := &m.headers[m.place].h
	rest := min(max(l.geo.end(m.place)-m.offset, 0), l.geo.length(m.place)) // m.offset is in the segment before while a group goes on
	for place := range m.headers {
		if f := &m.headers[place]; f.ok && !f.followed && f.h.serial > h.serial {
			rest += l.geo.length(place)
		}
	}
	known := int64(have + left)
	return left + int(min(known*rest/max(m.result.Bytes, 1), growthMost*known))
}
