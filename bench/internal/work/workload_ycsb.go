package work

import (
	"fmt"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

// ycsbWorkloads are four of YCSB's core workloads, with commits that are durable: half of the operations are updates
// in A, 5 % in B, none in C; in F half of them read a key and update it in one transaction.
var ycsbWorkloads = func() (all []Workload) {
	for _, kind := range []struct {
		name, what string
		updates    int // percent
		modify     bool
	}{
		{"a", "YCSB A: half reads, half updates", 50, false},
		{"b", "YCSB B: 95 % reads, 5 % updates", 5, false},
		{"c", "YCSB C: reads alone", 0, false},
		{"f", "YCSB F: half reads, half read-modify-writes", 50, true},
	} {
		for _, goroutines := range []int{1, 8} {
			one := Workload{
				Name: fmt.Sprintf("ycsb-%s-%d", kind.name, goroutines), Unit: "operations", Latency: "an operation",
				Data: Filled, Durable: kind.updates > 0,
				What: fmt.Sprintf("%s; zipfian keys, durable, %d at once", kind.what, goroutines),
				Run:  func(w *World) (Result, error) { return ycsb(w, goroutines, kind.updates, kind.modify) },
			}
			if kind.updates == 0 {
				one.Data = Shared
			}
			all = append(all, one)
		}
	}
	return all
}()

// ycsb does reads and updates, each a transaction of its own.
func ycsb(w *World, goroutines, updates int, modify bool) (Result, error) {
	if err := w.warm(); err != nil {
		return Result{}, err
	}
	z := newZipf(w.Keys)
	if !w.fixed {
		w.writers(goroutines)
	}
	return Parallel(goroutines, func(g int, r *recorder) error {
		get, b, one, dice := w.newGetter(g), w.newBatchOf(g, 1), make([]int, 1), w.dice(g+100)
		get.draw = z.next
		put := b.put
		if modify {
			put = b.modify
		}
		for end := time.Now().Add(w.Duration); ; {
			began := time.Now()
			if !began.Before(end) && r.ops > 0 {
				return nil
			}
			var err error
			if dice.intn(100) < updates {
				one[0] = z.next(dice)
				b.floor = w.floor(one[0])
				err = b.commitAs(one, put)
			} else {
				get.next()
				err = w.Store.View(get.get)
			}
			if err != nil {
				return err
			}
			r.add(1, time.Since(began))
		}
	})
}

// modify reads the batch's key, verifies it, and puts it.
func (b *batch) modify(tx engines.Writer) error {
	i := b.numbers[0]
	key := b.keys[:KeySize]
	FillKey(key, i)
	value, err := tx.Get(key)
	if err != nil {
		return err
	}
	if err := b.w.check(i, key, value, b.floor); err != nil {
		return err
	}
	return b.putAll(tx)
}
