package work

import "time"

// manyWriters write at once in commit-16.
const manyWriters = 16

var commitWorkloads = []Workload{
	{
		Name: "commit", Unit: "commits", Latency: "a commit", Data: Filled, Durable: true,
		What: "one key a transaction is overwritten, 1 goroutine",
		Run:  func(w *World) (Result, error) { return commits(w, 1) },
	},
	{
		Name: "commit-16", Unit: "commits", Latency: "a commit", Data: Filled, Durable: true,
		What: "one key a transaction is overwritten, 16 goroutines with an Update each",
		Run:  func(w *World) (Result, error) { return commits(w, manyWriters) },
	},
	{
		Name: "commit-relaxed", Unit: "commits", Latency: "a commit, one in 16 timed", Data: Filled, NoSync: true,
		Memory: true,
		What:   "one key a transaction is overwritten, 1 goroutine, and no commit waits for the disk",
		Run:    relaxed,
	},
	{
		Name: "overwrite-100", Unit: "keys", Latency: "a transaction", Data: Filled, Durable: true,
		What: "100 keys a transaction, chosen at random, are overwritten in random order",
		Run:  func(w *World) (Result, error) { return overwrite(w, 100, false) },
	},
	{
		Name: "overwrite-random", Unit: "keys", Latency: "a transaction", Data: Filled, Durable: true,
		What: "1,000 keys a transaction, chosen at random, are overwritten in random order",
		Run:  func(w *World) (Result, error) { return overwrite(w, batchSize, false) },
	},
	{
		Name: "overwrite-sorted", Unit: "keys", Latency: "a transaction", Data: Filled, Durable: true,
		What: "1,000 keys a transaction, chosen at random, are overwritten, ascending in each transaction",
		Run:  func(w *World) (Result, error) { return overwrite(w, batchSize, true) },
	},
}

// committer overwrites one random key a transaction. Each goroutine has keys of its own, so that it knows their versions.
type committer struct {
	b     *batch
	dice  *rng
	one   []int
	g, of int
	share int
}

func (w *World) newCommitter(g, of int) *committer {
	return &committer{
		b: w.newBatchOf(g, 1), dice: w.dice(g + 1000), one: make([]int, 1), g: g, of: of, share: (w.Keys - g + of - 1) / of,
	}
}

// next makes a commit.
func (c *committer) next() (int, error) {
	c.one[0] = c.dice.intn(c.share)*c.of + c.g
	return 1, c.b.commit(c.one)
}

// commits overwrites one random key a transaction on each goroutine.
func commits(w *World, goroutines int) (Result, error) {
	goroutines = min(w.own(goroutines), w.Keys)
	return Parallel(goroutines, func(g int, r *recorder) error { return w.timed(r, w.newCommitter(g, goroutines).next) })
}

// relaxed is quick enough for the clock to matter.
func relaxed(w *World) (Result, error) {
	return Parallel(1, func(_ int, r *recorder) error {
		c := w.newCommitter(0, 1)
		return w.timedNow(r, func(n int) error {
			for range n {
				if _, err := c.next(); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// overwrite puts n random keys that are there a transaction.
func overwrite(w *World, n int, sorted bool) (Result, error) {
	b, dice, numbers := w.newBatch(n), w.dice(0), make([]int, n)
	return Parallel(1, func(_ int, r *recorder) error {
		for end := time.Now().Add(w.Duration); r.ops == 0 || time.Now().Before(end); {
			for at := range numbers {
				numbers[at] = dice.intn(w.Keys)
			}
			if sorted {
				sortKeys(numbers)
			}
			began := time.Now()
			if err := b.commit(numbers); err != nil {
				return err
			}
			r.add(n, time.Since(began))
		}
		return nil
	})
}

// Commit makes n commits of a key each, on one goroutine.
func Commit(w *World, n int) error {
	c := w.newCommitter(0, 1)
	for range n {
		if _, err := c.next(); err != nil {
			return err
		}
	}
	return nil
}
