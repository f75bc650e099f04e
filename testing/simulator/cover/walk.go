package cover

import (
	"reflect"
	"strings"
)

// State is a state of a machine: a value of the type of its field state.
type State struct {
	Type  string // package and name, as "pager.openState"
	Value uint64
}

// Waiting appends the states of the machines that an operation, a *pawl.Op, consists of while it waits: its own, and those of
// the machines that it has begun within. It reads the engine's fields from outside, so that the engine need not tell.
func Waiting(op any, list []State) []State {
	w := walker{list: list, seen: map[uintptr]bool{}}
	w.walk(reflect.ValueOf(op).Elem().FieldByName("m"))
	return w.list
}

// Blocking does the same for an operation of a *pawl.DB that somebody waits for within a call: the one that waits for c.
func Blocking(db any, c any, list []State) []State {
	w := walker{list: list, seen: map[uintptr]bool{}}
	want := reflect.ValueOf(c).Pointer()
	for _, entry := range reflect.ValueOf(db).Elem().FieldByName("waits").FieldByName("list").MapKeys() {
		if entry = entry.Elem(); entry.FieldByName("pending").Pointer() == want {
			w.walk(entry.FieldByName("machine"))
		}
	}
	return w.list
}

type walker struct {
	list []State
	seen map[uintptr]bool // pointers
}

// holders are the types that hold what outlives an operation: no part of a machine is behind them.
var holders = map[string]bool{
	"pawl.DB": true, "pawl.Tx": true, "pawl.Bucket": true, "pawl.Options": true, "pawl.ValueReader": true,
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
		if !v.IsNil() && ours(v.Type().Elem()) && !w.seen[v.Pointer()] {
			w.seen[v.Pointer()] = true
			w.walk(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if e := v.Type().Elem(); ours(e) || e.Kind() == reflect.Pointer && ours(e.Elem()) {
			for i := range v.Len() {
				w.walk(v.Index(i))
			}
		}
	case reflect.Struct:
		if ours(v.Type()) && !v.IsZero() { // else a machine that was not begun
			w.machine(v)
		}
	}
}

// machine appends the state of a machine, or of what may be a part of one, and goes on with its fields.
func (w *walker) machine(v reflect.Value) {
	w.list = append(w.list, stateOf(v)...)
	switch v.Type().String() {
	case "wal.Wait": // its neighbours in the list are others
		w.flush(v)
		return
	case "pawl.putTask", "pawl.sequenceTask":
		w.kept(v, "put")
	case "pawl.delTask":
		w.kept(v, "del")
	}
	for i := range v.NumField() {
		w.walk(v.Field(i))
	}
}

// ours reports whether a struct type can be a part of a machine.
func ours(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), "github.com/pawldb/pawl") &&
		t.PkgPath() != "github.com/pawldb/pawl/io" && !holders[t.String()]
}

// stateOf returns the state of the machine in v, by its own field and not by that of a part of it. One that keeps none has a single
// wait, unless it only wraps another one.
func stateOf(v reflect.Value) []State {
	own, has := v.Type().FieldByName("state")
	if f := v.FieldByName("state"); has && len(own.Index) == 1 && f.Kind() == reflect.Uint8 && strings.HasSuffix(f.Type().Name(), "State") {
		return []State{{f.Type().String(), f.Uint()}}
	}
	if _, steps := reflect.PointerTo(v.Type()).MethodByName("Step"); !steps || strings.Contains(v.Type().Name(), "[") {
		return nil
	}
	return []State{{v.Type().String(), 0}}
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
		w.list = append(w.list, stateOf(log.FieldByName("flush"))...)
	}
}
