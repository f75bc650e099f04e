package main

import (
	"slices"
	"time"
)

var overwriteRandom = Workload{
	Name: "overwrite-random", Unit: "keys", Latency: "a transaction", Fill: true, Durable: true,
	What: "1,000 keys a transaction, chosen at random, are overwritten in random order",
	Run:  func(w *world) (Result, error) { return overwrite(w, false) },
}

var overwriteSorted = Workload{
	Name: "overwrite-sorted", Unit: "keys", Latency: "a transaction", Fill: true, Durable: true,
	What: "the same, each transaction's keys ascending",
	Run:  func(w *world) (Result, error) { return overwrite(w, true) },
}

// overwrite puts random keys that are there.
func overwrite(w *world, sorted bool) (Result, error) {
	b, dice, numbers := w.newBatch(batchSize), rng(1), make([]int, batchSize)
	return inParallel(1, func(_ int, r *recorder) error {
		for end := time.Now().Add(w.duration); r.ops == 0 || time.Now().Before(end); {
			for at := range numbers {
				numbers[at] = dice.intn(w.keys)
			}
			if sorted {
				slices.SortFunc(numbers, compareKeys)
			}
			began := time.Now()
			if err := b.commit(numbers); err != nil {
				return err
			}
			r.add(batchSize, time.Since(began))
		}
		return nil
	})
}
