package engines

import (
	"bytes"
	"errors"

	"github.com/dgraph-io/badger/v4"
)

var badgerEngine = Engine{
	Name: "badger", Module: "github.com/dgraph-io/badger/v4", Open: openBadger,
	Config: "SyncWrites, its defaults otherwise (256 MiB of block cache unless -cache says more or less, Snappy); " +
		"relaxed: without SyncWrites",
}

func openBadger(dir string, o Options) (Store, error) {
	options := badger.DefaultOptions(dir).WithSyncWrites(!o.NoSync).WithLogger(nil)
	if o.CacheBytes > 0 {
		options = options.WithBlockCacheSize(o.CacheBytes)
	}
	db, err := badger.Open(options)
	if err != nil {
		return nil, err
	}
	return badgerStore{db}, nil
}

type badgerStore struct{ db *badger.DB }

// Update runs fn again after a conflict, as its documentation advises.
func (s badgerStore) Update(fn func(Writer) error) error {
	for {
		err := s.db.Update(func(txn *badger.Txn) error { return fn(&badgerTxn{txn: txn}) })
		switch {
		case errors.Is(err, badger.ErrConflict):
			continue
		case errors.Is(err, badger.ErrTxnTooBig):
			return Unsupported("the transaction is too big")
		}
		return err
	}
}

func (s badgerStore) View(fn func(Reader) error) error {
	return s.db.View(func(txn *badger.Txn) error { return fn(&badgerTxn{txn: txn}) })
}

// DeleteRange deletes key by key, in as many transactions as it takes: there is no other way.
func (s badgerStore) DeleteRange(from, to []byte) error {
	const many = 10_000
	for {
		var keys [][]byte
		err := s.db.View(func(txn *badger.Txn) error {
			options := badger.DefaultIteratorOptions
			options.PrefetchValues = false
			i := txn.NewIterator(options)
			defer i.Close()
			for i.Seek(from); i.Valid() && len(keys) < many; i.Next() {
				if key := i.Item().Key(); to != nil && bytes.Compare(key, to) >= 0 {
					break
				}
				keys = append(keys, i.Item().KeyCopy(nil))
			}
			return nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = s.db.Update(func(txn *badger.Txn) error {
			for _, key := range keys {
				if err := txn.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func (s badgerStore) Drop() error { return s.db.DropAll() }

func (s badgerStore) Close() error { return s.db.Close() }

type badgerTxn struct {
	txn *badger.Txn
	buf []byte
}

func (t *badgerTxn) Get(key []byte) ([]byte, error) {
	item, err := t.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrAbsent
	}
	if err != nil {
		return nil, err
	}
	t.buf, err = item.ValueCopy(t.buf)
	return t.buf, err
}

func (t *badgerTxn) Put(key, value []byte) error { return t.txn.Set(key, value) }

func (t *badgerTxn) Delete(key []byte) error { return t.txn.Delete(key) }

func (t *badgerTxn) Scan(fn Visit) error { return t.walk(nil, false, -1, fn) }

func (t *badgerTxn) ScanBack(fn Visit) error { return t.walk(nil, true, -1, fn) }

func (t *badgerTxn) Seek(key []byte, n int, fn Visit) error { return t.walk(key, false, n, fn) }

// walk calls fn for up to n pairs from a key on; all if n is below 0.
func (t *badgerTxn) walk(from []byte, back bool, n int, fn Visit) error {
	options := badger.DefaultIteratorOptions
	options.Reverse = back
	if n >= 0 {
		options.PrefetchSize = n
	}
	i := t.txn.NewIterator(options)
	defer i.Close()
	if from == nil {
		i.Rewind()
	} else {
		i.Seek(from)
	}
	for ; i.Valid() && n != 0; i.Next() {
		item := i.Item()
		if err := item.Value(func(value []byte) error { return fn(item.Key(), value) }); err != nil {
			return err
		}
		n--
	}
	return nil
}
