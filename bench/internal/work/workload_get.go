package work

import (
	"errors"
	"fmt"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

// timedEvery is how many quick operations go by for one that is timed: looking at the clock costs a good part of a get.
const timedEvery = 16

const getLatency = "a get, one in 16 timed"

var getWorkloads = []Workload{
	{
		Name: "get", Unit: "gets", Latency: getLatency, Data: Shared, Memory: true,
		What: "random keys, each in a read transaction of its own",
		Run:  func(w *World) (Result, error) { return getEach(w, 1) },
	},
	{
		Name: "get-2", Unit: "gets", Latency: getLatency, Data: Shared, Memory: true,
		What: "random keys, each in a read transaction of its own, 2 goroutines",
		Run:  func(w *World) (Result, error) { return getEach(w, 2) },
	},
	{
		Name: "get-one-tx", Unit: "gets", Latency: getLatency, Data: Shared, Memory: true,
		What: "random keys, all in one read transaction",
		Run:  getInOne,
	},
	{
		Name: "absent", Unit: "gets", Latency: getLatency, Data: Shared, Memory: true,
		What: "random keys that are not there, each in a read transaction of its own",
		Run:  getAbsent,
	},
}

// getter gets random keys, and verifies what it reads. It shares no cache line with another goroutine's: that would cost
// more than some gets.
type getter struct {
	_    [64]byte
	w    *World
	dice rng
	key  [KeySize]byte
	draw func(*rng) int // number of a key

	i     int    // of the key
	floor uint64 // of its version, before the transaction began: what a writer is told later it need not see
	get   func(engines.Reader) error
	_     [64]byte
}

// newGetter returns the getter of a goroutine.
func (w *World) newGetter(g int) *getter {
	r := &getter{w: w, dice: *w.dice(g)}
	r.draw = func(dice *rng) int { return dice.intn(w.Keys) }
	r.get = r.present
	return r
}

// next draws a key, outside of a transaction.
func (r *getter) next() {
	r.i = r.draw(&r.dice)
	FillKey(r.key[:], r.i)
	r.floor = 0
	if r.i < r.w.Keys {
		r.floor = r.w.floor(r.i)
	}
}

// present gets a key that is there.
func (r *getter) present(tx engines.Reader) error {
	value, err := tx.Get(r.key[:])
	if err != nil {
		return err
	}
	return r.w.check(r.i, r.key[:], value, r.floor)
}

// absent gets a key that is not there.
func (r *getter) absent(tx engines.Reader) error {
	value, err := tx.Get(r.key[:])
	if !errors.Is(err, engines.ErrAbsent) {
		return fmt.Errorf("key %x should be absent: %x, %v", r.key, value, err)
	}
	return nil
}

// each calls get n times, in a transaction of its own each.
func (r *getter) each(n int) error {
	for range n {
		r.next()
		if err := r.w.Store.View(r.get); err != nil {
			return err
		}
	}
	return nil
}

func getEach(w *World, goroutines int) (Result, error) {
	if err := w.warm(); err != nil {
		return Result{}, err
	}
	return Parallel(w.own(goroutines), func(g int, r *recorder) error {
		return w.timedNow(r, w.newGetter(g).each)
	})
}

func getInOne(w *World) (Result, error) {
	if err := w.warm(); err != nil {
		return Result{}, err
	}
	return Parallel(1, func(_ int, r *recorder) error {
		return w.Store.View(func(tx engines.Reader) error {
			get := w.newGetter(0)
			return w.timedNow(r, func(n int) error {
				for range n {
					get.next()
					if err := get.get(tx); err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
}

func getAbsent(w *World) (Result, error) {
	if err := w.warm(); err != nil {
		return Result{}, err
	}
	return Parallel(1, func(_ int, r *recorder) error {
		get := w.newGetter(0)
		get.draw, get.get = func(dice *rng) int { return w.Keys + dice.intn(w.Keys) }, get.absent
		if err := get.each(min(w.Keys, warmGets)); err != nil {
			return err
		}
		return w.timedNow(r, get.each)
	})
}

// warmGets are enough for statistics, filters and the like to be there.
const warmGets = 10_000

// warm reads the whole store, so that what fits is in the cache, and then gets some keys.
func (w *World) warm() error {
	if err := w.scanAll(false); err != nil {
		return err
	}
	return w.newGetter(-1).each(min(w.Keys, warmGets))
}

// timedNow has many do its work again and again, and times one operation in timedEvery.
func (w *World) timedNow(r *recorder, many func(n int) error) error {
	for end := time.Now().Add(w.Duration); ; {
		began := time.Now()
		if !began.Before(end) && r.ops > 0 {
			return nil
		}
		if err := many(1); err != nil {
			return err
		}
		r.add(1, time.Since(began))
		if err := many(timedEvery - 1); err != nil {
			return err
		}
		r.ops += timedEvery - 1
	}
}

// timed has one do its work again and again, and times each; it returns the units of work.
func (w *World) timed(r *recorder, one func() (int, error)) error {
	for end := time.Now().Add(w.Duration); ; {
		began := time.Now()
		if !began.Before(end) && r.ops > 0 {
			return nil
		}
		n, err := one()
		if err != nil {
			return err
		}
		r.add(n, time.Since(began))
	}
}
