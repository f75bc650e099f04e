package plan

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/pawldb/pawl"
)

// Writes reports whether an operation is for write transactions alone.
func (k OpKind) Writes() bool {
	switch k {
	case Get, GetNow, GetAppend, GetMany, Has, Scan, ScanBack, Walk, WalkBack, Range, RangeBack, First, Last, ReadAt, Stats, Sequence,
		Pause, Sleep:
		return false
	}
	return true
}

// Paths is how many paths of buckets there are, the root bucket's included.
const Paths = 10

var paths = [Paths][]string{
	nil, {"b"}, {"c"}, {"b", "x"}, {"b", "y"}, {"c", "x"}, {"b", "x", "deep"}, {"d"}, {"d", "z"}, {"b", "y", "deeper"},
}

// Path returns the path of a bucket's number.
func (p *Plan) Path(n int) []string { return paths[n%Paths] }

// Bytes returns a path as the API takes it.
func Bytes(path []string) [][]byte {
	out := make([][]byte, len(path))
	for i, name := range path {
		out[i] = []byte(name)
	}
	return out
}

// Key returns the key of a number.
func (p *Plan) Key(n int) string {
	n %= max(p.KeyCount, 1)
	scattered := uint32(n+1) * 2654435761
	switch p.Keys {
	case PrefixKeys:
		return fmt.Sprintf("%s%06d", strings.Repeat("prefix/", 5), n)
	case LimitKeys:
		key := fmt.Sprintf("%08x", scattered)
		if n%3 == 0 {
			key += strings.Repeat("k", pawl.MaxKeySize(p.PageSize)-len(key))
		}
		return key
	}
	return fmt.Sprintf("%08x", scattered)[:2+n%6] + fmt.Sprint(n)
}

// pool is what values are cut from.
var pool = sync.OnceValue(func() string {
	b := make([]byte, 4<<20)
	source := rand.NewChaCha8([32]byte{7})
	_, _ = source.Read(b)
	return string(b)
})

// Value returns the value that operation id writes: size bytes that no other operation writes, if there is room for its number.
func (p *Plan) Value(id, size int) string {
	var head [8]byte
	binary.LittleEndian.PutUint64(head[:], uint64(id)<<8|uint64(p.Seed&0xff))
	if size <= len(head) {
		return string(head[:size])
	}
	size -= len(head)
	all := pool()
	at := id * 977 % (len(all) - min(size, len(all)-1))
	if at+size > len(all) {
		return string(head[:]) + strings.Repeat(all[:1], size)
	}
	return string(head[:]) + all[at:at+size]
}
