package work

import "fmt"

var bigWorkloads = []Workload{
	{
		Name: "big-put", Unit: "values", Latency: "a commit", Data: Filled, Durable: true, Big: true,
		What: "a value of 1 MiB a transaction is overwritten",
		Run:  func(w *World) (Result, error) { return commits(w, 1) },
	},
	{
		Name: "big-get", Unit: "values", Latency: "a get", Data: Shared, Big: true,
		What: "random values of 1 MiB, each in a read transaction of its own, verified a block at a time",
		Run: func(w *World) (Result, error) {
			if err := w.scanAll(false); err != nil {
				return Result{}, fmt.Errorf("warming: %w", err)
			}
			return Parallel(1, func(_ int, r *recorder) error {
				get := w.newGetter(0)
				return w.timed(r, func() (int, error) { return 1, get.each(1) })
			})
		},
	},
}
