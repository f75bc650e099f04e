//go:build cgo

package engines

import (
	"bytes"
	"sync"

	"github.com/erigontech/mdbx-go/mdbx"
)

var mdbxEngine = Engine{
	Name: "mdbx", Module: "github.com/erigontech/mdbx-go", Open: openMDBX, Copies: true,
	Config: "version " + mdbx.Version() + ", default flags (durable, no WRITEMAP), up to 64 GiB, values read without a copy, " +
		"read transactions and cursors reset and renewed; relaxed: SAFE_NOSYNC; cold rows: NORDAHEAD",
}

func openMDBX(dir string, o Options) (Store, error) {
	env, err := mdbx.NewEnv(mdbx.Default)
	if err != nil {
		return nil, err
	}
	flags := uint(0)
	if o.NoSync {
		flags = mdbx.SafeNoSync
	}
	if o.Cold {
		flags |= mdbx.NoReadahead
	}
	s := &mdbxStore{env: env}
	create := func(txn *mdbx.Txn) (err error) {
		s.dbi, err = txn.OpenDBISimple(string(table), mdbx.Create)
		return err
	}
	for _, step := range []func() error{
		func() error { return env.SetGeometry(-1, -1, mapBytes, -1, -1, -1) },
		func() error { return env.SetOption(mdbx.OptMaxDB, 1) },
		func() error { return env.Open(dir, flags, 0o600) },
		func() error { return env.Update(create) },
	} {
		if err := step(); err != nil {
			env.Close()
			return nil, err
		}
	}
	return s, nil
}

type mdbxStore struct {
	env     *mdbx.Env
	dbi     mdbx.DBI
	readers sync.Pool // of *mdbxTxn that are reset
	mu      sync.Mutex
	all     []*mdbxTxn // readers; mu guards it
}

func (s *mdbxStore) Update(fn func(Writer) error) error {
	return s.env.Update(func(txn *mdbx.Txn) error { return fn(&mdbxTxn{s: s, txn: txn}) })
}

func (s *mdbxStore) View(fn func(Reader) error) error {
	t, err := s.reader()
	if err != nil {
		return err
	}
	err = fn(t)
	t.txn.Reset()
	s.readers.Put(t)
	return err
}

// reader returns a read transaction.
func (s *mdbxStore) reader() (*mdbxTxn, error) {
	if t, ok := s.readers.Get().(*mdbxTxn); ok {
		return t, t.txn.Renew()
	}
	txn, err := s.env.BeginTxn(nil, mdbx.Readonly)
	if err != nil {
		return nil, err
	}
	t := &mdbxTxn{s: s, txn: txn}
	s.mu.Lock()
	s.all = append(s.all, t)
	s.mu.Unlock()
	return t, nil
}

// DeleteRange deletes by cursor, in one transaction.
func (s *mdbxStore) DeleteRange(from, to []byte) error {
	return s.env.Update(func(txn *mdbx.Txn) error {
		c, err := txn.OpenCursor(s.dbi)
		if err != nil {
			return err
		}
		defer c.Close()
		key, _, err := c.Get(from, nil, mdbx.SetRange)
		for ; err == nil && (to == nil || bytes.Compare(key, to) < 0); key, _, err = c.Get(nil, nil, mdbx.Next) {
			if err := c.Del(0); err != nil { // Next stays where a deletion has left the cursor
				return err
			}
		}
		if mdbx.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (s *mdbxStore) Drop() error {
	return s.env.Update(func(txn *mdbx.Txn) error { return txn.Drop(s.dbi, false) })
}

func (s *mdbxStore) Close() error {
	for _, t := range s.all {
		if t.cursor != nil {
			t.cursor.Close()
		}
		t.txn.Abort()
	}
	s.env.Close()
	return nil
}

type mdbxTxn struct {
	s      *mdbxStore
	txn    *mdbx.Txn
	cursor *mdbx.Cursor // of a reader, kept from one use to the next
}

func (t *mdbxTxn) Get(key []byte) ([]byte, error) {
	value, err := t.txn.Get(t.s.dbi, key)
	if mdbx.IsNotFound(err) {
		return nil, ErrAbsent
	}
	return value, err
}

func (t *mdbxTxn) Put(key, value []byte) error { return t.txn.Put(t.s.dbi, key, value, 0) }

func (t *mdbxTxn) Delete(key []byte) error { return t.txn.Del(t.s.dbi, key, nil) }

func (t *mdbxTxn) Scan(fn Visit) error { return t.walk(nil, mdbx.First, mdbx.Next, -1, fn) }

func (t *mdbxTxn) ScanBack(fn Visit) error { return t.walk(nil, mdbx.Last, mdbx.Prev, -1, fn) }

func (t *mdbxTxn) Seek(key []byte, n int, fn Visit) error {
	return t.walk(key, mdbx.SetRange, mdbx.Next, n, fn)
}

// walk calls fn for up to n pairs; all if n is below 0.
func (t *mdbxTxn) walk(from []byte, start, next uint, n int, fn Visit) (err error) {
	if t.cursor == nil {
		t.cursor, err = t.txn.OpenCursor(t.s.dbi)
	} else {
		err = t.cursor.Bind(t.txn, t.s.dbi)
	}
	if err != nil {
		return err
	}
	key, value, err := t.cursor.Get(from, nil, start)
	for err == nil {
		if err := fn(key, value); err != nil {
			return err
		}
		if n--; n == 0 {
			return nil
		}
		key, value, err = t.cursor.Get(nil, nil, next)
	}
	if mdbx.IsNotFound(err) {
		return nil
	}
	return err
}
