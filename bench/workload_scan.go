package main

import (
	"bytes"
	"fmt"
	"time"
)

var scan = Workload{
	Name: "scan", Unit: "pairs", Latency: "a scan", Fill: true,
	What: "all pairs, ascending, each scan in a read transaction of its own",
	Run: func(w *world) (Result, error) {
		if err := scanAll(w); err != nil { // into the cache, if it fits
			return Result{}, err
		}
		return inParallel(1, func(_ int, r *recorder) error {
			for end := time.Now().Add(w.duration); r.ops == 0 || time.Now().Before(end); {
				began := time.Now()
				if err := scanAll(w); err != nil {
					return err
				}
				r.add(w.keys, time.Since(began))
			}
			return nil
		})
	},
}

// scanAll reads every pair, and verifies values, order and count.
func scanAll(w *world) error {
	return w.store.View(func(tx Reader) error {
		count, last := 0, make([]byte, keySize)
		err := tx.Scan(func(key, value []byte) error {
			if _, err := checkValue(key, value); err != nil {
				return err
			}
			if count > 0 && bytes.Compare(last, key) >= 0 {
				return fmt.Errorf("key %x comes behind %x", key, last)
			}
			copy(last, key)
			count++
			return nil
		})
		if err == nil && count != w.keys {
			err = fmt.Errorf("a scan finds %d keys, there are %d", count, w.keys)
		}
		return err
	})
}
