package cover

import (
	"reflect"
	"strings"
	"sync"
)

// State is a state of a machine: a value of the type of its field state.
type State struct {
	Type  string // package and name, as "pager.openState"
	Value uint64
}

// Waiting appends the states of the machines that an operation, a *pawl.Op, consists of while it waits: its own, and those of
// the machines that it has begun within. It reads the engine's fields from outside, so that the engine need not tell.
func Waiting(op any, list []State) []State {
	w := walker{list: list, seen: map[place]bool{}}
	w.walk(reflect.ValueOf(op).Elem().FieldByName("m"))
	return w.list
}

// Blocking does the same for an operation of a *pawl.DB that somebody waits for within a call: the one that waits for c.
func Blocking(db any, c any, list []State) []State {
	w := walker{list: list, seen: map[place]bool{}}
	want := reflect.ValueOf(c).Pointer()
	entry := reflect.ValueOf(db).Elem().FieldByName("waits").FieldByName("oldest")
	for ; !entry.IsNil(); entry = entry.Elem().FieldByName("newer") {
		if entry.Elem().FieldByName("pending").Pointer() == want {
			w.walk(entry.Elem().FieldByName("machine"))
		}
	}
	return w.list
}

type walker struct {
	list []State
	seen map[place]bool
}

// place is where a struct lies. It is the place of its first field too.
type place struct {
	address uintptr
	typ     reflect.Type
}

// holders are the types that hold what outlives an operation: no part of a machine is behind them.
var holders = map[string]bool{
	"pawl.DB": true, "pawl.Tx": true, "pawl.writeTx": true, "pawl.Bucket": true, "pawl.Options": true, "pawl.ValueReader": true,
	"btree.Source": true, "btree.Writer": true,
	"pager.Pager": true, "pager.Tx": true, "pager.Reader": true, "pager.Snapshot": true, "pager.generation": true,
	"pager.Page": true, "pager.Image": true, "pager.readerSlot": true, "pager.cache": true, "pager.Config": true, "pager.blockSetEdit": true,
	"pager.blockSet": true, "pager.bitmapTree": true, "wal.Log": true,
}

// walk appends the states of the machines in v.
func (w *walker) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			w.walk(v.Elem())
		}
	case reflect.Pointer:
		if !v.IsNil() && kindOf(v.Type().Elem()).ours {
			w.walk(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		e := v.Type().Elem()
		if e.Kind() == reflect.Pointer {
			e = e.Elem()
		}
		for i := 0; kindOf(e).ours && i < v.Len(); i++ {
			w.walk(v.Index(i))
		}
	case reflect.Struct:
		if !kindOf(v.Type()).ours || v.IsZero() { // a machine that was not begun
			return
		}
		if v.CanAddr() {
			at := place{v.UnsafeAddr(), v.Type()}
			if w.seen[at] {
				return
			}
			w.seen[at] = true
		}
		w.machine(v)
	}
}

// machine appends the state of a machine, or of what may be a part of one, and goes on with its fields.
func (w *walker) machine(v reflect.Value) {
	k := kindOf(v.Type())
	w.list = append(w.list, k.stateIn(v)...)
	switch k.name {
	case "wal.Wait": // its neighbours in the list are others
		w.flush(v)
		return
	case "pawl.putTask", "pawl.sequenceTask":
		w.kept(v, "put")
	case "pawl.delTask":
		w.kept(v, "del")
	}
	for _, i := range k.parts {
		w.walk(v.Field(i))
	}
}

// kind is what is to be known of a struct type.
type kind struct {
	name  string
	ours  bool  // it can be a part of a machine
	parts []int // fields that can hold machines
	state int   // the field that says in which state a machine is; -1: it has none
	typ   string
	waits bool // it is a machine without a state: it has a single wait, unless it only wraps another one
}

// kinds holds what kindOf has found out, by reflect.Type.
var kinds sync.Map

// kindOf looks at a struct type. What is no struct is nobody's.
func kindOf(t reflect.Type) *kind {
	if k, ok := kinds.Load(t); ok {
		return k.(*kind)
	}
	k := &kind{name: t.String(), state: -1}
	k.ours = t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), "github.com/pawldb/pawl") &&
		t.PkgPath() != "github.com/pawldb/pawl/io" && !holders[k.name]
	if k.ours {
		k.look(t)
	}
	kinds.Store(t, k)
	return k
}

// look finds the state and the parts. A state counts by a field of its own, not by that of a part.
func (k *kind) look(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "state" && f.Type.Kind() == reflect.Uint8 && strings.HasSuffix(f.Type.Name(), "State") {
			k.state, k.typ = i, f.Type.String()
		}
		if holds(f.Type) {
			k.parts = append(k.parts, i)
		}
	}
	_, steps := reflect.PointerTo(t).MethodByName("Step")
	k.waits = steps && !strings.Contains(t.Name(), "[")
}

// holds reports whether a field's type can hold a machine.
func holds(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer:
		return t.Elem().Kind() == reflect.Struct // looked at when there is one: types can refer to themselves
	case reflect.Slice, reflect.Array:
		return t.Elem().Kind() == reflect.Struct || t.Elem().Kind() == reflect.Pointer && t.Elem().Elem().Kind() == reflect.Struct
	}
	return t.Kind() == reflect.Struct
}

// stateIn returns the state of the machine in v.
func (k *kind) stateIn(v reflect.Value) []State {
	switch {
	case k.state >= 0:
		return []State{{k.typ, v.Field(k.state).Uint()}}
	case k.waits:
		return []State{{k.name, 0}}
	}
	return nil
}

// kept goes on with a machine that the write transaction of an operation keeps for all operations of a kind.
func (w *walker) kept(task reflect.Value, machine string) {
	tx := task.FieldByName("b").Elem().FieldByName("tx").Elem()
	w.walk(tx.FieldByName("w").Elem().FieldByName(machine))
}

// flush appends the state of the log's flush, which belongs to the one who leads.
func (w *walker) flush(wait reflect.Value) {
	log := wait.FieldByName("log").Elem()
	if log.IsValid() && wait.CanAddr() && log.FieldByName("leader").Pointer() == wait.Addr().Pointer() {
		flush := log.FieldByName("flush")
		w.list = append(w.list, kindOf(flush.Type()).stateIn(flush)...)
	}
}
