package work

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

var deleteWorkloads = []Workload{
	{
		Name: "delete-half", Unit: "keys", Latency: "a transaction", Data: Copied, Durable: true,
		What: "a random half of the keys is deleted, 1,000 a transaction; then, not measured, put again",
		Run:  deleteHalf,
	},
	{
		Name: "delete-range", Unit: "keys", Latency: "the whole", Data: Copied, Durable: true,
		What: "all keys are deleted as one range: a call where the engine has one, else by cursor",
		Run: func(w *World) (Result, error) {
			return clear(w, func() error { return w.Store.DeleteRange([]byte{0}, nil) })
		},
	},
	{
		Name: "drop", Unit: "keys", Latency: "the whole", Data: Copied, Durable: true,
		What: "the bucket, or what is like it, is dropped with all its keys, and made anew",
		Run:  func(w *World) (Result, error) { return clear(w, w.Store.Drop) },
	},
}

// deleteHalf tells how large the files were before, after, and once the same keys were put again: the first and the last of a
// closed store, when logs have gone where they stay and work that was put off is done, whatever the engine; between, and
// once more at the end, of the open store.
func deleteHalf(w *World) (Result, error) {
	full, err := w.closedFiles()
	if err != nil {
		return Result{}, err
	}
	half := countUp((w.Keys + 1) / 2) // random keys, in random order
	r, err := inParts(w, half, batchSize, w.newBatch(batchSize).remove)
	if err != nil {
		return r, err
	}
	left, err := w.settledFiles()
	err = errors.Join(err, w.putAgain(half[:r.Ops]))
	again, err2 := w.settledFiles()
	closed, err3 := w.closedFiles()
	r.set("files before", float64(full))
	r.set("files after", float64(left))
	r.set("files refilled", float64(again))
	r.set("files refilled, closed", float64(closed))
	return r, errors.Join(err, err2, err3)
}

// putAgain puts keys that were removed.
func (w *World) putAgain(numbers []int) error {
	b := w.newBatch(batchSize)
	for part := range slices.Chunk(numbers, batchSize) {
		if err := b.commit(part); err != nil {
			return err
		}
	}
	return nil
}

// settledFiles returns the bytes of the files once work that was put off is done.
func (w *World) settledFiles() (int64, error) {
	if s, ok := w.Store.(engines.Settler); ok {
		if err := s.Settle(); err != nil {
			return 0, err
		}
	}
	return w.Files()
}

// closedFiles returns them while the store is closed. Then it is open again, and has read all keys, so that what was in memory is
// there again. A store without files stays open.
func (w *World) closedFiles() (int64, error) {
	if n, err := w.Files(); err != nil || n == 0 {
		return n, err
	}
	if err := w.Store.Close(); err != nil {
		return 0, err
	}
	n, err := w.Files()
	store, openErr := w.Open()
	if err = errors.Join(err, openErr); err != nil {
		return n, err
	}
	w.Store = store
	return n, w.scanAll(false)
}

// clear measures what removes all keys at once, of a store that has read them.
func clear(w *World, fn func() error) (Result, error) {
	if err := w.scanAll(false); err != nil {
		return Result{}, fmt.Errorf("warming: %w", err)
	}
	r, err := Parallel(1, func(_ int, r *recorder) error {
		began := time.Now()
		err := fn()
		r.add(w.Keys, time.Since(began))
		return err
	})
	if err == nil {
		for i := range w.floors {
			w.floors[i].Store(0)
		}
	}
	return r, err
}
