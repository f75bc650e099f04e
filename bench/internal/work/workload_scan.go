package work

import (
	"encoding/binary"
	"fmt"

	"github.com/pawldb/pawl/bench/internal/engines"
)

var scanWorkloads = []Workload{
	{
		Name: "scan", Unit: "pairs", Latency: "a scan", Data: Shared, Memory: true,
		What: "all pairs, ascending, each scan in a read transaction of its own",
		Run:  func(w *World) (Result, error) { return scans(w, false) },
	},
	{
		Name: "scan-back", Unit: "pairs", Latency: "a scan", Data: Shared, Memory: true,
		What: "all pairs, descending, each scan in a read transaction of its own",
		Run:  func(w *World) (Result, error) { return scans(w, true) },
	},
	{
		Name: "seek-100", Unit: "seeks", Latency: "a seek with its pairs", Data: Shared, Memory: true,
		What: "from a random key on, 100 pairs, each time in a read transaction of its own",
		Run:  seeks,
	},
}

func scans(w *World, back bool) (Result, error) {
	if err := w.scanAll(back); err != nil { // into the cache, if it fits
		return Result{}, err
	}
	return Parallel(1, func(_ int, r *recorder) error {
		return w.timed(r, func() (int, error) { return w.Keys, w.scanAll(back) })
	})
}

// orderly verifies values and their order.
type orderly struct {
	w             *World
	back          bool
	count         int
	first, second uint64 // words of the last key
}

func (o *orderly) visit(key, value []byte) error {
	if _, err := checkValue(key, value, o.w.size); err != nil {
		return err
	}
	first, second := binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:])
	above := first > o.first || first == o.first && second > o.second
	below := first < o.first || first == o.first && second < o.second
	if o.count > 0 && (o.back && !below || !o.back && !above) {
		return fmt.Errorf("key %x comes behind %016x%016x", key, o.first, o.second)
	}
	o.first, o.second = first, second
	o.count++
	return nil
}

// scanAll reads every pair, and verifies values, order and count.
func (w *World) scanAll(back bool) error {
	return w.Store.View(func(tx engines.Reader) error {
		o := orderly{w: w, back: back}
		scan := tx.Scan
		if back {
			scan = tx.ScanBack
		}
		err := scan(o.visit)
		if err == nil && o.count != w.Keys {
			err = fmt.Errorf("a scan finds %d keys, there are %d", o.count, w.Keys)
		}
		return err
	})
}

// seekPairs are the pairs that are read from where a seek leads to.
const seekPairs = 100

func seeks(w *World) (Result, error) {
	if err := w.scanAll(false); err != nil {
		return Result{}, err
	}
	pairs := 0
	r, err := Parallel(1, func(_ int, r *recorder) error {
		dice, key := w.dice(0), make([]byte, KeySize)
		o := orderly{w: w}
		visit := o.visit
		view := func(tx engines.Reader) error { return tx.Seek(key, seekPairs, visit) }
		return w.timed(r, func() (int, error) {
			FillKey(key, dice.intn(w.Keys))
			o.count = 0
			err := w.Store.View(view)
			if err == nil && o.count == 0 {
				err = fmt.Errorf("nothing from key %x on", key)
			}
			pairs += o.count
			return 1, err
		})
	})
	r.set("pairs", float64(pairs))
	return r, err
}
