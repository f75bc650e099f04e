package work

import (
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

var openWorkloads = []Workload{
	{
		Name: "open-crash", Unit: "opens", Latency: "the open", Data: Copied,
		What: "open after kill -9, with as much in the log as there can be before it is checkpointed or flushed",
		Run: func(w *World) (Result, error) {
			return Parallel(1, func(_ int, r *recorder) (err error) {
				began := time.Now()
				w.Store, err = w.Open()
				r.add(1, time.Since(began))
				return err
			})
		},
		Crash: fillLog,
	},
	{
		Name: "open-clean", Unit: "opens", Latency: "an open", Data: Copied,
		What: "open after a close, again and again",
		Run: func(w *World) (Result, error) {
			var opening time.Duration
			r, err := Parallel(1, func(_ int, r *recorder) error {
				for end := time.Now().Add(w.Duration); r.ops == 0 || time.Now().Before(end); {
					if err := w.Store.Close(); err != nil {
						return err
					}
					began := time.Now()
					store, err := w.Open()
					if err != nil {
						return err
					}
					took := time.Since(began)
					w.Store, opening = store, opening+took
					r.add(1, took)
				}
				return nil
			})
			r.Elapsed = max(opening, 1)
			return r, err
		},
	},
}

// fillLog overwrites random keys until the log is as full as it gets, or, where the engine does not tell, until it has
// had as much to write as a log of 64 MiB holds. Those that don't tell and take longer than five measurements have no
// such log: copy-on-write trees have none, and SQLite's is checkpointed at 4 MiB.
func fillLog(w *World) error {
	b, dice, numbers := w.newBatch(100), w.dice(0), make([]int, 100)
	filler, tells := w.Store.(engines.LogFiller)
	limit := time.Now().Add(5 * w.Duration)
	if tells {
		limit = time.Now().Add(10 * w.Duration)
	}
	for full := w.put.Load() + 56<<20; time.Now().Before(limit); {
		if tells && filler.LogFull() || !tells && w.put.Load() >= full {
			return nil
		}
		for at := range numbers {
			numbers[at] = dice.intn(w.Keys)
		}
		if err := b.commit(numbers); err != nil {
			return err
		}
	}
	return nil
}
