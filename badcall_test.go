package pawl

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A database keeps the page size that it was made with; asking for another one is refused, asking for none takes it.
func TestPageSizes(t *testing.T) {
	for size := 512; size <= 65536; size *= 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			db, err := Open(path, &Options{PageSize: size})
			require.NoError(t, err)
			commits(t, db, 0, 3)
			limits(t, db, size)
			require.NoError(t, db.Close())
			for other := max(512, size/2); other <= min(2*size, 65536); other *= 2 {
				for _, readOnly := range []bool{false, true} {
					db, err := Open(path, &Options{PageSize: other, ReadOnly: readOnly})
					if other != size {
						require.ErrorIs(t, err, ErrPageSize)
						require.ErrorContains(t, err, fmt.Sprint(size))
						continue
					}
					require.NoError(t, err)
					require.NoError(t, db.Close())
				}
			}
			db, err = Open(path, nil)
			require.NoError(t, err)
			require.Equal(t, size, db.Stats().PageSize)
			require.NoError(t, db.Close())
		})
	}
	for _, size := range []int{-1, 1, 256, 511, 513, 4095, 5000, 131072, 1 << 30} {
		_, err := Open(filepath.Join(t.TempDir(), "db"), &Options{PageSize: size})
		require.ErrorIs(t, err, ErrOptions)
	}
}

// limits tries keys, names and values at the ends of what is allowed, in a bucket of its own that it removes.
func limits(t *testing.T, db *DB, pageSize int) {
	limit := MaxKeySize(pageSize)
	long := bytes.Repeat(b("k"), limit)
	name := b("limits")
	require.NoError(t, db.Update(func(tx *Tx) error {
		at, err := tx.CreateBucket(name)
		require.NoError(t, err)
		for _, c := range []struct {
			key  []byte
			want error
		}{
			{nil, ErrKeyEmpty}, {b(""), ErrKeyEmpty}, {b("a"), nil}, {[]byte{0}, nil}, {[]byte{255}, nil},
			{long, nil}, {append(long, 'k'), ErrKeyTooLarge}, {make([]byte, 1<<20), ErrKeyTooLarge},
		} {
			what := fmt.Sprintf("key of %d bytes", len(c.key))
			require.ErrorIs(t, at.Put(c.key, b("value")), c.want, what)
			_, err := at.PutReader(c.key, strings.NewReader("value"))
			require.ErrorIs(t, err, c.want, what)
			_, err = at.PutIfAbsent(c.key, b("value"))
			require.ErrorIs(t, err, c.want, what)
			has, err := at.Has(c.key)
			require.NoError(t, err)
			require.Equal(t, c.want == nil, has, what)
			_, err = at.Get(c.key)
			if c.want != nil {
				require.ErrorIs(t, err, ErrNotFound, what)
				_, err = tx.CreateBucket(name, c.key)
				require.ErrorIs(t, err, c.want)
				_, err = tx.CreateBucketIfNotExists(name, c.key)
				require.ErrorIs(t, err, c.want)
				require.ErrorIs(t, tx.Bucket(name, c.key).Err(), ErrBucketNotFound)
				require.NoError(t, at.Delete(c.key), what)
				continue
			}
			require.NoError(t, err)
			require.NoError(t, at.Delete(c.key))
			below, err := tx.CreateBucket(name, c.key)
			require.NoError(t, err)
			require.NoError(t, below.Put(c.key, c.key))
		}
		// Many of the longest keys, in leaves and in the pages above, and values from none to several extents.
		for i := range 200 {
			copy(long[limit-3:], fmt.Sprintf("%03d", i))
			require.NoError(t, at.Put(long, bytes.Repeat([]byte{byte(i)}, i)))
		}
		for _, n := range []int{0, 1, limit, pageSize / 2, pageSize, pageSize + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
			require.NoError(t, at.Put(fmt.Appendf(nil, "%d", n), make([]byte, n)))
		}
		require.NoError(t, at.Put(b("nil"), nil))
		return nil
	}))
	require.NoError(t, db.View(func(tx *Tx) error {
		at := tx.Bucket(name)
		for i := range 200 {
			copy(long[limit-3:], fmt.Sprintf("%03d", i))
			v, err := at.Get(long)
			require.NoError(t, err)
			require.Len(t, v, i)
		}
		for _, n := range []int{0, 1, limit, pageSize / 2, pageSize, pageSize + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
			v, err := at.Get(fmt.Appendf(nil, "%d", n))
			require.NoError(t, err)
			require.NotNil(t, v)
			require.Len(t, v, n)
		}
		v, err := at.Get(b("nil"))
		require.NoError(t, err)
		require.NotNil(t, v)
		require.Empty(t, v)
		report, err := tx.Check(tx.Context())
		require.NoError(t, err)
		return report.Err()
	}))
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.DeleteBucket(name) }))
}

// Everything that is used after the end of its transaction, or of its database, answers with the error's name.
func TestUseAfterClose(t *testing.T) {
	db, err := OpenMemory(nil)
	require.NoError(t, err)
	big := bytes.Repeat(b("v"), 100_000)
	require.NoError(t, db.Update(func(tx *Tx) error {
		_, err := tx.CreateBucketIfNotExists(b("a"), b("b"))
		require.NoError(t, err)
		require.NoError(t, tx.Root().Put(b("k"), b("v")))
		return tx.Root().Put(b("large"), big)
	}))
	for _, writable := range []bool{false, true} {
		for _, end := range []string{"rollback", "commit"} {
			if !writable && end == "commit" {
				continue
			}
			tx, err := db.Begin(writable)
			require.NoError(t, err)
			bucket, absent := tx.Bucket(b("a")), tx.Bucket(b("absent"))
			cursor := tx.Root().Cursor()
			cursor.First()
			small, err := tx.Root().Reader(b("k"))
			require.NoError(t, err)
			large, err := tx.Root().Reader(b("large"))
			require.NoError(t, err)
			pairs, names := tx.Root().All(), tx.Root().Buckets()
			if end == "commit" {
				require.NoError(t, tx.Commit())
			} else {
				require.NoError(t, tx.Rollback())
			}
			for name, err := range afterEnd(tx, bucket, absent, cursor, small, large) {
				require.ErrorIs(t, err, ErrTxClosed, "%s after a %s", name, end)
			}
			for range pairs {
				t.Error("a loop over a transaction that has ended")
			}
			for range names {
				t.Error("a loop over a transaction that has ended")
			}
			require.ErrorIs(t, tx.Err(), ErrTxClosed, "the loop's error is kept")
			require.False(t, bucket.Exists())
			require.Zero(t, bucket.Sequence())
			tx.SetDurability(Relaxed)
			tx.OnCommit(func() { t.Error("called") })
			_, _, _, _ = tx.Seq(), tx.Size(), tx.Writable(), tx.Context()
		}
	}
	require.NoError(t, db.Close())
	ctx := context.Background()
	nothing := func(*Tx) error { t.Error("called after Close"); return nil }
	_, beginErr := db.Begin(false)
	_, beginWriteErr := db.Begin(true)
	_, checkpointErr := db.Checkpoint(ctx, Passive)
	other := memory(t, nil)
	for name, err := range map[string]error{
		"View": db.View(nothing), "Update": db.Update(nothing), "Batch": db.Batch(nothing), "Begin": beginErr,
		"Begin(true)": beginWriteErr, "Checkpoint": checkpointErr, "Sync": db.Sync(),
		"Compact from": Compact(ctx, other, db), "Compact into": Compact(ctx, db, other),
	} {
		require.ErrorIs(t, err, ErrClosed, name)
	}
	require.NoError(t, db.Close())
	require.NoError(t, db.CloseContext(ctx))
	require.Equal(t, "memory.pawl", db.Stats().Path)
	require.Empty(t, db.Waiting())
}

// afterEnd calls all that returns an error.
func afterEnd(tx *Tx, bucket, absent *Bucket, cursor *Cursor, readers ...*ValueReader) map[string]error {
	errs := map[string]error{}
	one := func(name string, fn func() error) { errs[name] = fn() }
	ctx := context.Background()
	for name, at := range map[string]*Bucket{"root": tx.Root(), "bucket": bucket, "absent": absent, "new": tx.Bucket(b("a"))} {
		one(name+".Err", at.Err)
		one(name+".Bucket", func() error { return at.Bucket(b("b")).Err() })
		one(name+".Get", func() error { _, err := at.Get(b("k")); return err })
		one(name+".GetAppend", func() error { _, err := at.GetAppend(nil, b("k")); return err })
		one(name+".GetMany", func() error { return at.GetMany([][]byte{b("k")}, make([][]byte, 1)) })
		one(name+".Has", func() error { _, err := at.Has(b("k")); return err })
		one(name+".Reader", func() error { _, err := at.Reader(b("k")); return err })
		one(name+".Put", func() error { return at.Put(b("k"), nil) })
		one(name+".PutIfAbsent", func() error { _, err := at.PutIfAbsent(b("k"), nil); return err })
		one(name+".PutReader", func() error { _, err := at.PutReader(b("k"), strings.NewReader("v")); return err })
		one(name+".Delete", func() error { return at.Delete(b("k")) })
		one(name+".DeleteRange", func() error { return at.DeleteRange(nil, nil) })
		one(name+".SetSequence", func() error { return at.SetSequence(1) })
		one(name+".NextSequence", func() error { _, err := at.NextSequence(); return err })
		one(name+".Stats", func() error { _, err := at.Stats(); return err })
		one(name+".ForEach", func() error { return at.ForEach(func(k, v []byte) error { return nil }) })
		one(name+".Cursor", func() error { c := at.Cursor(); c.First(); return c.Err() })
	}
	for name, move := range map[string]func() ([]byte, []byte){
		"First": cursor.First, "Last": cursor.Last, "Next": cursor.Next, "Prev": cursor.Prev,
		"Seek": func() ([]byte, []byte) { return cursor.Seek(b("k")) },
	} {
		one("Cursor."+name, func() error {
			if k, v := move(); k != nil || v != nil {
				return fmt.Errorf("it returned %q", k)
			}
			return cursor.Err()
		})
	}
	one("Cursor.Delete", cursor.Delete)
	for i, r := range readers {
		one(fmt.Sprint("Reader.Read ", i), func() error { _, err := r.Read(make([]byte, 10)); return err })
		one(fmt.Sprint("Reader.ReadAt ", i), func() error { _, err := r.ReadAt(make([]byte, 1), 0); return err })
	}
	one("CreateBucket", func() error { _, err := tx.CreateBucket(b("x")); return err })
	one("CreateBucketIfNotExists", func() error { _, err := tx.CreateBucketIfNotExists(b("a")); return err })
	one("DeleteBucket", func() error { return tx.DeleteBucket(b("a")) })
	one("MoveBucket", func() error { return tx.MoveBucket([][]byte{b("a")}, [][]byte{b("c")}) })
	one("Try", func() error { return tx.Try(func() error { return nil }) })
	one("Commit", tx.Commit)
	one("CommitAsync", func() error { return tx.CommitAsync().Wait(ctx) })
	one("Rollback", tx.Rollback)
	one("WriteTo", func() error { _, err := tx.WriteTo(new(bytes.Buffer)); return err })
	one("CopyFile", func() error { _, err := tx.CopyFile(ctx, "copy"); return err })
	one("Check", func() error { _, err := tx.Check(ctx); return err })
	return errs
}

// A read transaction changes nothing, and a write transaction can't do what needs the disk's view.
func TestWrongTransaction(t *testing.T) {
	db := memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		require.NoError(t, tx.Root().Put(b("k"), b("v")))
		_, err := tx.CreateBucket(b("a"))
		return err
	}))
	tx, err := db.Begin(false)
	require.NoError(t, err)
	root := tx.Root()
	_, putReader := root.PutReader(b("k"), strings.NewReader("x"))
	_, putIfAbsent := root.PutIfAbsent(b("k2"), nil)
	_, next := root.NextSequence()
	_, create := tx.CreateBucket(b("c"))
	_, createThere := tx.CreateBucketIfNotExists(b("a"))
	cursor := root.Cursor()
	cursor.Seek(b("k"))
	for name, err := range map[string]error{
		"Put": root.Put(b("k"), nil), "PutReader": putReader, "PutIfAbsent": putIfAbsent, "Delete": root.Delete(b("k")),
		"DeleteRange": root.DeleteRange(nil, nil), "SetSequence": root.SetSequence(1), "NextSequence": next, "CreateBucket": create,
		"CreateBucketIfNotExists": createThere, "DeleteBucket": tx.DeleteBucket(b("a")),
		"MoveBucket": tx.MoveBucket([][]byte{b("a")}, [][]byte{b("c")}), "Cursor.Delete": cursor.Delete(),
		"Try": tx.Try(func() error { return nil }), "Commit": tx.Commit(), "CommitAsync": tx.CommitAsync().Wait(t.Context()),
	} {
		require.ErrorIs(t, err, ErrTxReadOnly, name)
	}
	require.NoError(t, tx.Rollback())
	tx, err = db.Begin(true)
	require.NoError(t, err)
	_, writeTo := tx.WriteTo(new(bytes.Buffer))
	_, copyFile := tx.CopyFile(t.Context(), "copy")
	_, check := tx.Check(t.Context())
	for name, err := range map[string]error{"WriteTo": writeTo, "CopyFile": copyFile, "Check": check} {
		require.ErrorIs(t, err, ErrTxWritable, name)
	}
	require.ErrorIs(t, tx.Root().Cursor().Delete(), ErrCursor)
	require.NoError(t, tx.Rollback())
}

// A name is a bucket's or a key's, and each call says which it met.
func TestNamesOfBucketsAndKeys(t *testing.T) {
	db := memory(t, nil)
	path := func(names ...string) (p [][]byte) {
		for _, n := range names {
			p = append(p, b(n))
		}
		return p
	}
	require.NoError(t, db.Update(func(tx *Tx) error {
		_, err := tx.CreateBucketIfNotExists(path("bucket", "below")...)
		require.NoError(t, err)
		root := tx.Root()
		require.NoError(t, root.Put(b("key"), b("v")))
		get := func(err error, want error) { t.Helper(); require.ErrorIs(t, err, want) }
		_, err = root.Get(b("bucket"))
		get(err, ErrIsBucket)
		_, err = root.GetAppend(nil, b("bucket"))
		get(err, ErrIsBucket)
		_, err = root.Reader(b("bucket"))
		get(err, ErrIsBucket)
		get(root.Put(b("bucket"), nil), ErrIsBucket)
		_, err = root.PutIfAbsent(b("bucket"), nil)
		get(err, ErrIsBucket)
		_, err = root.PutReader(b("bucket"), strings.NewReader("v"))
		get(err, ErrIsBucket)
		_, err = root.PutReader(b("bucket"), bytes.NewReader(make([]byte, 3<<20)))
		get(err, ErrIsBucket)
		get(root.Delete(b("bucket")), ErrIsBucket)
		c := root.Cursor()
		k, v := c.Seek(b("bucket"))
		require.Equal(t, "bucket", string(k))
		require.Nil(t, v)
		get(c.Delete(), ErrIsBucket)
		require.NoError(t, root.DeleteRange(b("b"), b("c")))
		require.True(t, tx.Bucket(path("bucket")...).Exists(), "buckets stay")
		get(tx.Bucket(path("key")...).Err(), ErrNotBucket)
		get(tx.Bucket(path("key", "deeper")...).Err(), ErrNotBucket)
		get(tx.Bucket(path("absent", "deeper")...).Err(), ErrBucketNotFound)
		_, err = tx.CreateBucket(path("key")...)
		get(err, ErrNotBucket)
		_, err = tx.CreateBucketIfNotExists(path("key")...)
		get(err, ErrNotBucket)
		_, err = tx.CreateBucketIfNotExists(path("new", "newer", "")...)
		get(err, ErrKeyEmpty)
		require.False(t, tx.Bucket(b("new")).Exists(), "none of the path is made")
		_, err = tx.CreateBucketIfNotExists(path("bucket", "below", "deeper")...)
		require.NoError(t, err)
		_, err = tx.CreateBucket(path("bucket", "below")...)
		get(err, ErrBucketExists)
		_, err = tx.CreateBucket()
		get(err, ErrKeyEmpty)
		_, err = tx.CreateBucketIfNotExists()
		get(err, ErrKeyEmpty)
		get(tx.DeleteBucket(), ErrKeyEmpty)
		get(tx.DeleteBucket(path("key")...), ErrNotBucket)
		get(tx.DeleteBucket(path("bucket", "absent")...), ErrBucketNotFound)
		get(tx.MoveBucket(path("key"), path("x")), ErrNotBucket)
		get(tx.MoveBucket(path("absent"), path("x")), ErrBucketNotFound)
		get(tx.MoveBucket(path("bucket"), path("key")), ErrNotBucket)
		get(tx.MoveBucket(path("bucket"), path("bucket")), nil)
		get(tx.MoveBucket(path("bucket"), path("bucket", "below", "x")), ErrBucketExists)
		get(tx.MoveBucket(path("bucket"), path("absent", "x")), ErrBucketNotFound)
		get(tx.MoveBucket(nil, path("x")), ErrKeyEmpty)
		get(tx.MoveBucket(path("bucket"), nil), ErrKeyEmpty)
		require.True(t, tx.Bucket(path("bucket", "below", "deeper")...).Exists(), "nothing has moved")
		has, err := root.Has(b("bucket"))
		require.NoError(t, err)
		require.False(t, has)
		vals := make([][]byte, 2)
		get(root.GetMany(path("key", "bucket"), vals), ErrIsBucket)
		return nil
	}))
}

// A write transaction that is begun with the context of another one, at any depth, is refused and harms nothing.
func TestNestedUpdate(t *testing.T) {
	db, other := memory(t, nil), memory(t, nil)
	require.NoError(t, db.Update(func(tx *Tx) error {
		require.NoError(t, tx.Root().Put(b("k"), b("v")))
		fails := func(*Tx) error { t.Error("called"); return nil }
		ctx, cancel := context.WithCancel(tx.Context())
		defer cancel()
		require.ErrorIs(t, db.UpdateContext(ctx, fails), ErrTxNested)
		_, err := db.BeginContext(ctx, true)
		require.ErrorIs(t, err, ErrTxNested)
		require.NoError(t, other.UpdateContext(ctx, func(inner *Tx) error {
			require.ErrorIs(t, db.UpdateContext(inner.Context(), fails), ErrTxNested)
			return inner.Root().Put(b("k"), nil)
		}), "another database's writer is no trouble")
		return db.ViewContext(ctx, func(view *Tx) error {
			_, err := view.Root().Get(b("k"))
			require.ErrorIs(t, err, ErrNotFound, "a view inside sees what is committed")
			return nil
		})
	}))
}

// A panic and a Goexit in each kind of function leave the database usable and nothing of what they did.
func TestPanicsAndGoexits(t *testing.T) {
	db := memory(t, nil)
	calls := map[string]func(func(*Tx) error) error{
		"View": db.View, "Update": db.Update, "Batch": db.Batch,
		"Try": func(fn func(*Tx) error) error {
			return db.Update(func(tx *Tx) error { return tx.Try(func() error { return fn(tx) }) })
		},
		"nested bucket": func(fn func(*Tx) error) error {
			return db.Update(func(tx *Tx) error {
				_, err := tx.CreateBucketIfNotExists(b("deep"), b("deeper"))
				require.NoError(t, err)
				return fn(tx)
			})
		},
		"loop": func(fn func(*Tx) error) error {
			return db.Update(func(tx *Tx) error {
				require.NoError(t, tx.Root().Put(b("z"), nil))
				for range tx.Root().All() {
					return fn(tx)
				}
				return nil
			})
		},
	}
	for name, call := range calls {
		change := func(tx *Tx) {
			if tx.Writable() {
				require.NoError(t, tx.Root().Put(b("k"), b("v")))
				_, err := tx.Root().PutReader(b("large"), bytes.NewReader(make([]byte, 3<<20)))
				require.NoError(t, err)
			}
		}
		require.PanicsWithValue(t, "oops", func() {
			_ = call(func(tx *Tx) error { change(tx); panic("oops") })
		}, name)
		var wg sync.WaitGroup
		wg.Go(func() {
			err := call(func(tx *Tx) error { change(tx); runtime.Goexit(); return nil })
			require.Error(t, err, "%s returns only where another goroutine ran the function", name)
			require.Equal(t, "Batch", name)
		})
		wg.Wait()
		require.NoError(t, db.View(func(tx *Tx) error {
			k, _ := tx.Root().Cursor().First()
			require.Nil(t, k, "after %s", name)
			return nil
		}))
	}
	require.Zero(t, db.p.OpenReaders())
	require.NoError(t, db.Update(func(tx *Tx) error { return tx.Root().Put(b("k"), b("v")) }))
}
