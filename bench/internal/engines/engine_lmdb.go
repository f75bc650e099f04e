//go:build cgo

package engines

import (
	"bytes"
	"errors"
	"sync"

	"github.com/PowerDNS/lmdb-go/lmdb"
)

var lmdbEngine = Engine{
	Name: "lmdb", Module: "github.com/PowerDNS/lmdb-go", Open: openLMDB, Copies: true,
	Config: lmdb.VersionString() + ", default flags (no WRITEMAP), a map of 64 GiB, values read without a copy, " +
		"read transactions and cursors reset and renewed; relaxed: NOSYNC; cold rows: NORDAHEAD",
}

// mapBytes is the address space of the two memory maps that want to know it beforehand.
const mapBytes = 64 << 30

func openLMDB(dir string, o Options) (Store, error) {
	env, err := lmdb.NewEnv()
	if err != nil {
		return nil, err
	}
	flags := uint(0)
	if o.NoSync {
		flags = lmdb.NoSync
	}
	if o.Cold {
		flags |= lmdb.NoReadahead
	}
	s := &lmdbStore{env: env}
	create := func(txn *lmdb.Txn) (err error) {
		s.dbi, err = txn.OpenDBI(string(table), lmdb.Create)
		return err
	}
	for _, step := range []func() error{
		func() error { return env.SetMapSize(mapBytes) },
		func() error { return env.SetMaxDBs(1) },
		func() error { return env.Open(dir, flags, 0o600) },
		func() error { return env.Update(create) },
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, env.Close())
		}
	}
	return s, nil
}

type lmdbStore struct {
	env     *lmdb.Env
	dbi     lmdb.DBI
	readers sync.Pool // of *lmdbTxn that are reset
	mu      sync.Mutex
	all     []*lmdbTxn // readers; mu guards it
}

func (s *lmdbStore) Update(fn func(Writer) error) error {
	return s.env.Update(func(txn *lmdb.Txn) error {
		txn.RawRead = true
		return fn(&lmdbTxn{s: s, txn: txn})
	})
}

func (s *lmdbStore) View(fn func(Reader) error) error {
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
func (s *lmdbStore) reader() (*lmdbTxn, error) {
	if t, ok := s.readers.Get().(*lmdbTxn); ok {
		return t, t.txn.Renew()
	}
	txn, err := s.env.BeginTxn(nil, lmdb.Readonly)
	if err != nil {
		return nil, err
	}
	txn.RawRead = true
	t := &lmdbTxn{s: s, txn: txn}
	s.mu.Lock()
	s.all = append(s.all, t)
	s.mu.Unlock()
	return t, nil
}

// DeleteRange deletes by cursor, in one transaction.
func (s *lmdbStore) DeleteRange(from, to []byte) error {
	return s.env.Update(func(txn *lmdb.Txn) error {
		txn.RawRead = true
		c, err := txn.OpenCursor(s.dbi)
		if err != nil {
			return err
		}
		defer c.Close()
		key, _, err := c.Get(from, nil, lmdb.SetRange)
		for ; err == nil && (to == nil || bytes.Compare(key, to) < 0); key, _, err = c.Get(nil, nil, lmdb.Next) {
			if err := c.Del(0); err != nil { // Next stays where a deletion has left the cursor
				return err
			}
		}
		if lmdb.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (s *lmdbStore) Drop() error {
	return s.env.Update(func(txn *lmdb.Txn) error { return txn.Drop(s.dbi, false) })
}

func (s *lmdbStore) Close() error {
	for _, t := range s.all {
		if t.cursor != nil {
			t.cursor.Close()
		}
		t.txn.Abort()
	}
	return s.env.Close()
}

type lmdbTxn struct {
	s      *lmdbStore
	txn    *lmdb.Txn
	cursor *lmdb.Cursor // of a reader, kept from one use to the next
}

func (t *lmdbTxn) Get(key []byte) ([]byte, error) {
	value, err := t.txn.Get(t.s.dbi, key)
	if lmdb.IsNotFound(err) {
		return nil, ErrAbsent
	}
	return value, err
}

func (t *lmdbTxn) Put(key, value []byte) error { return t.txn.Put(t.s.dbi, key, value, 0) }

func (t *lmdbTxn) Delete(key []byte) error { return t.txn.Del(t.s.dbi, key, nil) }

func (t *lmdbTxn) Scan(fn Visit) error { return t.walk(nil, lmdb.First, lmdb.Next, -1, fn) }

func (t *lmdbTxn) ScanBack(fn Visit) error { return t.walk(nil, lmdb.Last, lmdb.Prev, -1, fn) }

func (t *lmdbTxn) Seek(key []byte, n int, fn Visit) error {
	return t.walk(key, lmdb.SetRange, lmdb.Next, n, fn)
}

// walk calls fn for up to n pairs; all if n is below 0.
func (t *lmdbTxn) walk(from []byte, start, next uint, n int, fn Visit) (err error) {
	if t.cursor == nil {
		t.cursor, err = t.txn.OpenCursor(t.s.dbi)
	} else {
		err = t.cursor.Renew(t.txn)
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
	if lmdb.IsNotFound(err) {
		return nil
	}
	return err
}
