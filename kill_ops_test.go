package pawl

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// killPool is random bytes, of which values are parts: the same ones in every process.
var killPool = sync.OnceValue(func() string {
	pool := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(pool)
	return string(pool)
})

// killOp is a change that a commit makes.
type killOp struct {
	kind   killKind
	bucket []string
	key    string
	to     string
	value  string
}

type killKind uint8

const (
	killPut killKind = iota
	killDelete
	killDeleteRange // of the keys >= key and < to
	killDropBucket
)

// killOps returns what commit n changes, the same at every call.
func killOps(n uint64) []killOp {
	rng := rand.New(rand.NewPCG(n, 99))
	ops := make([]killOp, 1+rng.IntN(12))
	for i := range ops {
		op := killOp{bucket: []string{fmt.Sprintf("bucket%d", rng.IntN(4))}, key: fmt.Sprintf("key%03d", rng.IntN(300))}
		if rng.IntN(4) == 0 {
			op.bucket = append(op.bucket, "inner")
		}
		switch kind := rng.IntN(600); {
		case kind < 1:
			op.kind = killDropBucket
		case kind < 6:
			op.kind, op.to = killDeleteRange, op.key[:5]+"9"
		case kind < 100:
			op.kind = killDelete
		default:
			size := rng.IntN(300)
			if kind < 120 {
				size = rng.IntN(20_000)
			}
			at := rng.IntN(len(killPool()) - size)
			op.value = killPool()[at : at+size]
		}
		ops[i] = op
	}
	return ops
}

// killApply makes the changes of commit n in a transaction.
func killApply(tx *Tx, n uint64) error {
	for _, op := range killOps(n) {
		at, err := tx.CreateBucketIfNotExists(names(op.bucket)...)
		if err != nil {
			return err
		}
		switch op.kind {
		case killPut:
			err = at.Put([]byte(op.key), []byte(op.value))
		case killDelete:
			err = at.Delete([]byte(op.key))
		case killDeleteRange:
			err = at.DeleteRange([]byte(op.key), []byte(op.to))
		case killDropBucket:
			err = tx.DeleteBucket(names(op.bucket)...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// killModel makes the changes of commit n in a model.
func killModel(root *modelBucket, n uint64) {
	root.seq = n
	for _, op := range killOps(n) {
		m, parent := root, root
		for _, name := range op.bucket {
			if m.get(name) == nil {
				m.set(modelEntry{key: name, bucket: new(modelBucket)})
			}
			parent, m = m, m.get(name).bucket
		}
		switch op.kind {
		case killPut:
			m.set(modelEntry{key: op.key, value: op.value})
		case killDelete:
			m.drop(op.key)
		case killDeleteRange:
			for _, e := range m.within([]byte(op.key), []byte(op.to)) {
				m.drop(e.key)
			}
		case killDropBucket:
			parent.drop(op.bucket[len(op.bucket)-1])
		}
	}
}
