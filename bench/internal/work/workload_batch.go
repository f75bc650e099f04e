package work

import (
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

var batchWorkloads = []Workload{
	{
		Name: "batch-sorted", Unit: "keys", Latency: "a transaction", Durable: true, Memory: true,
		What: "an empty store is filled, 1,000 keys a transaction, ascending from the first to the last",
		Run:  func(w *World) (Result, error) { return insert(w, sortedOrder(w.Keys), batchSize) },
	},
	{
		Name: "batch-random", Unit: "keys", Latency: "a transaction", Durable: true, Memory: true,
		What: "an empty store is filled, 1,000 keys a transaction, in random order",
		Run:  batchRandom,
	},
	{
		Name: "load", Unit: "keys", Latency: "the transaction", Durable: true,
		What: "an empty store is filled in one transaction, ascending",
		Run:  func(w *World) (Result, error) { return insert(w, sortedOrder(w.Keys), w.Keys) },
	},
}

// batchRandom also says how long it takes until work that was put off is done.
func batchRandom(w *World) (Result, error) {
	order := countUp(w.Keys) // the keys of a count are in random order
	r, err := insert(w, order, batchSize)
	if s, ok := w.Store.(engines.Settler); ok && err == nil {
		began := time.Now()
		err = s.Settle()
		r.set("settled", (r.Elapsed + time.Since(began)).Seconds())
	}
	return r, err
}

// insert puts all keys in the order given, n a transaction.
func insert(w *World, order []int, n int) (Result, error) {
	return inParts(w, order, n, w.newBatch(min(n, w.Keys)).commit)
}

// inParts measures fn, called for the keys of one transaction after the other until all have had their turn, or the
// limit of the time is reached: then the rate so far counts.
func inParts(w *World, numbers []int, n int, fn func([]int) error) (Result, error) {
	stopped := time.Duration(0)
	r, err := Parallel(1, func(_ int, r *recorder) error {
		for start := time.Now(); len(numbers) > 0; {
			part := numbers[:min(n, len(numbers))]
			numbers = numbers[len(part):]
			began := time.Now()
			if w.Limit > 0 && began.Sub(start) >= w.Limit && r.ops > 0 {
				stopped = w.Limit
				return nil
			}
			if err := fn(part); err != nil {
				return err
			}
			r.add(len(part), time.Since(began))
		}
		return nil
	})
	r.Stopped = stopped
	return r, err
}
