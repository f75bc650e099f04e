package work

import (
	"math/bits"
	"time"
)

// histogram counts times without keeping them: it takes no memory as a run goes on. Times below 256 ns have a place
// each, longer ones share one with what differs by less than 1/128.
type histogram struct {
	counts [(65 - subBits) << (subBits - 1)]uint32 // a time has 63 bits
	total  int
}

// subBits is how many leading bits of a time are told apart.
const subBits = 8

// placeOf returns the place of a time.
func placeOf(t uint64) int {
	shift := max(bits.Len64(t)-subBits, 0)
	return shift<<(subBits-1) + int(t>>shift)
}

// endOf returns the longest time of a place.
func endOf(place int) uint64 {
	if place < 1<<subBits {
		return uint64(place)
	}
	shift := place>>(subBits-1) - 1
	lead := uint64(place - shift<<(subBits-1))
	return (lead+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	h.counts[placeOf(uint64(max(d, 0)))]++
	h.total++
}

// merge adds what another one has counted.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// percentile returns a time, at most 1/128 above the shortest, that p of a thousand times do not exceed; 0 if there is
// none.
func (h *histogram) percentile(p int) time.Duration {
	rank := max((h.total*p+999)/1000, 1)
	for place, n := range h.counts {
		if rank -= int(n); rank <= 0 {
			return time.Duration(endOf(place))
		}
	}
	return 0
}
