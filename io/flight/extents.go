package flight

import (
	"cmp"
	"slices"
)

// extents says where in the recording the content of a file lies. What is nowhere is zero. It is kept with Options.History alone.
type extents struct {
	buckets map[int64][]extent // by offset / bucketSize; sorted, without overlaps
}

// bucketSize is how many bytes of a file have their extents together.
const bucketSize = 64 << 10

// extent is a range of a file: [from, to).
type extent struct {
	from, to int64
	part     *part // nil: nobody knows what is there
	at       int64 // in the part
}

// set says that a range lies in p from at on; in no part: that nobody knows.
func (x *extents) set(r *Recorder, offset, length int64, p *part, at int64) {
	if r.opts.History == 0 || length <= 0 {
		return
	}
	if x.buckets == nil {
		x.buckets = map[int64][]extent{}
	}
	for from := offset; from < offset+length; {
		i := from / bucketSize
		to := min((i+1)*bucketSize, offset+length)
		list := without(x.buckets[i], from, to)
		list = append(list, extent{from, to, p, at + from - offset})
		slices.SortFunc(list, func(a, b extent) int { return cmp.Compare(a.from, b.from) })
		x.buckets[i] = list
		from = to
	}
}

// cut forgets what lies behind size.
func (x *extents) cut(size int64) {
	for i, list := range x.buckets {
		if end := (i + 1) * bucketSize; end > size {
			x.buckets[i] = without(list, size, end)
		}
		if len(x.buckets[i]) == 0 {
			delete(x.buckets, i)
		}
	}
}

// moved says that the bytes of old now lie in p from at on, where they are still the file's.
func (x *extents) moved(old extent, p *part, at int64) {
	list := x.buckets[old.from/bucketSize]
	for i := range list {
		e := &list[i]
		if e.part == old.part && e.part != nil && e.from >= old.from && e.to <= old.to && e.at-e.from == old.at-old.from {
			e.part, e.at = p, at+e.from-old.from
		}
	}
}

// all returns a copy of all extents, sorted.
func (x *extents) all() []extent {
	var all []extent
	for _, list := range x.buckets {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b extent) int { return cmp.Compare(a.from, b.from) })
	return all
}

// without returns list without the range [from, to).
func without(list []extent, from, to int64) []extent {
	kept := make([]extent, 0, len(list)+2)
	for _, e := range list {
		if e.from < from {
			kept = append(kept, extent{e.from, min(e.to, from), e.part, e.at})
		}
		if e.to > to {
			start := max(e.from, to)
			kept = append(kept, extent{start, e.to, e.part, e.at + start - e.from})
		}
	}
	return kept
}
