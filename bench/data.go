package main

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	keySize   = 16 // bytes
	valueSize = 100
)

// golden is 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// mix is a bijection that looks random (the finisher of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rng is a small generator of its own for each goroutine, the same in every run.
type rng uint64

func (r *rng) intn(n int) int {
	*r += golden
	hi := mix(uint64(*r)) >> 32
	return int(hi * uint64(n) >> 32)
}

// fillKey sets dst to key number i. Keys have no prefix in common, and their order is that of no counter: filling a
// store in the order of i is filling it in random order.
func fillKey(dst []byte, i int) {
	hi := mix(uint64(i) + golden)
	binary.BigEndian.PutUint64(dst, hi)
	binary.BigEndian.PutUint64(dst[8:], mix(hi+golden))
}

// fillValue sets dst to a key's value: the version, then bytes that follow from key and version.
func fillValue(dst, key []byte, version uint64) {
	binary.LittleEndian.PutUint64(dst, version)
	seed := binary.BigEndian.Uint64(key) ^ mix(version)
	at := 8
	for ; at+8 <= valueSize; at += 8 {
		binary.LittleEndian.PutUint64(dst[at:], mix(seed+uint64(at)*golden))
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(mix(seed+uint64(at)*golden)))
}

// The value is whole words and one half.
var _ [0]struct{} = [valueSize%8 - 4]struct{}{}

// checkValue verifies every byte of a value and returns its version.
func checkValue(key, value []byte) (version uint64, err error) {
	if len(key) != keySize || len(value) != valueSize {
		return 0, fmt.Errorf("key %x with %d bytes, expected %d with %d", key, len(value), keySize, valueSize)
	}
	version = binary.LittleEndian.Uint64(value)
	seed := binary.BigEndian.Uint64(key) ^ mix(version)
	bad := uint64(0)
	at := 8
	for ; at+8 <= valueSize; at += 8 {
		bad |= binary.LittleEndian.Uint64(value[at:]) ^ mix(seed+uint64(at)*golden)
	}
	bad |= uint64(binary.LittleEndian.Uint32(value[at:]) ^ uint32(mix(seed+uint64(at)*golden)))
	if bad != 0 {
		return 0, fmt.Errorf("key %x: wrong bytes in its value", key)
	}
	return version, nil
}

// sortedOrder returns the numbers of the first n keys in the order of the keys.
func sortedOrder(n int) []int {
	order := countUp(n)
	slices.SortFunc(order, compareKeys)
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
