package powercut

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/pawldb/pawl"
)

// A commit is made of its nonce alone, a random number whose lowest bits are its writer and its durability. It changes
//
//	root          the sequence, which is the commit's number
//	history       number: nonce, of the last historyLength commits
//	shared        last: nonce; and keys that all writers change
//	writers, w<n> seq: how many commits the writer has made; and keys of its own, deleted too, some values large
//
// so that what is there tells by itself which commits made it.
const (
	writers       = 6
	writerBits    = 7      // of a nonce
	relaxedBit    = 1 << 3 // of a nonce
	alwaysBit     = 1 << 63
	historyLength = 4096
	ownKeys       = 150
	sharedKeys    = 40
)

// op is a change that a commit makes: a value is put under key, or key is deleted, or the keys from it to to are.
type op struct {
	bucket   string
	key, to  string
	value    string
	deletion bool
}

// pool is random bytes, of which values are parts.
var pool = func() string {
	b := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return string(b)
}()

// newNonce draws a commit of a writer; one of eight is relaxed.
func newNonce(rng *rand.Rand, writer int) uint64 {
	nonce := rng.Uint64()&^(writerBits|relaxedBit) | uint64(writer) | alwaysBit
	if rng.IntN(8) == 0 {
		nonce |= relaxedBit
	}
	return nonce
}

// writerOf returns the writer of a commit.
func writerOf(nonce uint64) int { return int(nonce & writerBits) }

// isDurable reports whether a commit is on stable storage when it is visible.
func isDurable(nonce uint64) bool { return nonce&relaxedBit == 0 }

// own returns the name of a writer's bucket.
func own(writer int) string { return "w" + strconv.Itoa(writer) }

// number returns what a number is as a key or a value.
func number(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// operations returns what a commit changes beside the numbers, the same at every call.
func operations(nonce uint64) []op {
	rng := rand.New(rand.NewPCG(nonce, 5))
	ops := []op{{bucket: "shared", key: "last", value: number(nonce)}}
	for range 1 + rng.IntN(8) {
		o := op{bucket: own(writerOf(nonce)), key: fmt.Sprintf("k%03d", rng.IntN(ownKeys))}
		if rng.IntN(6) == 0 {
			o.bucket, o.key = "shared", fmt.Sprintf("k%03d", rng.IntN(sharedKeys))
		}
		switch kind := rng.IntN(100); {
		case kind < 2:
			o.deletion, o.to = true, o.key[:3]+"9"
		case kind < 20:
			o.deletion = true
		default:
			size := rng.IntN(400)
			if kind < 26 {
				size = 2000 + rng.IntN(40_000)
			}
			at := rng.IntN(len(pool) - size)
			o.value = pool[at : at+size]
		}
		ops = append(ops, o)
	}
	return ops
}

// commit makes the changes of a commit in a transaction and returns its number.
func commit(tx *pawl.Tx, nonce uint64) (uint64, error) {
	n, err := tx.Root().NextSequence()
	if err != nil {
		return 0, err
	}
	history, err := tx.CreateBucketIfNotExists([]byte("history"))
	if err != nil {
		return 0, err
	}
	if err := history.Put([]byte(number(n)), []byte(number(nonce))); err != nil {
		return 0, err
	}
	if n > historyLength {
		if err := history.Delete([]byte(number(n - historyLength))); err != nil {
			return 0, err
		}
	}
	mine, err := tx.CreateBucketIfNotExists([]byte("writers"), []byte(own(writerOf(nonce))))
	if err != nil {
		return 0, err
	}
	shared, err := tx.CreateBucketIfNotExists([]byte("shared"))
	if err != nil {
		return 0, err
	}
	if _, err := mine.NextSequence(); err != nil {
		return 0, err
	}
	for _, o := range operations(nonce) {
		b := mine
		if o.bucket == "shared" {
			b = shared
		}
		switch {
		case o.to != "":
			err = b.DeleteRange([]byte(o.key), []byte(o.to))
		case o.deletion:
			err = b.Delete([]byte(o.key))
		default:
			err = b.Put([]byte(o.key), []byte(o.value))
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// model is what the database holds after a commit.
type model struct {
	n       uint64
	counts  [writers]uint64
	buckets map[string]map[string]string // but those that never were made
}

// apply makes the changes of the next commit.
func (m *model) apply(nonce uint64) {
	m.n++
	if m.buckets == nil {
		m.buckets = map[string]map[string]string{"history": {}, "shared": {}}
	}
	history, mine := m.buckets["history"], own(writerOf(nonce))
	history[number(m.n)] = number(nonce)
	if m.n > historyLength {
		delete(history, number(m.n-historyLength))
	}
	m.counts[writerOf(nonce)]++
	if m.buckets[mine] == nil {
		m.buckets[mine] = map[string]string{}
	}
	for _, o := range operations(nonce) {
		at := m.buckets[o.bucket]
		switch {
		case o.to != "":
			for key := range at {
				if key >= o.key && key < o.to {
					delete(at, key)
				}
			}
		case o.deletion:
			delete(at, o.key)
		default:
			at[o.key] = o.value
		}
	}
}

// path returns where in the database a bucket of the model is.
func path(name string) [][]byte {
	if name[0] == 'w' {
		return [][]byte{[]byte("writers"), []byte(name)}
	}
	return [][]byte{[]byte(name)}
}

// same returns nil if a transaction sees what the model holds, and nothing else.
func (m *model) same(tx *pawl.Tx) error {
	if n := tx.Root().Sequence(); n != m.n {
		return fmt.Errorf("commit %d, not %d", n, m.n)
	}
	for name, want := range m.buckets {
		b := tx.Bucket(path(name)...)
		keys := make([]string, 0, len(want))
		for key := range want {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for key, value := range b.All() {
			switch {
			case len(keys) == 0 || string(key) < keys[0]:
				return fmt.Errorf("bucket %s: key %q should not be there", name, key)
			case string(key) > keys[0]:
				return fmt.Errorf("bucket %s: key %q is missing", name, keys[0])
			case string(value) != want[keys[0]]:
				return fmt.Errorf("bucket %s, key %q: another value, of %d bytes, not %d", name, key, len(value), len(want[keys[0]]))
			}
			keys = keys[1:]
		}
		if err := b.Err(); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
		if err := tx.Err(); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
		if len(keys) > 0 {
			return fmt.Errorf("bucket %s: key %q is missing", name, keys[0])
		}
	}
	for w, want := range m.counts {
		if want == 0 {
			continue
		}
		if got := tx.Bucket(path(own(w))...).Sequence(); got != want {
			return fmt.Errorf("writer %d has made %d commits, not %d", w, got, want)
		}
	}
	return nil
}

// sizes returns how many values and buckets there are, the root bucket included.
func (m *model) sizes() (values, buckets int64) {
	buckets = 1
	if m.buckets != nil {
		buckets += 1 + int64(len(m.buckets)) // the one called writers
	}
	for _, b := range m.buckets {
		values += int64(len(b))
	}
	return values, buckets
}
