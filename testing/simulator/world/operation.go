package world

import (
	"errors"
	"strings"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// do does an operation in the transaction and compares what comes of it.
func (s *session) do(op *plan.Op) {
	if op.Kind.Writes() {
		if s.model == nil {
			return
		}
		s.counts.Writes++
	}
	s.counts.Operations++
	if s.log != nil {
		s.say("%6d %s: %s %v key %d to %d size %d", s.steps, s.a.name, op.Kind, s.plan.Path(op.Bucket), op.Key, op.To, op.Size)
	}
	path, key := s.plan.Path(op.Bucket), s.plan.Key(op.Key)
	switch op.Kind {
	case plan.Savepoint, plan.Undo, plan.Release:
		s.savepoint(op.Kind)
	case plan.Pause:
		s.a.idle(op.To)
	case plan.Sleep:
		s.a.sleep(op.To)
	case plan.OnCommit:
		s.onCommit(op.ID)
	case plan.CreateBucket, plan.CreateAll, plan.DropBucket, plan.MoveBucket:
		s.buckets(op, path)
	case plan.Walk, plan.WalkBack:
		s.walk(op, path, key)
	default:
		if op.Kind.Writes() {
			s.write(op, path, key)
		} else if b, want, ok := s.bucket(path); ok {
			s.read(op, b, want, key)
		}
	}
}

// bucket returns a handle of the bucket at path and what is in it; ok is false if there is none.
func (s *session) bucket(path []string) (b *pawl.Bucket, want *oracle.Bucket, ok bool) {
	want, absent := s.root().At(path)
	b, err := s.handle(path)
	if err == nil {
		err = b.Err()
	}
	return b, want, s.agree("bucket", err, absent)
}

// handle returns a handle of the bucket at path, which may carry an error. Every other one is kept for later: it finds the bucket
// again when that has moved.
func (s *session) handle(path []string) (*pawl.Bucket, error) {
	if len(path) == 0 {
		return s.tx.Root(), nil
	}
	if s.handles++; s.handles%2 == 1 {
		return s.newHandle(path)
	}
	name := strings.Join(path, "/")
	if b := s.kept[name]; b != nil {
		return b, nil
	}
	b, err := s.newHandle(path)
	if err == nil {
		if s.kept == nil {
			s.kept = map[string]*pawl.Bucket{}
		}
		s.kept[name] = b
	}
	return b, err
}

func (s *session) newHandle(path []string) (*pawl.Bucket, error) {
	return await(s.a, "bucket", s.async.Bucket(s.tx.Root(), plan.Bytes(path)...))
}

// agree compares an error with the one that there must be, and reports whether there is none.
func (s *session) agree(what string, err, want error) bool {
	if want == nil {
		return s.check(what, err)
	}
	if !errors.Is(err, want) && (err == nil || s.check(what, err)) {
		disk.Violate("%s returns %v, not %v", what, err, want)
	}
	return false
}

// changed makes the change in the model that the engine has made, or not.
func (s *session) changed(what string, err error, change func() error) bool {
	s.model.Savepoint()
	want := change()
	if err == nil && want == nil {
		s.model.Release()
		return true
	}
	s.model.Rollback()
	return s.agree(what, err, want)
}

// savepoint begins or ends a part that can be taken back.
func (s *session) savepoint(kind plan.OpKind) {
	if kind == plan.Savepoint {
		sp, err := s.async.Savepoint(s.tx)
		if err != nil {
			disk.Violate("savepoint: %v", err)
		}
		s.saves = append(s.saves, save{sp, len(s.calls)})
		s.model.Savepoint()
		return
	}
	if len(s.saves) == 0 {
		return
	}
	sp := s.saves[len(s.saves)-1]
	s.saves = s.saves[:len(s.saves)-1]
	var err error
	if kind == plan.Undo {
		err = sp.Rollback()
		s.model.Rollback()
		s.calls = s.calls[:sp.calls]
	} else {
		err = sp.Release()
		s.model.Release()
	}
	if err != nil {
		disk.Violate("%s of a savepoint: %v", kind, err)
	}
}

// buckets makes, drops or moves a bucket.
func (s *session) buckets(op *plan.Op, path []string) {
	if len(path) == 0 {
		return
	}
	switch op.Kind {
	case plan.CreateBucket:
		_, err := await(s.a, "create bucket", s.async.CreateBucket(s.tx, plan.Bytes(path)...))
		s.changed("create bucket", err, func() error { return s.model.CreateBucket(path) })
	case plan.CreateAll:
		_, err := await(s.a, "create buckets", s.async.CreateBucketIfNotExists(s.tx, plan.Bytes(path)...))
		s.changed("create buckets", err, func() error {
			for i := range path {
				if err := s.model.CreateBucket(path[:i+1]); err != nil && !errors.Is(err, pawl.ErrBucketExists) {
					return err
				}
			}
			return nil
		})
	case plan.DropBucket:
		_, err := await(s.a, "drop bucket", s.async.DeleteBucket(s.tx, plan.Bytes(path)...))
		s.changed("drop bucket", err, func() error { return s.model.DeleteBucket(path) })
	default:
		to := s.plan.Path(op.To)
		if len(to) == 0 {
			return
		}
		_, err := await(s.a, "move bucket", s.async.MoveBucket(s.tx, plan.Bytes(path), plan.Bytes(to)))
		s.changed("move bucket", err, func() error { return s.model.MoveBucket(path, to) })
	}
}

// write changes something in a bucket.
func (s *session) write(op *plan.Op, path []string, key string) {
	b, err := s.handle(path)
	if !s.check("bucket", err) {
		return
	}
	value := s.plan.Value(op.ID, op.Size)
	switch op.Kind {
	case plan.Put:
		_, err := await(s.a, "put", s.async.Put(b, []byte(key), []byte(value)))
		s.changed("put", err, func() error { return s.model.Put(path, key, value) })
	case plan.PutReader:
		_, err := b.PutReader([]byte(key), strings.NewReader(value))
		s.changed("put reader", err, func() error { return s.model.Put(path, key, value) })
	case plan.PutIfAbsent:
		put, err := await(s.a, "put if absent", s.async.PutIfAbsent(b, []byte(key), []byte(value)))
		var want bool
		if s.changed("put if absent", err, func() (err error) {
			want, err = s.model.PutIfAbsent(path, key, value)
			return err
		}) && put != want {
			disk.Violate("put if absent returns %v, not %v", put, want)
		}
	case plan.Modify:
		old, ok := s.get(b, path, key, func() ([]byte, error) { return await(s.a, "get", s.async.Get(b, []byte(key))) })
		if !ok {
			return
		}
		value = old[:min(len(old), op.Size)] + value[:min(len(value), 16)]
		_, err := await(s.a, "put", s.async.Put(b, []byte(key), []byte(value)))
		s.changed("put", err, func() error { return s.model.Put(path, key, value) })
	case plan.Delete:
		_, err := await(s.a, "delete", s.async.Delete(b, []byte(key)))
		s.changed("delete", err, func() error { return s.model.Delete(path, key) })
	case plan.DeleteRange:
		s.deleteRange(op, b, path, key)
	case plan.SetSequence:
		_, err := await(s.a, "set sequence", s.async.SetSequence(b, uint64(op.ID)))
		s.changed("set sequence", err, func() error { return s.model.SetSequence(path, uint64(op.ID)) })
	case plan.NextSequence:
		n, err := await(s.a, "next sequence", s.async.NextSequence(b))
		var want uint64
		if s.changed("next sequence", err, func() error {
			if in, err := s.model.Root().At(path); err == nil {
				want = in.Sequence + 1
			}
			return s.model.SetSequence(path, want)
		}) && n != want {
			disk.Violate("next sequence returns %d, not %d", n, want)
		}
	case plan.CursorDelete:
		s.cursorDelete(op, b, path, key)
	default:
		disk.Violate("unknown operation %q", op.Kind)
	}
}

// deleteRange deletes from key up to another one, or to the end.
func (s *session) deleteRange(op *plan.Op, b *pawl.Bucket, path []string, key string) {
	to := s.plan.Key(op.Key + op.To)
	if op.To == 0 {
		to = ""
	}
	if to != "" && to < key {
		key, to = to, key
	}
	var end []byte
	if to != "" {
		end = []byte(to)
	}
	_, err := await(s.a, "delete range", s.async.DeleteRange(b, []byte(key), end))
	s.changed("delete range", err, func() error { return s.model.DeleteRange(path, key, to) })
}

// cursorDelete goes to a key with a cursor, deletes some from there on, and looks at what the cursor is at then.
func (s *session) cursorDelete(op *plan.Op, b *pawl.Bucket, path []string, key string) {
	if _, err := s.root().At(path); err != nil {
		return
	}
	c := b.Cursor()
	at, err := await(s.a, "seek", s.async.Seek(c, []byte(key)))
	for range op.To {
		if !s.check("cursor", err) {
			return
		}
		want, _ := s.root().At(path)
		i, _ := want.Find(key)
		s.isAt(want, i, at)
		if at.Key == nil {
			return
		}
		key = string(at.Key)
		_, err = await(s.a, "delete at cursor", s.async.DeleteAt(c))
		s.changed("delete at cursor", err, func() error { return s.model.Delete(path, key) })
		key += "\x00"
		at, err = await(s.a, "next", s.async.Next(c))
	}
}

// isAt compares where a cursor is with the i-th entry.
func (s *session) isAt(want *oracle.Bucket, i int, at pawl.Entry) {
	if i < 0 || i >= len(want.Entries) {
		if at.Key != nil || at.Value != nil {
			disk.Violate("a cursor behind the end is at %q", at.Key)
		}
		return
	}
	if err := want.Entries[i].Is(at.Key, at.Value); err != nil {
		disk.Violate("cursor: %v", err)
	}
	s.hold(at.Key, want.Entries[i].Key)
	s.hold(at.Value, want.Entries[i].Value)
}

// get reads a value with fn; ok is false if it can't be read, "" if there is none.
func (s *session) get(b *pawl.Bucket, path []string, key string, fn func() ([]byte, error)) (value string, ok bool) {
	in, absent := s.root().At(path)
	if absent == nil {
		e := in.Get(key)
		switch {
		case e == nil:
			absent = pawl.ErrNotFound
		case e.Bucket != nil:
			absent = pawl.ErrIsBucket
		default:
			value = e.Value
		}
	}
	v, err := fn()
	if !s.agree("get", err, absent) {
		return "", errors.Is(absent, pawl.ErrNotFound) && errors.Is(err, absent)
	}
	if string(v) != value {
		disk.Violate("get of %q returns %d bytes, %.40q, not %d, %.40q", key, len(v), v, len(value), value)
	}
	s.hold(v, value)
	return value, true
}

// read reads something and compares it.
func (s *session) read(op *plan.Op, b *pawl.Bucket, want *oracle.Bucket, key string) {
	switch op.Kind {
	case plan.Get:
		s.get(b, s.plan.Path(op.Bucket), key, func() ([]byte, error) { return await(s.a, "get", s.async.Get(b, []byte(key))) })
	case plan.GetNow:
		s.get(b, s.plan.Path(op.Bucket), key, func() ([]byte, error) { return b.Get([]byte(key)) })
	case plan.GetMany:
		s.getMany(op, b, want)
	case plan.ReadAt:
		s.readAt(op, b, want, key)
	case plan.Has:
		has, err := await(s.a, "has", s.async.Has(b, []byte(key)))
		if e := want.Get(key); s.check("has", err) && has != (e != nil && e.Bucket == nil) {
			disk.Violate("has of %q returns %v", key, has)
		}
	case plan.GetAppend:
		s.getAppend(b, want, key)
	case plan.First, plan.Last:
		s.end(op.Kind, b, want)
	case plan.Stats:
		figures, err := await(s.a, "stats", s.async.Stats(b))
		if keys, trees := want.Own(); s.check("stats", err) && (figures.Keys != keys || figures.Buckets != trees) {
			disk.Violate("stats count %d keys and %d buckets, there are %d and %d", figures.Keys, figures.Buckets, keys, trees)
		}
	case plan.Sequence:
		n, err := await(s.a, "sequence", s.async.Sequence(b))
		if s.check("sequence", err) && n != want.Sequence {
			disk.Violate("sequence is %d, not %d", n, want.Sequence)
		}
	case plan.Range, plan.RangeBack:
		s.loop(op, b, want, key)
	case plan.Scan, plan.ScanBack:
		s.scan(op, b, want, key)
	default:
		disk.Violate("unknown operation %q", op.Kind)
	}
}

// getAppend reads a value behind something else.
func (s *session) getAppend(b *pawl.Bucket, want *oracle.Bucket, key string) {
	e := want.Get(key)
	if e == nil || e.Bucket != nil {
		return
	}
	v, err := await(s.a, "get append", s.async.GetAppend(b, []byte("ab"), []byte(key)))
	if s.check("get append", err) && string(v) != "ab"+e.Value {
		disk.Violate("get append of %q returns %d bytes, not %d and 2", key, len(v), len(e.Value))
	}
}

// end goes to an end of a bucket.
func (s *session) end(kind plan.OpKind, b *pawl.Bucket, want *oracle.Bucket) {
	c := b.Cursor()
	i, move := 0, s.async.First
	if kind == plan.Last {
		i, move = len(want.Entries)-1, s.async.Last
	}
	at, err := await(s.a, string(kind), move(c))
	if s.check("cursor", err) {
		s.isAt(want, i, at)
	}
}

// getMany reads several values at once.
func (s *session) getMany(op *plan.Op, b *pawl.Bucket, want *oracle.Bucket) {
	keys := make([][]byte, op.To)
	for i := range keys {
		keys[i] = []byte(s.plan.Key(op.Key + i*7))
		if e := want.Get(string(keys[i])); e != nil && e.Bucket != nil {
			return // an error, and which values are there is not said
		}
	}
	vals := make([][]byte, len(keys))
	for i := range vals {
		vals[i] = []byte("of an earlier call")
	}
	_, err := await(s.a, "get many", s.async.GetMany(b, keys, vals))
	if !s.check("get many", err) {
		return
	}
	for i, k := range keys {
		e := want.Get(string(k))
		if (e == nil) != (vals[i] == nil) || e != nil && e.Value != string(vals[i]) {
			disk.Violate("get many of %q returns %.40q", k, vals[i])
		}
		if e != nil {
			s.hold(vals[i], e.Value)
		}
	}
}

// readAt reads a part of a value.
func (s *session) readAt(op *plan.Op, b *pawl.Bucket, want *oracle.Bucket, key string) {
	e := want.Get(key)
	if e == nil || e.Bucket != nil {
		return
	}
	r, err := await(s.a, "reader", s.async.Reader(b, []byte(key)))
	if !s.check("reader", err) {
		return
	}
	if r.Size() != int64(len(e.Value)) {
		disk.Violate("a reader of %q has %d bytes, not %d", key, r.Size(), len(e.Value))
	}
	offset := op.Size % (len(e.Value) + 1)
	p := make([]byte, min(op.To*100, len(e.Value)-offset))
	n, err := await(s.a, "read at", s.async.ReadAt(r, p, int64(offset)))
	if s.check("read at", err) && string(p[:n]) != e.Value[offset:offset+n] {
		disk.Violate("%d bytes of %q at %d are others", n, key, offset)
	}
	if err := r.Close(); err != nil {
		disk.Violate("close of a reader: %v", err)
	}
}

// scan goes through some entries with a cursor, in one direction and a bit back.
func (s *session) scan(op *plan.Op, b *pawl.Bucket, want *oracle.Bucket, key string) {
	c := b.Cursor()
	i, _ := want.Find(key)
	at, err := await(s.a, "seek", s.async.Seek(c, []byte(key)))
	for n := range op.To {
		if !s.check("cursor", err) {
			return
		}
		s.isAt(want, i, at)
		if i >= 0 && i < len(want.Entries) {
			key = want.Entries[i].Key // where a move that came to nothing leaves the cursor
		}
		var found bool
		i, found = want.Find(key)
		if (op.Kind == plan.ScanBack) != (n%5 == 4) {
			at, err = await(s.a, "prev", s.async.Prev(c))
			i--
		} else {
			at, err = await(s.a, "next", s.async.Next(c))
			if found {
				i++
			}
		}
	}
}
