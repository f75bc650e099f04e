package pawl

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// fillLeaves puts n keys of several leaves into the root bucket, with buckets and large values among them, and returns
// the keys that have values, in order.
func fillLeaves(t *testing.T, db *DB, n int) (keys []string) {
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range n {
			key, size := fmt.Appendf(nil, "%05d", i), 100
			switch {
			case i%97 == 13:
				if _, err := tx.CreateBucket(key); err != nil {
					return err
				}
				continue
			case i%101 == 17:
				size = 5000
			case i%7 == 0:
				size = 300 // more than a byte says
			}
			if err := tx.Root().Put(key, bytes.Repeat(key[4:], size)); err != nil {
				return err
			}
			keys = append(keys, string(key))
		}
		return nil
	}))
	return keys
}

// Loops of read and write transactions see the same pairs, whatever the bounds are, and in both directions.
func TestLoopsOfLeaves(t *testing.T) {
	for _, debug := range []bool{false, true} {
		db := memory(t, &Options{Debug: debug})
		keys := fillLeaves(t, db, 2000)
		check := func(tx *Tx) error {
			for _, bounds := range [][2]int{{0, 2000}, {0, 1}, {5, 5}, {500, 400}, {13, 14}, {17, 18}, {100, 1900}, {333, 1333}, {1999, 2000}} {
				from, to := fmt.Sprintf("%05d", bounds[0]), fmt.Sprintf("%05d", bounds[1])
				var want, got, back []string
				for _, key := range keys {
					if key >= from && key < to {
						want = append(want, key)
					}
				}
				for k, v := range tx.Root().Range([]byte(from), []byte(to)) {
					got = append(got, string(k))
					require.Equal(t, bytes.Repeat(k[4:], len(v)), v)
					require.Equal(t, len(v), cap(v))
					require.Equal(t, len(k), cap(k))
				}
				require.Equal(t, want, got)
				for k := range tx.Root().RangeBackward([]byte(from), []byte(to)) {
					back = append([]string{string(k)}, back...)
				}
				require.Equal(t, want, back)
			}
			n, below := 0, 0
			err := tx.Root().ForEach(func(k, v []byte) error {
				require.Equal(t, fmt.Sprintf("%05d", n), string(k))
				if n++; v == nil {
					below++
				}
				return nil
			})
			require.Equal(t, 2000, n)
			require.Equal(t, 2000-len(keys), below)
			return err
		}
		require.NoError(t, db.View(check))
		require.NoError(t, db.Update(check))
		oops := errors.New("oops")
		require.Equal(t, oops, db.View(func(tx *Tx) error {
			return tx.Root().ForEach(func(k, _ []byte) error {
				if string(k) == "00700" {
					return oops
				}
				require.Less(t, string(k), "00700")
				return nil
			})
		}))
	}
}

// A loop whose body ends its transaction ends with the pair that it has: no other one comes.
func TestLoopOfClosedTx(t *testing.T) {
	db := memory(t, nil)
	fillLeaves(t, db, 2000)
	for _, at := range []string{"00000", "00010", "00012", "00016", "00700", "01999"} {
		for name, loop := range map[string]func(at *Bucket) func(func(k, v []byte) bool){
			"up": func(at *Bucket) func(func(k, v []byte) bool) { return at.All() }, "down": func(at *Bucket) func(func(k, v []byte) bool) { return at.Backward() },
		} {
			tx, err := db.Begin(false)
			require.NoError(t, err)
			ended := false
			for k := range loop(tx.Root()) {
				require.False(t, ended, "%s: %q behind the end", name, k)
				if string(k) == at {
					require.NoError(t, tx.Rollback())
					ended = true
				}
			}
			require.True(t, ended)
			require.ErrorIs(t, tx.Err(), ErrTxClosed)
		}
	}
	tx, err := db.Begin(false)
	require.NoError(t, err)
	require.ErrorIs(t, tx.Root().ForEach(func(_, _ []byte) error {
		require.NoError(t, tx.Rollback())
		return nil
	}), ErrTxClosed)
}

// A loop over pages that are in memory allocates nothing for a pair or a leaf, whatever its direction.
func TestLoopAllocations(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := range 20_000 {
			if err := tx.Root().Put(fmt.Appendf(nil, "%05d", i), bytes.Repeat(b("v"), 100)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, db.View(func(tx *Tx) error {
		root, n := tx.Root(), 0
		for _, scan := range []func(){
			func() {
				for range root.All() {
					n++
				}
			},
			func() {
				for range root.Backward() {
					n++
				}
			},
			func() { _ = root.ForEach(func(_, _ []byte) error { n++; return nil }) },
		} {
			scan()
			n = 0
			require.LessOrEqual(t, testing.AllocsPerRun(5, scan), 2.0)
			require.Equal(t, 6*20_000, n)
		}
		return nil
	}))
}
