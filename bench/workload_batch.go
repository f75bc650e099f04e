package main

import "time"

var batchSorted = Workload{
	Name: "batch-sorted", Unit: "keys", Latency: "a transaction", Durable: true,
	What: "an empty store is filled, 1,000 keys a transaction, ascending from the first to the last",
	Run:  func(w *world) (Result, error) { return insert(w, sortedOrder(w.keys), batchSize) },
}

var batchRandom = Workload{
	Name: "batch-random", Unit: "keys", Latency: "a transaction", Durable: true,
	What: "the same in random order",
	Run:  func(w *world) (Result, error) { return insert(w, countUp(w.keys), batchSize) },
}

// insert puts all keys in the order given, n a transaction.
func insert(w *world, order []int, n int) (Result, error) {
	b := w.newBatch(n)
	return inParallel(1, func(_ int, r *recorder) error {
		for len(order) > 0 {
			part := order[:min(n, len(order))]
			order = order[len(part):]
			began := time.Now()
			if err := b.commit(part); err != nil {
				return err
			}
			r.add(len(part), time.Since(began))
		}
		return nil
	})
}
