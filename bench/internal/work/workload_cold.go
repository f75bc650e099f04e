package work

import (
	"github.com/pawldb/pawl/bench/internal/engines"
)

// coldWorkloads read what is not in memory. What comes before the measurement reads keys with even numbers, and the
// measurement those with odd ones.
var coldWorkloads = []Workload{
	{
		Name: "cold-get", Unit: "gets", Latency: "a get", Data: Shared, Large: true, Cold: true,
		What: "random keys of a store that is larger than the memory, each in a read transaction of its own",
		Run:  func(w *World) (Result, error) { return coldGets(w, 1) },
	},
	{
		Name: "cold-get-16", Unit: "gets", Latency: "a get", Data: Shared, Large: true, Cold: true,
		What: "random keys of a store that is larger than the memory, 16 goroutines",
		Run:  func(w *World) (Result, error) { return coldGets(w, 16) },
	},
	{
		Name: "cold-many", Unit: "gets", Latency: "256 gets", Data: Shared, Large: true, Cold: true,
		What: "random keys of a store that is larger than the memory, 1 goroutine, 256 keys at a time: by GetMany where the " +
			"engine has it, else one by one",
		Run: coldMany,
	},
}

// coldKeys draws odd numbers, and even ones for warming.
func (w *World) coldKeys(odd int) func(*rng) int {
	return func(dice *rng) int { return min(dice.intn(max(w.Keys/2, 1))*2+odd, w.Keys-1) }
}

// coldWarm reads keys that are not measured, until what every get needs is in memory.
func (w *World) coldWarm() error {
	_, err := Parallel(1, func(_ int, r *recorder) error {
		get := w.newGetter(-1)
		get.draw = w.coldKeys(0)
		return w.timed(r, func() (int, error) { return 1, get.each(1) })
	})
	return err
}

func coldGets(w *World, goroutines int) (Result, error) {
	if err := w.coldWarm(); err != nil {
		return Result{}, err
	}
	return Parallel(goroutines, func(g int, r *recorder) error {
		get := w.newGetter(g)
		get.draw = w.coldKeys(1)
		return w.timed(r, func() (int, error) { return 1, get.each(1) })
	})
}

// manyKeys are asked for at a time in cold-many.
const manyKeys = 256

func coldMany(w *World) (Result, error) {
	if err := w.coldWarm(); err != nil {
		return Result{}, err
	}
	return Parallel(1, func(_ int, r *recorder) error {
		dice, draw := w.dice(0), w.coldKeys(1)
		space, keys, vals := make([]byte, manyKeys*KeySize), make([][]byte, manyKeys), make([][]byte, manyKeys)
		numbers := make([]int, manyKeys)
		for at := range keys {
			keys[at] = space[at*KeySize : (at+1)*KeySize]
		}
		view := func(tx engines.Reader) error { return w.getMany(tx, numbers, keys, vals) }
		return w.timed(r, func() (int, error) {
			for at := range keys {
				numbers[at] = draw(dice)
				FillKey(keys[at], numbers[at])
			}
			return manyKeys, w.Store.View(view)
		})
	})
}

// getMany gets many keys, and verifies their values.
func (w *World) getMany(tx engines.Reader, numbers []int, keys, vals [][]byte) error {
	if many, ok := tx.(engines.ManyGetter); ok {
		if err := many.GetMany(keys, vals); err != nil {
			return err
		}
		for at, i := range numbers {
			if err := w.check(i, keys[at], vals[at], w.floor(i)); err != nil {
				return err
			}
		}
		return nil
	}
	for at, i := range numbers {
		value, err := tx.Get(keys[at])
		if err != nil {
			return err
		}
		if err := w.check(i, keys[at], value, w.floor(i)); err != nil {
			return err
		}
	}
	return nil
}
