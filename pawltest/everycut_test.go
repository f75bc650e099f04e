package pawltest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/internal/effort"
	"github.com/pawldb/pawl/io"
)

// commits is a scenario of so many commits of a durability, each acknowledged when it has returned.
func commits(n int, durability pawl.Durability) func(disk *Disk, acked *int) error {
	return func(disk *Disk, acked *int) error {
		db, err := pawl.Open("app.pawl", small(disk))
		if err != nil {
			return err
		}
		defer db.Close()
		for i := range n {
			if err := put(db, fmt.Sprint(i), durability); err != nil {
				return err
			}
			*acked = i + 1
		}
		return nil
	}
}

// found counts the keys that are there, which must be the first ones.
func found(disk *Disk) (n int, err error) {
	db, err := pawl.Open("app.pawl", small(disk))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return n, db.View(func(tx *pawl.Tx) error {
		for key := range tx.Root().All() {
			if string(key) != fmt.Sprint(n) {
				return fmt.Errorf("key %s where %d belongs", key, n)
			}
			n++
		}
		return nil
	})
}

// noLess verifies that what was acknowledged is there.
func noLess(disk *Disk, acked *int) error {
	n, err := found(disk)
	if err == nil && n < *acked {
		err = fmt.Errorf("%d of %d commits are there", n, *acked)
	}
	return err
}

// A program that acknowledges full commits passes; cuts come at each change, and nothing, everything and a part survives.
func TestEveryCut(t *testing.T) {
	cuts := map[int]bool{}
	lost, kept, images := 0, 0, 0
	var last int
	run := func(disk *Disk, acked *int) error {
		last = disk.cutAt
		cuts[last] = true
		return commits(3, pawl.Full)(disk, acked)
	}
	verify := func(disk *Disk, acked *int) error {
		images++
		n, err := found(disk)
		switch {
		case err != nil:
			return err
		case n < *acked:
			return fmt.Errorf("%d of %d commits are there", n, *acked)
		case n > *acked:
			kept++ // it was under way
		case *acked < 3:
			lost++
		}
		return nil
	}
	got := try(func(f *fake) { EveryCut(f, run, verify) })
	require.Empty(t, got.fatal)
	require.Equal(t, fmt.Sprintf("pawltest: %d cuts, %d disks verified, seed 1", last, images), got.log())
	require.Len(t, cuts, last, "from 1 on, none left out")
	require.Greater(t, last, 15)
	require.Greater(t, images, 2*last)
	require.Positive(t, kept)
	require.Positive(t, lost)

	again := try(func(f *fake) { EveryCut(f, run, verify) })
	require.Equal(t, got.logs, again.logs)
	require.Len(t, cuts, last)

	clear(cuts)
	EveryCut(t, run, verify, EveryCutOptions{Every: 5, Images: 2, Seed: 3})
	require.Len(t, cuts, (last+3)/5+1)
}

// One that acknowledges relaxed commits does not pass; it is told where the power was cut, and the same each time.
func TestEveryCutFindsRelaxed(t *testing.T) {
	test := func(f *fake) { EveryCut(f, commits(3, pawl.Relaxed), noLess) }
	got := try(test)
	require.Equal(t, "pawltest: after a power cut: 0 of 1 commits are there", got.fatal)
	require.Contains(t, got.log(), "drawn from seed 1")
	require.Regexp(t, `the power was cut after \d+ changes of the disk, in the middle of (write|sync) app\.pawl`, got.log())
	require.Contains(t, got.log(), " that were not synced 0 survived")
	require.Equal(t, 1, strings.Count(got.log(), "drawn from seed"))
	require.Equal(t, got, try(test))
}

// One that takes a failed commit for a good one does not pass either.
func TestEveryCutFindsIgnoredErrors(t *testing.T) {
	got := try(func(f *fake) {
		EveryCut(f, func(disk *Disk, acked *int) error {
			db, err := pawl.Open("app.pawl", small(disk))
			if err != nil {
				return err
			}
			defer db.Close()
			if err := put(db, "0", pawl.Full); err == nil || errors.Is(err, pawl.ErrCommitUnknown) {
				*acked = 1
			}
			return nil
		}, noLess)
	})
	require.Equal(t, "pawltest: after a power cut: 0 of 1 commits are there", got.fatal)
}

// moveAll is a program that mends at its start what a cut has interrupted: it moves each entry of "from" to "to". One that
// forgets what it has moved before it has done so loses entries, but only if the mending itself is cut.
func moveAll(disk *Disk, careless bool) (n int, err error) {
	db, err := pawl.Open("app.pawl", small(disk))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var keys [][]byte
	if err := db.View(func(tx *pawl.Tx) error {
		for key := range tx.Bucket([]byte("from")).All() {
			keys = append(keys, key)
		}
		return nil
	}); err != nil && !errors.Is(err, pawl.ErrBucketNotFound) {
		return 0, err
	}
	remove := func(tx *pawl.Tx, key []byte) error { return tx.Bucket([]byte("from")).Delete(key) }
	add := func(tx *pawl.Tx, key []byte) error {
		b, err := tx.CreateBucketIfNotExists([]byte("to"))
		if err != nil {
			return err
		}
		return b.Put(key, nil)
	}
	steps := [][]func(*pawl.Tx, []byte) error{{remove, add}}
	if careless {
		steps = [][]func(*pawl.Tx, []byte) error{{remove}, {add}}
	}
	for _, key := range keys {
		for _, together := range steps {
			err := db.Update(func(tx *pawl.Tx) (err error) {
				for _, step := range together {
					err = errors.Join(err, step(tx, key))
				}
				return err
			})
			if err != nil {
				return 0, err
			}
		}
	}
	return n, db.View(func(tx *pawl.Tx) error {
		for range tx.Bucket([]byte("to")).All() {
			n++
		}
		return nil
	})
}

// With Recovery the power also goes while a program mends its data.
func TestEveryCutOfTheRecovery(t *testing.T) {
	test := func(careless, recovery bool) *fake {
		return try(func(f *fake) {
			EveryCut(f, func(disk *Disk, there *bool) error {
				db, err := pawl.Open("app.pawl", small(disk))
				if err != nil {
					return err
				}
				defer db.Close()
				err = db.Update(func(tx *pawl.Tx) error {
					b, err := tx.CreateBucket([]byte("from"))
					if err != nil {
						return err
					}
					return errors.Join(b.Put([]byte("a"), nil), b.Put([]byte("b"), nil))
				})
				*there = err == nil
				return err
			}, func(disk *Disk, there *bool) error {
				n, err := moveAll(disk, careless)
				if *there && errors.Is(err, pawl.ErrBucketNotFound) || *there && err == nil && n != 2 {
					return fmt.Errorf("%d entries of 2: %w", n, err)
				}
				if errors.Is(err, pawl.ErrBucketNotFound) {
					return nil
				}
				return err
			}, EveryCutOptions{Recovery: recovery, Images: 1, Every: effort.Of(20, 4, 1)}) // the last cut is behind the end
		})
	}
	require.Empty(t, test(true, false).fatal, "that the mending is careless does not show")
	got := test(true, true)
	require.Contains(t, got.fatal, "entries of 2")
	require.Equal(t, 2, strings.Count(got.log(), "the power was cut after"), "%s", got.log())
	require.Empty(t, test(false, true).fatal)
}

// What is misused fails the test, and says how to do it.
func TestEveryCutMisuse(t *testing.T) {
	touch := func(disk *Disk, _ *int) error {
		var c io.Completion
		disk.IO().Open(&c, &io.Opening{Path: "f", Flag: io.OpenWrite | io.OpenCreate})
		return c.Err()
	}
	idle := func(*Disk, *int) error { return nil }
	wrong := errors.New("wrong")
	for want, c := range map[string]struct {
		run, verify func(*Disk, *int) error
		options     []EveryCutOptions
	}{
		"the scenario did nothing on its disk":             {run: idle, verify: touch},
		"verify did nothing on its disk":                   {run: touch, verify: idle},
		"the scenario failed with the power on: wrong":     {run: func(*Disk, *int) error { return wrong }, verify: touch},
		"after a power cut: wrong":                         {run: touch, verify: func(*Disk, *int) error { return wrong }},
		"EveryCut takes one EveryCutOptions at most":       {run: touch, verify: touch, options: make([]EveryCutOptions, 2)},
		"EveryCut takes one EveryCutOptions at most, with": {run: touch, verify: touch, options: []EveryCutOptions{{Images: -1}}},
		"the scenario has cut the power or reopened its disk: E": {
			run: func(d *Disk, _ *int) error { d.PowerCut(); return nil }, verify: touch},
		"the scenario has cut the power or reopened its disk": {run: func(d *Disk, n *int) error {
			_ = touch(d, n)
			d.PowerCut()
			d.Reopen()
			return nil
		}, verify: touch},
		"verify has cut the power or reopened its disk": {run: touch, verify: func(d *Disk, n *int) error {
			_ = touch(d, n)
			d.PowerCut()
			return nil
		}},
	} {
		got := try(func(f *fake) { EveryCut(f, c.run, c.verify, c.options...) })
		require.True(t, strings.HasPrefix(got.fatal, "pawltest: "+want), "%q: %q", want, got.fatal)
	}
}

// A scenario or a verification that tells the test itself ends it there, a panic too.
func TestEveryCutEndsWithTheTest(t *testing.T) {
	for _, inRun := range []bool{true, false} {
		calls := 0
		step := func(mine bool) func(*Disk, *int) error {
			return func(disk *Disk, n *int) error {
				if mine {
					calls++
				}
				return errors.Join(commits(1, pawl.Full)(disk, n), nil)
			}
		}
		var f *fake
		tell := func(next func(*Disk, *int) error) func(*Disk, *int) error {
			return func(disk *Disk, n *int) error {
				err := next(disk, n)
				f.failed = f.failed || calls == 3
				return err
			}
		}
		got := try(func(told *fake) {
			f = told
			EveryCut(f, tell(step(inRun)), tell(step(!inRun)))
		})
		require.Equal(t, 3, calls)
		require.Empty(t, got.fatal)
		require.Contains(t, got.log(), "the power was cut after")
	}
	f := new(fake)
	require.PanicsWithValue(t, "bug", func() {
		EveryCut(f, commits(1, pawl.Full), func(*Disk, *int) error { panic("bug") })
	})
	require.Contains(t, f.log(), "the power was cut after 1 changes")
}

// Several goroutines may be at work. The order of their I/O is not the same each time then, and what is verified still holds.
func TestEveryCutWithGoroutines(t *testing.T) {
	type state struct{ acked [3]int }
	EveryCut(t, func(disk *Disk, s *state) error {
		db, err := pawl.Open("app.pawl", small(disk))
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		errs := make([]error, len(s.acked))
		for g := range s.acked {
			wg.Go(func() {
				for i := 0; i < 4 && errs[g] == nil; i++ {
					if errs[g] = put(db, fmt.Sprint(g, i), pawl.Full); errs[g] == nil {
						s.acked[g]++
					}
				}
			})
		}
		wg.Wait()
		return errors.Join(append(errs, db.Close())...)
	}, func(disk *Disk, s *state) error {
		db, err := pawl.Open("app.pawl", small(disk))
		if err != nil {
			return err
		}
		return errors.Join(db.View(func(tx *pawl.Tx) error {
			for g, n := range s.acked {
				for i := range n {
					if there, err := tx.Root().Has(fmt.Append(nil, g, i)); err != nil || !there {
						return errors.Join(err, fmt.Errorf("commit %d of goroutine %d is lost", i, g))
					}
				}
			}
			return nil
		}), db.Close())
	}, EveryCutOptions{Images: 3})
}
