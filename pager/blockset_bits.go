package pager

import "math/bits"

// Bit ranges over words: bit i is bit i mod 64 of word i / 64. Ranges are [from, to).

// rangeMask returns the bits of word w that lie in [from, to).
func rangeMask(w, from, to int) uint64 {
	lo, hi := max(from-w*64, 0), min(to-w*64, 64)
	if lo >= hi {
		return 0
	}
	return ^uint64(0) << lo & (^uint64(0) >> (64 - hi))
}

// fillBits sets the bits of a range.
func fillBits(words []uint64, from, to int) {
	for w := from / 64; w*64 < to; w++ {
		words[w] |= rangeMask(w, from, to)
	}
}

// wipeBits clears the bits of a range.
func wipeBits(words []uint64, from, to int) {
	for w := from / 64; w*64 < to; w++ {
		words[w] &^= rangeMask(w, from, to)
	}
}

// countBits returns how many bits of a range are set.
func countBits(words []uint64, from, to int) int {
	n := 0
	for w := from / 64; w*64 < to; w++ {
		n += bits.OnesCount64(words[w] & rangeMask(w, from, to))
	}
	return n
}

// nextClear returns the first clear bit of a range, or to.
func nextClear(words []uint64, from, to int) int {
	for w := from / 64; w*64 < to; w++ {
		if free := ^words[w] & rangeMask(w, from, to); free != 0 {
			return w*64 + bits.TrailingZeros64(free)
		}
	}
	return to
}

// nextSet returns the first set bit of a range, or to.
func nextSet(words []uint64, from, to int) int {
	for w := from / 64; w*64 < to; w++ {
		if set := words[w] & rangeMask(w, from, to); set != 0 {
			return w*64 + bits.TrailingZeros64(set)
		}
	}
	return to
}

// lastSet returns the last set bit of a range, or from-1.
func lastSet(words []uint64, from, to int) int {
	for w := (to - 1) / 64; w >= from/64 && to > from; w-- {
		if set := words[w] & rangeMask(w, from, to); set != 0 {
			return w*64 + 63 - bits.LeadingZeros64(set)
		}
	}
	return from - 1
}

// onesIn returns how many bits of words are set.
func onesIn(words []uint64) int {
	n := 0
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return n
}
