package wal

import (
	"cmp"
	"slices"
)

// sortLinks makes linking: there are many groups in a segment, and each could be the last before a link.
func (m *Recover) sortLinks() {
	for place := range m.headers {
		if m.headers[place].ok {
			m.linking = append(m.linking, place)
		}
	}
	slices.SortFunc(m.linking, func(a, b int) int {
		return cmp.Or(m.headers[a].h.previous.compare(m.headers[b].h.previous), cmp.Compare(a, b))
	})
}

// compare orders links by the segment that they go on from.
func (l link) compare(o link) int {
	return cmp.Or(cmp.Compare(l.epoch, o.epoch), cmp.Compare(l.serial, o.serial))
}

// stand makes the segment at place the one that the chain has come to.
func (m *Recover) stand(place int) {
	m.place = place
	from, _ := slices.BinarySearchFunc(m.linking, m.here(0), func(at int, l link) int { return m.headers[at].h.previous.compare(l) })
	until := from
	for until < len(m.linking) && m.headers[m.linking[until]].h.previous.compare(m.here(0)) == 0 {
		until++
	}
	m.next = m.linking[from:until]
}

// successor returns the place of the segment whose header names the given end of the current one as its predecessor's, or -1.
func (m *Recover) successor(end int64, carried bool) (int, error) {
	found := -1
	for _, place := range m.next {
		f := &m.headers[place]
		if f.followed || f.h.previous != m.here(end) || (f.h.carry > 0) != carried {
			continue
		}
		if found >= 0 {
			return -1, m.log.corruptf(m.log.geo.start(place), "two segments go on from the same place")
		}
		found = place
	}
	return found, nil
}

// here returns the link that a successor from the given end of the current segment would have.
func (m *Recover) here(end int64) link {
	h := &m.headers[m.place].h
	return link{h.epoch, h.serial, end, m.chain}
}

// linked returns the place of the segment that goes on from the end of the chain, or -1.
func (m *Recover) linked() (int, error) {
	found := -1
	for _, at := range m.starts() {
		next, err := m.successor(at, false)
		switch {
		case err != nil:
			return -1, err
		case next >= 0 && found >= 0:
			return -1, m.log.corruptf(m.log.geo.start(next), "two segments go on from the same place")
		case next >= 0:
			found = next
		}
	}
	return found, nil
}

// enter goes on in the segment at place, whose header block becomes part of what may have to be written again.
func (m *Recover) enter(place int, to *[]rawBlocks) {
	f := &m.headers[place]
	f.followed = true
	block := make([]byte, LogBlockSize)
	copy(block, f.raw[:])
	*to = append(*to, rawBlocks{needed: m.last + 1, place: place, offset: m.log.geo.start(place), bytes: block})
	m.stand(place)
}
