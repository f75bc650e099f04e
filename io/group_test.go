package io

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// How a child of the enumeration ends.
type ending uint8

const (
	endOK       ending = iota // an I/O that succeeds
	endFail                   // an I/O that fails
	endCancel                 // an I/O that is cancelled, and retires later
	endYield                  // a yield that is cancelled: nobody holds it
	endingCount = iota
)

// What a step of the enumeration does to a unit: one of the children 0 to 2, or the groups outer and inner.
type stepKind uint8

const (
	stepAdd    stepKind = iota // link to its parent
	stepEnd                    // finish, fail or cancel, by its ending
	stepRetire                 // the backend is done with a cancelled I/O
	stepBuild
	stepCancel
)

const (
	outer = 3
	inner = 4
	units = 5
)

type groupStep struct {
	kind stepKind
	unit int
}

func (s groupStep) String() string {
	kinds := [...]string{"add", "end", "retire", "build", "cancel"}
	return kinds[s.kind] + [...]string{"0", "1", "2", "Outer", "Inner"}[s.unit]
}

// groupUnit is the trivial model of one unit.
type groupUnit struct {
	parent   int // -1: none
	member   bool
	ending   ending
	resolved bool
	err      error
	released bool // child: nobody touches it any more

	built, cancelled bool // groups
	first            error
}

// groupWorld is the units and their model, side by side.
type groupWorld struct {
	kids      [3]Completion
	groups    [2]CompletionGroup
	model     [units]groupUnit
	errs      [3]error
	calls     [units]int
	retires   [units]int
	onDone    [units]func(*Completion)
	onRetire  [units]func(*Completion)
	used      int // children
	hasInner  bool
	completed [units]*Completion
}

func newGroupWorld() *groupWorld {
	w := &groupWorld{errs: [3]error{errors.New("child 0"), errors.New("child 1"), errors.New("child 2")}}
	for i := range units {
		w.onDone[i] = func(*Completion) { w.calls[i]++ }
		w.onRetire[i] = func(*Completion) { w.retires[i]++ }
	}
	return w
}

// start begins a run; everything is idle, at first or after reset.
func (w *groupWorld) start(endings []ending, parents []int) {
	w.model, w.calls, w.retires = [units]groupUnit{}, [units]int{}, [units]int{}
	w.completed, w.hasInner, w.used = [units]*Completion{}, false, len(endings)
	for i := range w.model {
		w.model[i].parent = -1
	}
	for i, end := range endings {
		w.model[i].parent, w.model[i].ending = parents[i], end
		if end == endYield {
			w.kids[i].ArmYield("x")
		} else {
			w.kids[i].ArmSubmitted(KindRead, "x")
		}
		w.hasInner = w.hasInner || parents[i] == inner
		w.completed[i] = &w.kids[i]
	}
	w.groups[0].Start("outer")
	w.completed[outer] = w.groups[0].Completion()
	if w.hasInner {
		w.groups[1].Start("inner")
		w.model[inner].parent = outer
		w.completed[inner] = w.groups[1].Completion()
	}
	for i, c := range w.completed {
		if c != nil {
			c.OnDone(w.onDone[i])
			c.OnRetire(w.onRetire[i])
		}
	}
}

// do takes the step in both worlds.
func (w *groupWorld) do(s groupStep) {
	u := &w.model[s.unit]
	switch s.kind {
	case stepAdd:
		w.groups[u.parent-outer].Add(w.completed[s.unit])
		u.member = true
		if u.resolved {
			w.told(u.parent, u.err)
		} else if w.model[u.parent].cancelled {
			w.cancel(s.unit)
		}
	case stepEnd:
		switch u.ending {
		case endOK:
			w.kids[s.unit].Finish(1, nil)
			u.released = true
			w.resolve(s.unit, nil)
		case endFail:
			w.kids[s.unit].Finish(0, w.errs[s.unit])
			u.released = true
			w.resolve(s.unit, w.errs[s.unit])
		case endCancel, endYield:
			w.kids[s.unit].Cancel()
			w.cancel(s.unit)
		}
	case stepRetire:
		w.kids[s.unit].Finish(1, nil)
		u.released = true
		w.resolve(s.unit, nil) // no-op: it was cancelled
	case stepBuild:
		w.groups[s.unit-outer].Build()
		u.built = true
		w.told(s.unit, nil)
	case stepCancel:
		w.groups[s.unit-outer].Cancel()
		w.cancel(s.unit)
	}
}

func (w *groupWorld) resolve(i int, err error) {
	u := &w.model[i]
	if u.resolved {
		return
	}
	u.resolved, u.err = true, err
	if u.member {
		w.told(u.parent, err)
	}
}

// told gives group g the outcome of a child, or of its builder, and resolves it if that was the last.
func (w *groupWorld) told(g int, err error) {
	u := &w.model[g]
	if u.first == nil {
		u.first = err
	}
	for i := range w.model {
		if m := &w.model[i]; m.member && m.parent == g && !m.resolved {
			return
		}
	}
	if u.built {
		w.resolve(g, u.first)
	}
}

func (w *groupWorld) cancel(i int) {
	u := &w.model[i]
	if i < outer {
		u.released = u.released || u.ending == endYield
		w.resolve(i, ErrCancelled)
		return
	}
	if u.resolved {
		return
	}
	u.cancelled = true
	for k := range w.model {
		if m := &w.model[k]; m.member && m.parent == i && !m.resolved {
			w.cancel(k)
		}
	}
}

func (w *groupWorld) retired(i int) bool {
	u := &w.model[i]
	if i < outer {
		return u.resolved && u.released
	}
	for k := range w.model {
		if m := &w.model[k]; m.member && m.parent == i && !w.retired(k) {
			return false
		}
	}
	return u.resolved
}

// check compares every unit with its model.
func (w *groupWorld) check() error {
	for i, c := range w.completed {
		if c == nil {
			continue
		}
		u := &w.model[i]
		retired := w.retired(i)
		calls, retires := 0, 0
		if u.resolved {
			calls = 1
		}
		if retired {
			retires = 1
		}
		if c.Done() != u.resolved || c.Err() != u.err || c.Retired() != retired {
			return fmt.Errorf("unit %d is %v, %v, retired %v; want resolved %v, %v, retired %v", i, c.State(), c.Err(),
				c.Retired(), u.resolved, u.err, retired)
		}
		if w.calls[i] != calls || w.retires[i] != retires {
			return fmt.Errorf("unit %d: %d callbacks, %d retirement callbacks", i, w.calls[i], w.retires[i])
		}
		linked := u.member && !u.resolved && !w.model[max(0, u.parent)].cancelled
		if c.linked != linked || !linked && (c.prev != nil || c.next != nil) || retired && c.group != nil {
			return fmt.Errorf("unit %d: linked %v, neighbours %v %v, group %v", i, c.linked, c.prev, c.next, c.group)
		}
	}
	return nil
}

// reset puts everything back, which panics if something is not retired.
func (w *groupWorld) reset() error {
	for i := range w.used {
		w.kids[i].Reset()
	}
	for i := range w.groups {
		if w.groups[i].started {
			w.groups[i].Reset()
		}
		if w.groups[i].first != nil || w.groups[i].started || !w.groups[i].done.Idle() {
			return fmt.Errorf("group %d is not idle after Reset", i)
		}
	}
	return nil
}

// enumerate runs every order of steps in which each is behind those that must come before it.
func enumerate(steps []groupStep, before func(a, b groupStep) bool, run func(order []groupStep)) {
	order := make([]groupStep, 0, len(steps))
	var next func(used uint)
	next = func(used uint) {
		if len(order) == len(steps) {
			run(order)
			return
		}
	candidates:
		for i, s := range steps {
			if used&(1<<i) != 0 {
				continue
			}
			for k, earlier := range steps {
				if used&(1<<k) == 0 && k != i && before(earlier, s) {
					continue candidates
				}
			}
			order = append(order, s)
			next(used | 1<<i)
			order = order[:len(order)-1]
		}
	}
	next(0)
}

// groupPlan is one family of enumerations.
type groupPlan struct {
	name         string
	parents      []int // of the children
	endings      []ending
	cancels      []int // groups that get cancelled at some point
	lateRetire   bool  // the retirement of cancelled I/O is a step too, else it comes last
	sameChildren bool  // children are alike: endings in ascending order cover all
}

func (p groupPlan) run(t *testing.T) (runs int) {
	endings := make([]ending, len(p.parents))
	var choose func(i int)
	choose = func(i int) {
		if i < len(endings) {
			for _, end := range p.endings {
				if p.sameChildren && i > 0 && end < endings[i-1] {
					continue
				}
				endings[i] = end
				choose(i + 1)
			}
			return
		}
		runs += p.orders(t, endings)
	}
	choose(0)
	return runs
}

func (p groupPlan) orders(t *testing.T, endings []ending) (runs int) {
	steps := []groupStep{{stepBuild, outer}}
	var last []groupStep
	nested := false
	for i, parent := range p.parents {
		steps = append(steps, groupStep{stepAdd, i}, groupStep{stepEnd, i})
		nested = nested || parent == inner
		if retire := (groupStep{stepRetire, i}); endings[i] == endCancel && p.lateRetire {
			steps = append(steps, retire)
		} else if endings[i] == endCancel {
			last = append(last, retire)
		}
	}
	if nested {
		steps = append(steps, groupStep{stepAdd, inner}, groupStep{stepBuild, inner})
	}
	for _, g := range p.cancels {
		steps = append(steps, groupStep{stepCancel, g})
	}
	parentOf := func(unit int) int {
		if unit == inner {
			return outer
		}
		return p.parents[unit]
	}
	before := func(a, b groupStep) bool {
		return a.kind == stepAdd && b.kind == stepBuild && parentOf(a.unit) == b.unit ||
			a.kind == stepEnd && b.kind == stepRetire && a.unit == b.unit
	}
	w := newGroupWorld()
	enumerate(steps, before, func(order []groupStep) {
		runs++
		if t.Failed() {
			return
		}
		w.start(endings, p.parents)
		fail := func(done []groupStep, err error) {
			t.Errorf("endings %v, after %v: %v", endings, strings.Trim(fmt.Sprint(done), "[]"), err)
		}
		for i, s := range order {
			w.do(s)
			if err := w.check(); err != nil {
				fail(order[:i+1], err)
				return
			}
		}
		for _, s := range last {
			w.do(s)
		}
		if err := w.check(); err != nil {
			fail(append(order, last...), err)
			return
		}
		if !w.retired(outer) {
			fail(order, errors.New("the model did not finish"))
			return
		}
		if err := w.reset(); err != nil {
			fail(order, err)
		}
	})
	return runs
}

func TestGroupInterleavings(t *testing.T) {
	all := []ending{endOK, endFail, endCancel, endYield}
	for _, p := range []groupPlan{
		{name: "empty", cancels: []int{outer}},
		{name: "one", parents: []int{outer}, endings: all, cancels: []int{outer}, lateRetire: true},
		{name: "two", parents: []int{outer, outer}, endings: all, cancels: []int{outer}, lateRetire: true,
			sameChildren: true},
		{name: "three", parents: []int{outer, outer, outer}, endings: all, sameChildren: true},
		{name: "three, cancelled", parents: []int{outer, outer, outer}, endings: []ending{endOK, endFail, endYield},
			cancels: []int{outer}, sameChildren: true},
		{name: "nested", parents: []int{outer, inner}, endings: []ending{endOK, endFail}, cancels: []int{outer}},
		{name: "nested, cancelled twice", parents: []int{inner}, endings: all, cancels: []int{outer, inner},
			lateRetire: true},
		{name: "nested pair", parents: []int{inner, inner}, endings: []ending{endOK, endFail, endCancel}, sameChildren: true,
			cancels: []int{inner}},
	} {
		t.Run(p.name, func(t *testing.T) {
			var runs int
			if len(p.parents) == 0 {
				runs = p.orders(t, nil)
			} else {
				runs = p.run(t)
			}
			if runs < 2 {
				t.Errorf("only %d orders", runs)
			}
			t.Logf("%d orders", runs)
		})
	}
}

// The same steps, each on a goroutine of its own; what must hold at the end is checked.
func TestGroupStress(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var g, nested CompletionGroup
	var kids [8]Completion
	for round := range 1500 {
		cause := fmt.Errorf("round %d", round)
		cancel, fail := rng.IntN(3) == 0, rng.IntN(3) == 0
		var calls, retires, unretired atomic.Int32
		g.Start("outer")
		nested.Start("inner")
		g.Completion().OnDone(func(*Completion) { calls.Add(1) })
		g.Completion().OnRetire(func(*Completion) {
			retires.Add(1)
			for i := range kids {
				if !kids[i].Retired() {
					unretired.Add(1)
				}
			}
		})
		var wg sync.WaitGroup
		for i := range kids {
			kids[i].ArmSubmitted(KindRead, "x")
			wg.Go(func() {
				if fail && i == 3 {
					kids[i].Finish(0, cause)
				} else {
					kids[i].Finish(1, nil)
				}
			})
		}
		if cancel {
			wg.Go(g.Cancel)
			wg.Go(func() { kids[5].Cancel() })
		}
		wg.Go(func() {
			g.Add(nested.Completion())
			for i := range 4 {
				g.Add(&kids[i])
			}
			g.Build()
		})
		wg.Go(func() {
			for i := 4; i < 8; i++ {
				nested.Add(&kids[i])
			}
			nested.Build()
		})
		if err := g.Completion().Park(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if !cancel {
			// Nobody but the children holds the group: a woken owner finds all retired.
			g.Reset()
			nested.Reset()
			for i := range kids {
				kids[i].Reset()
			}
			wg.Wait()
		} else {
			wg.Wait()
			err := g.Completion().Err()
			if err != nil && err != cause && err != ErrCancelled {
				t.Fatalf("round %d: %v", round, err)
			}
			for i := range kids {
				if kids[i].linked || kids[i].group != nil {
					t.Fatalf("round %d: child %d is still linked", round, i)
				}
				kids[i].Reset()
			}
			g.Reset()
			nested.Reset()
		}
		if calls.Load() != 1 || retires.Load() != 1 || unretired.Load() != 0 {
			t.Fatalf("round %d: %d callbacks, %d retirements, %d children not retired then", round, calls.Load(), retires.Load(),
				unretired.Load())
		}
	}
}

// A group's Cancel beside Add: the child is cancelled whoever comes first.
func TestGroupCancelBesideAdd(t *testing.T) {
	for round := range 2000 {
		var g CompletionGroup
		var c Completion
		g.Start("x")
		c.ArmSubmitted(KindRead, "f")
		var wg sync.WaitGroup
		wg.Go(g.Cancel)
		if round%2 == 0 {
			runtime.Gosched()
		}
		g.Add(&c)
		wg.Wait()
		if c.State() != Cancelled {
			t.Fatalf("round %d: child is %v", round, c.State())
		}
		c.Finish(0, nil)
		g.Build()
		if g.Completion().State() != Cancelled || !g.Completion().Retired() {
			t.Fatalf("round %d: group is %v", round, g.Completion().State())
		}
	}
}

// The retirement callback of a group may reset its children and start over, on the goroutine that finished the last.
func TestGroupRestartInRetire(t *testing.T) {
	var g CompletionGroup
	var kids [3]Completion
	rounds := 0
	var start func()
	start = func() {
		rounds++
		g.Start("again")
		for i := range kids {
			kids[i].ArmSubmitted(KindRead, "x")
			g.Add(&kids[i])
		}
		g.Completion().OnRetire(func(*Completion) {
			for i := range kids {
				kids[i].Reset()
			}
			g.Reset()
			if rounds < 5 {
				start()
			}
		})
		g.Build()
		for i := range kids {
			kids[i].Finish(1, nil)
		}
	}
	start()
	if rounds != 5 || !g.Completion().Idle() {
		t.Errorf("%d rounds, group is %v", rounds, g.Completion().State())
	}
}

func TestGroupMisuse(t *testing.T) {
	var g, other CompletionGroup
	var c Completion
	c.ArmYield("x")
	mustPanic(t, "Add before Start", func() { g.Add(&c) })
	mustPanic(t, "Build before Start", g.Build)
	g.Start("g")
	other.Start("other")
	mustPanic(t, "second Start", func() { g.Start("g") })
	mustPanic(t, "Add to itself", func() { g.Add(g.Completion()) })
	mustPanic(t, "Cancel of a group's completion", func() { g.Completion().Cancel() })
	g.Add(&c)
	mustPanic(t, "second parent", func() { other.Add(&c) })
	g.Build()
	mustPanic(t, "second Build", g.Build)
	mustPanic(t, "Add after Build", func() { g.Add(&Completion{}) })
	mustPanic(t, "Reset with a child pending", g.Reset)
	c.Finish(0, nil)
	g.Reset()
	if !g.Completion().Idle() {
		t.Errorf("after Reset: %v", g.Completion().State())
	}
}

func TestGroupAllocs(t *testing.T) {
	var g CompletionGroup
	var kids [4]Completion
	if n := testing.AllocsPerRun(1000, func() {
		g.Start("x")
		for i := range kids {
			kids[i].ArmSubmitted(KindRead, "f")
			g.Add(&kids[i])
		}
		g.Build()
		for i := range kids {
			kids[i].Finish(1, nil)
		}
		g.Reset()
		for i := range kids {
			kids[i].Reset()
		}
	}); n != 0 {
		t.Errorf("a life allocates %v times", n)
	}
}
