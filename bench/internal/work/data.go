package work

import (
	"encoding/binary"
	"slices"
)

const (
	KeySize   = 16 // bytes
	ValueSize = 100
)

// golden is 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// mix is a bijection that looks random (the finisher of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unmix is the inverse of mix.
func unmix(x uint64) uint64 {
	x = (x ^ x>>31 ^ x>>62) * inverseSecond
	x = (x ^ x>>27 ^ x>>54) * inverseFirst
	return x ^ x>>30 ^ x>>60
}

// The inverses of mix's factors.
var inverseFirst, inverseSecond = inverse(0xbf58476d1ce4e5b9), inverse(0x94d049bb133111eb)

// inverse returns the inverse of an odd number modulo 2^64.
func inverse(a uint64) uint64 {
	x := a // right in its lowest 3 bits; each step doubles them
	for range 5 {
		x *= 2 - a*x
	}
	return x
}

// rng is a small generator of its own for each goroutine, the same in every run.
type rng uint64

func (r *rng) intn(n int) int {
	*r += golden
	hi := mix(uint64(*r)) >> 32
	return int(hi * uint64(n) >> 32)
}

// FillKey sets dst to key number i. Keys have no prefix in common, and their order is that of no counter: filling a
// store in the order of i is filling it in random order.
func FillKey(dst []byte, i int) {
	hi := mix(uint64(i) + golden)
	binary.BigEndian.PutUint64(dst, hi)
	binary.BigEndian.PutUint64(dst[8:], mix(hi+golden))
}

// numberOf returns the number of a key; false: it is no key of a number below n.
func numberOf(key []byte, n int) (int, bool) {
	if len(key) != KeySize {
		return 0, false
	}
	hi := binary.BigEndian.Uint64(key)
	i := unmix(hi) - golden
	return int(i), i < uint64(n) && binary.BigEndian.Uint64(key[8:]) == mix(hi+golden)
}

// sortedOrder returns the numbers of the first n keys in the order of the keys. No two keys have the same first word, and
// it gives the number, so words are sorted: that is much quicker than comparing keys of numbers.
func sortedOrder(n int) []int {
	words, order := make([]uint64, n), make([]int, n)
	for i := range words {
		words[i] = mix(uint64(i) + golden)
	}
	slices.Sort(words)
	for at, word := range words {
		order[at] = int(unmix(word) - golden)
	}
	return order
}

// compareKeys compares the keys of two numbers.
func compareKeys(a, b int) int {
	x, y := mix(uint64(a)+golden), mix(uint64(b)+golden)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// countUp returns 0 to n-1, which is random order of keys.
func countUp(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// sortKeys sorts numbers in the order of their keys.
func sortKeys(numbers []int) { slices.SortFunc(numbers, compareKeys) }
