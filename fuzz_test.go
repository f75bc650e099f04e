package pawl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	stdio "io"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// hostileBases are the files that fuzzing starts from: as a crash left them, and closed.
var hostileBases = sync.OnceValue(func() (bases [][2][]byte) {
	t := new(testing.T)
	for _, pageSize := range []int{512, 4096} {
		d := newDamaged(t, pageSize)
		file, err := d.disk.Bytes(damageName)
		require.NoError(t, err)
		log, err := d.disk.Bytes(damageName + "-wal")
		require.NoError(t, err)
		bases = append(bases, [2][]byte{bytes.Clone(file), bytes.Clone(log)})
		db, err := Open(damageName, &Options{IO: d.disk})
		require.NoError(t, err)
		require.NoError(t, db.Close())
		file, err = d.disk.Bytes(damageName)
		require.NoError(t, err)
		bases = append(bases, [2][]byte{bytes.Clone(file), nil})
	}
	return bases
})

// hostileDisk makes a disk of what the fuzzer says. The first byte chooses a base and what is done with it; then come
// changes of 5 bytes each: where (4 bytes, the highest bit says: in the log) and what is put there. Most inputs get right
// checksums again, so that what lies behind these is tried.
func hostileDisk(input []byte) (disk *io.Memory, readOnly bool) {
	if len(input) == 0 {
		input = []byte{0}
	}
	how := input[0]
	base := hostileBases()[how&3]
	file, log := bytes.Clone(base[0]), bytes.Clone(base[1])
	for at := 1; at+5 <= len(input) && at < 1+5*40; at += 5 {
		where, what := binary.LittleEndian.Uint32(input[at:]), input[at+4]
		if where>>31 != 0 && len(log) > 0 {
			log[int(where&^(1<<31))%min(len(log), 256<<10)] = what
		} else {
			file[int(where&^(1<<31))%len(file)] = what
		}
	}
	if how&4 == 0 {
		f := fixer{file: file, log: log}
		f.fix()
	}
	if how&64 != 0 {
		file = file[:len(file)*int(how>>3&7)/7]
	}
	disk = io.NewMemory(io.MemoryConfig{RealTime: true})
	disk.SetBytes(damageName, file)
	if len(log) > 0 {
		disk.SetBytes(damageName+"-wal", log)
	}
	return disk, how&128 != 0
}

// fixer makes checksums right from the bottom up, so that only what they cover is wrong. It follows the formats as far as
// small files need it.
type fixer struct {
	file, log []byte
	pageSize  int
	seen      map[uint64]bool
	database  [16]byte
}

func (f *fixer) fix() {
	le := binary.LittleEndian
	for slot := range 2 {
		m := f.file[slot*4096:][:512]
		f.pageSize = int(le.Uint32(m[8:]))
		if f.pageSize < 512 || f.pageSize > 65536 {
			continue
		}
		f.seen = map[uint64]bool{}
		copy(f.database[:], m[16:32])
		if root := le.Uint64(m[64:]) & (1<<40 - 1); root != 0 {
			if height := le.Uint32(m[80:]); height > 0 && height < 8 {
				f.node(root, int(height)-1)
			}
			le.PutUint64(m[72:], f.sum(root, 1))
		}
		if le.Uint32(m[84:]) == 0 {
			first := uint64((8192 + f.pageSize - 1) / f.pageSize)
			le.PutUint64(m[96:], f.sum(first+le.Uint64(m[88:])&1, 1))
		}
		if le.Uint32(m[12:]) == 2 {
			f.groups(int64(le.Uint64(m[152:])), le.Uint64(m[136:]), le.Uint64(m[144:]), le.Uint64(m[160:]), int64(le.Uint32(m[172:])))
		}
		le.PutUint64(m[504:], xxhash.Sum64(m[:504]))
	}
}

// sum returns the checksum of a run, 0 if it is not in the file.
func (f *fixer) sum(block, count uint64) uint64 {
	from, to := block*uint64(f.pageSize), (block+count)*uint64(f.pageSize)
	if from > to || to > uint64(len(f.file)) {
		return 0
	}
	return xxhash.Sum64(f.file[from:to])
}

// node makes the checksums in a map node right.
func (f *fixer) node(block uint64, level int) {
	if f.seen[block] || (block+1)*uint64(f.pageSize) > uint64(len(f.file)) {
		return
	}
	f.seen[block] = true
	le := binary.LittleEndian
	n := f.file[block*uint64(f.pageSize):][:f.pageSize]
	for at := 16; at+16 <= f.pageSize; at += 16 {
		run := le.Uint64(n[at:])
		first, count := run&(1<<40-1), run>>40
		switch {
		case first == 0:
		case level == 0:
			le.PutUint64(n[at+8:], f.sum(first, count))
		default:
			f.node(first, level-1)
			le.PutUint64(n[at+8:], f.sum(first, 1))
		}
	}
}

// groups makes the checksums of the log's groups right, up to the first that goes on in another segment.
func (f *fixer) groups(at int64, epoch, serial, chain uint64, end int64) {
	le := binary.LittleEndian
	for len(f.log) >= 128 && at >= 4096 && at+96 <= min(int64(len(f.log)), end) {
		h := f.log[at:]
		length := int64(le.Uint64(h[32:]))
		if string(h[:3]) != "PGR" || length < 96 || length > min(int64(len(f.log)), end)-at {
			break
		}
		for pos := int64(96); pos+32 <= length; {
			size := (32 + int64(le.Uint32(h[pos+4:])) + 7) &^ 7
			if size > length-pos {
				break
			}
			var d xxhash.Digest
			d.Reset()
			var where [24]byte
			le.PutUint64(where[0:], epoch)
			le.PutUint64(where[8:], serial)
			le.PutUint64(where[16:], uint64(at+pos))
			_, _ = d.Write(where[:])
			_, _ = d.Write(h[pos : pos+24])
			_, _ = d.Write(h[pos+32 : pos+32+int64(le.Uint32(h[pos+4:]))])
			le.PutUint64(h[pos+24:], d.Sum64())
			pos += size
		}
		le.PutUint64(h[64:], chain)
		var d xxhash.Digest
		d.Reset()
		_, _ = d.Write(h[:72])
		_, _ = d.Write(h[80:88])
		_, _ = d.Write(h[96:length])
		chain = d.Sum64()
		le.PutUint64(h[72:], chain)
		le.PutUint64(h[88:], xxhash.Sum64(slices.Concat(h[:88], f.database[:])))
		at += (length + 4095) &^ 4095
	}
	if len(f.log) >= 128 {
		le.PutUint64(f.log[120:], xxhash.Sum64(f.log[:120]))
	}
}

// hostileSeeds adds inputs that reach each kind of block.
func hostileSeeds(f *testing.F) {
	for how := range 8 {
		f.Add([]byte{byte(how)})
		for where := range 40 {
			input := []byte{byte(how)}
			input = binary.LittleEndian.AppendUint32(input, uint32(where*1237))
			input = append(input, byte(where*31))
			f.Add(input)
			input = binary.LittleEndian.AppendUint32(input, 1<<31|uint32(4096+where*997))
			f.Add(append(input, byte(where*17)))
		}
	}
}

// hostileError fails the test for an error that a file must not cause.
func hostileError(t *testing.T, what string, err error) {
	if err == nil {
		return
	}
	for _, ok := range []error{
		ErrCorrupt, ErrVersion, ErrNotDatabase, ErrLogMissing, ErrLogMismatch, ErrNotFound, ErrBucketNotFound, ErrIsBucket,
		ErrFull, ErrFailed, ErrCursor, errEnough, ErrBucketExists, ErrNotBucket, ErrOptions,
	} {
		if errors.Is(err, ok) {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

var errEnough = errors.New("enough")

// openHostile opens what the fuzzer says, or returns nil.
func openHostile(t *testing.T, input []byte) (*DB, *io.Memory) {
	disk, readOnly := hostileDisk(input)
	disk.SetCapacity(64 << 20)
	db, err := Open(damageName, &Options{IO: disk, ReadOnly: readOnly, MustExist: true, CacheSize: 1 << 20})
	hostileError(t, "open", err)
	return db, disk
}

func FuzzOpen(f *testing.F) {
	hostileSeeds(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		db, disk := openHostile(t, input)
		if db != nil {
			_ = db.Stats()
			hostileError(t, "close", db.Close())
			again, err := Open(damageName, &Options{IO: disk, MustExist: true})
			hostileError(t, "open again", err)
			if again != nil {
				hostileError(t, "close again", again.Close())
			}
		}
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 256<<20 {
			t.Fatalf("%d MiB were allocated", (after.TotalAlloc-before.TotalAlloc)>>20)
		}
	})
}

// readHostile reads at most limit entries of a bucket and those below.
func readHostile(t *testing.T, at *Bucket, depth int, limit *int) {
	for k, v := range at.All() {
		if *limit--; *limit < 0 {
			return
		}
		got, err := at.Get(k)
		hostileError(t, "get", err)
		if err == nil && !bytes.Equal(got, v) {
			t.Fatalf("get of %q: %d bytes, the scan had %d", k, len(got), len(v))
		}
	}
	for range at.Backward() {
		if *limit--; *limit < 0 {
			return
		}
	}
	for name, below := range at.Buckets() {
		if *limit--; *limit < 0 || depth > 20 {
			return
		}
		if r, err := below.Reader([]byte("key001")); err == nil {
			_, err = stdio.Copy(stdio.Discard, stdio.LimitReader(r, 1<<20))
			hostileError(t, "read", err)
		}
		_ = name
		readHostile(t, below, depth+1, limit)
	}
}

func FuzzReads(f *testing.F) {
	hostileSeeds(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		db, _ := openHostile(t, input)
		if db == nil {
			return
		}
		hostileError(t, "view", db.View(func(tx *Tx) error {
			limit := 3000
			readHostile(t, tx.Root(), 0, &limit)
			_, err := tx.Check(t.Context())
			hostileError(t, "check", err)
			_, err = tx.Root().Stats()
			hostileError(t, "stats", err)
			_, err = tx.WriteTo(stdio.Discard)
			hostileError(t, "copy", err)
			return nil
		}))
		if !db.opts.ReadOnly {
			changeHostile(t, db)
		}
		_ = db.Waiting()
		hostileError(t, "close", db.Close())
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 1<<30 {
			t.Fatalf("%d MiB were allocated", (after.TotalAlloc-before.TotalAlloc)>>20)
		}
	})
}

// changeHostile changes what it can.
func changeHostile(t *testing.T, db *DB) {
	steps := []func(*Tx) error{
		func(tx *Tx) error { return tx.Root().Put([]byte("new"), make([]byte, 200)) },
		func(tx *Tx) error { return tx.Root().Put([]byte("large"), make([]byte, 9000)) },
		func(tx *Tx) error {
			for i := range 60 {
				if err := tx.Root().Delete(fmt.Appendf(nil, "key%03d", i)); err != nil {
					return err
				}
			}
			return nil
		},
		func(tx *Tx) error { return tx.Bucket([]byte("a")).DeleteRange(nil, nil) },
		func(tx *Tx) error { return tx.DeleteBucket([]byte("a")) },
		func(tx *Tx) error { return tx.DeleteBucket([]byte("c")) },
		func(tx *Tx) error { return errors.Join(tx.Root().Put([]byte("k"), nil), errEnough) },
	}
	for i, step := range steps {
		hostileError(t, fmt.Sprintf("change %d", i), db.Update(step))
		if i%2 == 0 {
			_, err := db.Checkpoint(t.Context(), []CheckpointMode{Passive, Complete, Truncate}[i/2%3])
			hostileError(t, "checkpoint", err)
		}
	}
}
