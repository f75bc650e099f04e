package main

import (
	"fmt"
	"time"
)

// getTimedEvery is how many gets go by for one that is timed: looking at the clock costs a good part of a get.
const getTimedEvery = 16

var getEach = Workload{
	Name: "get", Unit: "gets", Latency: "a get, one in 16 timed", Fill: true,
	What: "random keys, each in a read transaction of its own",
	Run: func(w *world) (Result, error) {
		return gets(w, func(get func(Reader) error, n int) error {
			for range n {
				if err := w.store.View(get); err != nil {
					return err
				}
			}
			return nil
		})
	},
}

var getInOne = Workload{
	Name: "get-one-tx", Unit: "gets", Latency: "a get, one in 16 timed", Fill: true,
	What: "random keys, all in one read transaction",
	Run: func(w *world) (res Result, err error) {
		err = w.store.View(func(tx Reader) error {
			res, err = gets(w, func(get func(Reader) error, n int) error {
				for range n {
					if err := get(tx); err != nil {
						return err
					}
				}
				return nil
			})
			return err
		})
		return res, err
	},
}

// gets has many call get that many times, and measures.
func gets(w *world, many func(get func(Reader) error, n int) error) (Result, error) {
	key, dice := make([]byte, keySize), rng(1)
	get := func(tx Reader) error {
		i := dice.intn(w.keys)
		fillKey(key, i)
		value, err := tx.Get(key)
		if err != nil {
			return err
		}
		version, err := checkValue(key, value)
		if err == nil && version != w.versions[i] {
			err = fmt.Errorf("key %x has version %d, acknowledged was %d", key, version, w.versions[i])
		}
		return err
	}
	if err := many(get, w.keys); err != nil { // into the cache, if it fits
		return Result{}, err
	}
	return inParallel(1, func(_ int, r *recorder) error {
		for end := time.Now().Add(w.duration); ; {
			began := time.Now()
			if !began.Before(end) && r.ops > 0 {
				return nil
			}
			if err := many(get, 1); err != nil {
				return err
			}
			r.add(1, time.Since(began))
			if err := many(get, getTimedEvery-1); err != nil {
				return err
			}
			r.ops += getTimedEvery - 1
		}
	})
}
