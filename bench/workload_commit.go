package main

import "time"

const manyWriters = 16

var commitOne = Workload{
	Name: "commit", Unit: "commits", Latency: "a commit", Fill: true, Durable: true,
	What: "one key a transaction is overwritten, 1 goroutine",
	Run:  func(w *world) (Result, error) { return commits(w, 1) },
}

var commitMany = Workload{
	Name: "commit-16", Unit: "commits", Latency: "a commit", Fill: true, Durable: true,
	What: "the same, 16 goroutines with an Update each",
	Run:  func(w *world) (Result, error) { return commits(w, manyWriters) },
}

// commits overwrites one random key a transaction. Each goroutine has keys of its own, so that it knows their versions.
func commits(w *world, goroutines int) (Result, error) {
	goroutines = min(goroutines, w.keys)
	return inParallel(goroutines, func(g int, r *recorder) error {
		b, dice, one := w.newBatch(1), rng(g+1), make([]int, 1)
		share := (w.keys - g + goroutines - 1) / goroutines
		for end := time.Now().Add(w.duration); ; {
			one[0] = dice.intn(share)*goroutines + g
			began := time.Now()
			if !began.Before(end) && r.ops > 0 {
				return nil
			}
			if err := b.commit(one); err != nil {
				return err
			}
			r.add(1, time.Since(began))
		}
	})
}
