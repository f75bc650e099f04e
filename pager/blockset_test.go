package pager

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pawldb/pawl/types"
)

// blocksetPanics reports whether fn panics.
func blocksetPanics(fn func()) (did bool) {
	defer func() { did = recover() != nil }()
	fn()
	return false
}

func TestBlockSetSharing(t *testing.T) {
	per := geometryOf(512).chunk
	e := newBlockSet(512).edit()
	e.resize(3*per + 70)
	e.set(types.Run{First: per - 2, Count: 5}) // over a chunk's end
	e.set(types.Run{First: 3*per + 60, Count: 10})
	a := e.freeze()
	a.check()
	if a.count() != 15 || a.blocks() != 3*per+70 {
		t.Fatalf("%d blocks in the set, file of %d", a.count(), a.blocks())
	}
	for b, want := range map[types.Block]bool{
		per - 3: false, per - 2: true, per + 2: true, per + 3: false,
		3*per + 59: false, 3*per + 69: true, 3*per + 70: false, 1 << 50: false,
	} {
		if a.has(b) != want {
			t.Errorf("has(%d) = %v", b, !want)
		}
	}

	e = a.edit()
	e.clear(types.Run{First: per, Count: 3})
	b := e.freeze()
	if got := changedChunks(a, b); !slices.Equal(got, []int{1}) {
		t.Errorf("changed chunks %v, [1] expected", got)
	}
	if !a.has(per) || b.has(per) || b.count() != 12 {
		t.Error("an edit changed the set that it started from, or not its own")
	}

	// A longer last chunk differs although no bit does; new chunks differ.
	e = b.edit()
	e.resize(5 * per)
	c := e.freeze()
	c.check()
	if got := changedChunks(b, c); !slices.Equal(got, []int{3, 4}) {
		t.Errorf("changed chunks %v, [3 4] expected", got)
	}
	if got := changedChunks(c, b); !slices.Equal(got, []int{3, 4}) {
		t.Errorf("changed chunks %v, [3 4] expected", got)
	}
	e = c.edit()
	e.clear(types.Run{First: 3*per + 60, Count: 10})
	e.resize(per + 10)
	d := e.freeze()
	d.check()
	if d.blocks() != per+10 || d.count() != 2 || c.count() != 12 {
		t.Errorf("cut set has %d of %d blocks", d.count(), d.blocks())
	}
}

func TestBlockSetMisuse(t *testing.T) {
	base := newBlockSet(512).edit()
	base.resize(5000)
	base.set(types.Run{First: 10, Count: 10})
	set := base.freeze()
	for name, fn := range map[string]func(e *blockSetEdit){
		"set twice":       func(e *blockSetEdit) { e.set(types.Run{First: 19, Count: 2}) },
		"clear unset":     func(e *blockSetEdit) { e.clear(types.Run{First: 19, Count: 2}) },
		"set behind file": func(e *blockSetEdit) { e.set(types.Run{First: 4999, Count: 2}) },
		"set nothing":     func(e *blockSetEdit) { e.set(types.Run{First: 30}) },
		"cut used":        func(e *blockSetEdit) { e.resize(15) },
		"cut used chunk":  func(e *blockSetEdit) { e.resize(0) },
		"set when frozen": func(e *blockSetEdit) { e.freeze(); e.set(types.Run{First: 30, Count: 1}) },
	} {
		if !blocksetPanics(func() { fn(set.edit()) }) {
			t.Errorf("%s: no panic", name)
		}
	}
	set.check()
	if set.count() != 10 {
		t.Errorf("misuse changed the set: %d blocks", set.count())
	}
}

func TestBlockSetModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	model := map[types.Block]bool{}
	set := newBlockSet(512)
	for round := range 200 {
		e := set.edit()
		length := types.Block(r.IntN(12000))
		for b := range model {
			if b >= length {
				e.clear(types.Run{First: b, Count: 1})
				delete(model, b)
			}
		}
		e.resize(length)
		for range 20 {
			if length == 0 {
				break
			}
			b := types.Block(r.Int64N(int64(length)))
			if model[b] {
				e.clear(types.Run{First: b, Count: 1})
				delete(model, b)
			} else {
				e.set(types.Run{First: b, Count: 1})
				model[b] = true
			}
		}
		set = e.freeze()
		set.check()
		if set.count() != uint64(len(model)) {
			t.Fatalf("round %d: %d blocks, %d expected", round, set.count(), len(model))
		}
		for b := types.Block(0); b < 12000; b += types.Block(1 + r.IntN(20)) {
			if set.has(b) != model[b] {
				t.Fatalf("round %d: has(%d) = %v", round, b, !model[b])
			}
		}
	}
}

func TestBlockSetBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	words := make([]uint64, 4)
	for range 2000 {
		for i := range words {
			words[i] = r.Uint64() & r.Uint64()
			if r.IntN(3) == 0 {
				words[i] = ^uint64(0) * uint64(r.IntN(2))
			}
		}
		from := r.IntN(257)
		to := from + r.IntN(257-from)
		set, clear, last, n := to, to, from-1, 0
		for i := to - 1; i >= from; i-- {
			if words[i/64]>>(i%64)&1 != 0 {
				set, n, last = i, n+1, max(last, i)
			} else {
				clear = i
			}
		}
		if got := nextSet(words, from, to); got != set {
			t.Fatalf("nextSet(%x, %d, %d) = %d, %d expected", words, from, to, got, set)
		}
		if got := nextClear(words, from, to); got != clear {
			t.Fatalf("nextClear(%x, %d, %d) = %d, %d expected", words, from, to, got, clear)
		}
		if got := lastSet(words, from, to); got != last {
			t.Fatalf("lastSet(%x, %d, %d) = %d, %d expected", words, from, to, got, last)
		}
		if got := countBits(words, from, to); got != n {
			t.Fatalf("countBits(%x, %d, %d) = %d, %d expected", words, from, to, got, n)
		}
		all := onesIn(words)
		fillBits(words, from, to)
		if got := onesIn(words); got != all-n+to-from {
			t.Fatalf("fillBits(%d, %d) leaves %d bits of %d", from, to, got, all)
		}
		wipeBits(words, from, to)
		if got := onesIn(words); got != all-n {
			t.Fatalf("wipeBits(%d, %d) leaves %d bits of %d", from, to, got, all)
		}
	}
}
