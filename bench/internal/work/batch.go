package work

import "github.com/pawldb/pawl/bench/internal/engines"

// batch is what a write transaction of one goroutine puts. Stores may keep keys and values until the transaction ends,
// so each has a place of its own; the places are used again by the next transaction.
type batch struct {
	w       *World
	n       int // places
	g       int // its place among the goroutines that write
	keys    []byte
	vals    []byte
	numbers []int
	version uint64
	floor   uint64                     // of a key that modify reads, from before the transaction began
	put     func(engines.Writer) error // b.putAll, made once
	del     func(engines.Writer) error
}

// newBatch returns a batch for up to n keys a transaction, of the only goroutine that writes.
func (w *World) newBatch(n int) *batch { return w.newBatchOf(0, n) }

// newBatchOf returns a batch of one of several goroutines.
func (w *World) newBatchOf(g, n int) *batch {
	if w.copies && n > batchSize { // not to measure the memory of the benchmark
		n = 1
	}
	b := &batch{w: w, g: g, n: n, keys: make([]byte, n*KeySize), vals: make([]byte, n*w.size)}
	b.put, b.del = b.putAll, b.deleteAll
	return b
}

// commit puts a new version of each of the keys in one transaction, in the order given. A number may come twice.
func (b *batch) commit(numbers []int) error { return b.commitAs(numbers, b.put) }

// commitAs is commit with what to do in the transaction.
func (b *batch) commitAs(numbers []int, fn func(engines.Writer) error) error {
	b.numbers = numbers
	var oldest uint64
	if b.w.fixed {
		b.version = 1
	} else {
		if b.g < len(b.w.inFlight) {
			s := &b.w.inFlight[b.g].since
			s.Store(b.w.commits.Load() + 1)
			defer s.Store(0)
		}
		b.version = b.w.commits.Add(1)
		oldest = b.w.oldest(b.version)
	}
	if err := b.w.Store.Update(fn); err != nil {
		return err
	}
	b.w.put.Add(int64(len(numbers) * (KeySize + b.w.size)))
	if !b.w.fixed {
		for _, i := range numbers {
			b.w.acknowledged(i, oldest)
		}
	}
	return nil
}

// putAll puts the batch's keys.
func (b *batch) putAll(tx engines.Writer) error {
	for at, i := range b.numbers {
		key, value := b.pair(at, i)
		if err := tx.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

// pair makes key and value of a number in a place of the batch.
func (b *batch) pair(at, i int) (key, value []byte) {
	at %= b.n
	key, value = b.keys[at*KeySize:(at+1)*KeySize], b.vals[at*b.w.size:(at+1)*b.w.size]
	FillKey(key, i)
	FillValue(value, key, b.version)
	return key, value
}

// remove deletes keys that are there in one transaction.
func (b *batch) remove(numbers []int) error {
	b.numbers = numbers
	if err := b.w.Store.Update(b.del); err != nil {
		return err
	}
	b.w.put.Add(int64(len(numbers) * KeySize))
	for _, i := range numbers {
		b.w.floors[i].Store(0)
	}
	return nil
}

func (b *batch) deleteAll(tx engines.Writer) error {
	for at, i := range b.numbers {
		key := b.keys[at*KeySize : (at+1)*KeySize]
		FillKey(key, i)
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
