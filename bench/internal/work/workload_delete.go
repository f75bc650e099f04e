package work

import (
	"errors"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

var deleteWorkloads = []Workload{
	{
		Name: "delete-half", Unit: "keys", Latency: "a transaction", Data: Filled, Durable: true,
		What: "a random half of the keys is deleted, 1,000 a transaction; then, not measured, put again",
		Run:  deleteHalf,
	},
	{
		Name: "delete-range", Unit: "keys", Latency: "the whole", Data: Filled, Durable: true,
		What: "all keys are deleted as one range: a call where the engine has one, else by cursor",
		Run: func(w *World) (Result, error) {
			return clear(w, func() error { return w.Store.DeleteRange([]byte{0}, nil) })
		},
	},
	{
		Name: "drop", Unit: "keys", Latency: "the whole", Data: Filled, Durable: true,
		What: "the bucket, or what is like it, is dropped with all its keys, and made anew",
		Run:  func(w *World) (Result, error) { return clear(w, w.Store.Drop) },
	},
}

// deleteHalf tells how large the files were before, after, and once the same keys were put again.
func deleteHalf(w *World) (Result, error) {
	full, err := w.settledFiles()
	if err != nil {
		return Result{}, err
	}
	half := countUp((w.Keys + 1) / 2) // random keys, in random order
	r, err := Parallel(1, func(_ int, r *recorder) error {
		b := w.newBatch(batchSize)
		return inParts(half, func(part []int) error {
			began := time.Now()
			if err := b.remove(part); err != nil {
				return err
			}
			r.add(len(part), time.Since(began))
			return nil
		})
	})
	if err != nil {
		return r, err
	}
	left, err := w.settledFiles()
	err = errors.Join(err, inParts(half, w.newBatch(batchSize).commit))
	again, again2 := w.settledFiles()
	r.set("files before", float64(full))
	r.set("files after", float64(left))
	r.set("files refilled", float64(again))
	return r, errors.Join(err, again2)
}

// inParts calls fn for the keys of one transaction after the other.
func inParts(numbers []int, fn func([]int) error) error {
	for len(numbers) > 0 {
		part := numbers[:min(batchSize, len(numbers))]
		numbers = numbers[len(part):]
		if err := fn(part); err != nil {
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

// clear measures what removes all keys at once.
func clear(w *World, fn func() error) (Result, error) {
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
