package work

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
)

// A value is its version and then words that count up from one that follows from key and version, the last one cut in half.
// That is enough to tell a byte that is wrong, of another key or of another version, and quick to verify: the words are
// compared independently of each other, so that a scan shows what the engine costs. To an engine that compresses the words
// look random.

// firstWord returns the word that follows the version.
func firstWord(key []byte, version uint64) uint64 {
	return mix(binary.BigEndian.Uint64(key) + version*golden)
}

// FillValue sets dst to a key's value.
func FillValue(dst, key []byte, version uint64) {
	if len(dst) != ValueSize {
		fillBig(dst, key, version)
		return
	}
	binary.LittleEndian.PutUint64(dst, version)
	word := firstWord(key, version)
	at := 8
	for ; at+8 <= ValueSize; at += 8 {
		binary.LittleEndian.PutUint64(dst[at:], word)
		word += golden
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(word))
}

// The value is whole words and one half.
var _ [0]struct{} = [ValueSize%8 - 4]struct{}{}

// checkValue verifies every byte of a value, which has the size, and returns its version.
func checkValue(key, value []byte, size int) (version uint64, err error) {
	if size != ValueSize {
		return checkBig(key, value, size)
	}
	if len(key) != KeySize || len(value) != ValueSize {
		return 0, fmt.Errorf("key %x with %d bytes, expected %d with %d", key, len(value), KeySize, ValueSize)
	}
	version = binary.LittleEndian.Uint64(value)
	word := firstWord(key, version)
	bad := uint64(0)
	rest := value[8:]
	for ; len(rest) >= 8; rest = rest[8:] {
		bad |= binary.LittleEndian.Uint64(rest) ^ word
		word += golden
	}
	bad |= uint64(binary.LittleEndian.Uint32(rest) ^ uint32(word))
	if bad != 0 {
		return 0, fmt.Errorf("key %x: wrong bytes in its value", key)
	}
	return version, nil
}

// Large values are verified a block at a time, so that this does not take longer than reading them: each block begins
// with a header that follows from key, version and place, and goes on with bytes that follow from the place alone. No two
// blocks of a value are alike, so that engines that compress find nothing to save.
const (
	BigSize    = 1 << 20
	bigBlock   = 4096
	bigHeading = 16
)

// bigRest is a large value but for the headers of its blocks. It is made for the processes that need it.
var bigRest = sync.OnceValue(func() []byte {
	rest := make([]byte, BigSize)
	for at := 0; at < len(rest); at += 8 {
		binary.LittleEndian.PutUint64(rest[at:], mix(uint64(at)*golden+1))
	}
	return rest
})

// bigHeader returns the two words that a block begins with.
func bigHeader(key []byte, version uint64, at int) (first, second uint64) {
	return version, mix(binary.BigEndian.Uint64(key) ^ mix(version) + uint64(at)*golden)
}

// fillBig is FillValue for whole blocks.
func fillBig(dst, key []byte, version uint64) {
	copy(dst, bigRest())
	for at := 0; at < len(dst); at += bigBlock {
		first, second := bigHeader(key, version, at)
		binary.LittleEndian.PutUint64(dst[at:], first)
		binary.LittleEndian.PutUint64(dst[at+8:], second)
	}
}

// checkBig is checkValue for whole blocks.
func checkBig(key, value []byte, size int) (version uint64, err error) {
	if len(key) != KeySize || len(value) != size {
		return 0, fmt.Errorf("key %x with %d bytes, expected %d with %d", key, len(value), KeySize, size)
	}
	version = binary.LittleEndian.Uint64(value)
	rest := bigRest()
	for at := 0; at < size; at += bigBlock {
		first, second := bigHeader(key, version, at)
		block := value[at : at+bigBlock]
		if binary.LittleEndian.Uint64(block) != first || binary.LittleEndian.Uint64(block[8:]) != second ||
			!bytes.Equal(block[bigHeading:], rest[at+bigHeading:at+bigBlock]) {
			return 0, fmt.Errorf("key %x: wrong bytes in its value, in the block at %d", key, at)
		}
	}
	return version, nil
}
