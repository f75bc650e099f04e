package pager

import (
	"errors"
	"testing"

	"github.com/pawldb/pawl/types"
)

func TestLoadIsShared(t *testing.T) {
	c := newCache(1 << 20)
	key := loadKey{id: 7, epoch: 3, serial: 2, offset: 4096}
	a, first := c.beginLoad(key)
	if !first || a.io == nil || a.over().Done() {
		t.Fatal("the first is not told to read")
	}
	b, again := c.beginLoad(key)
	if again || b != a || b.over() != a.over() {
		t.Error("the second does not share the read")
	}
	for _, other := range []loadKey{{id: 8, epoch: 3, serial: 2, offset: 4096}, {id: 7, offset: 4096}, {offset: 4096}} {
		l, first := c.beginLoad(other)
		if !first || l == a {
			t.Errorf("%+v shares a read with %+v", other, key)
		}
		c.leaveLoad(l)
	}
	c.leaveLoad(a)
	if a.over().Done() {
		t.Error("cancelled while someone waits")
	}
	a.io.Finish(512, nil)
	if !b.over().Done() || b.err() != nil {
		t.Errorf("over %v, %v", b.over().State(), b.err())
	}
	if l, first := c.beginLoad(key); first || l != b {
		t.Error("a finished read is not shared")
	}
	c.leaveLoad(b)
	c.leaveLoad(b)
	if l, first := c.beginLoad(key); !first || l == b {
		t.Error("a load that was left is joined")
	}
	if got := c.figures().Loads; got != 7 {
		t.Errorf("%d loads counted", got)
	}
}

func TestLoadCancelledByTheLast(t *testing.T) {
	c := newCache(1 << 20)
	key := loadKey{id: 7}
	l, _ := c.beginLoad(key)
	c.beginLoad(key)
	c.leaveLoad(l)
	if l.io.Done() {
		t.Fatal("cancelled by the first of two")
	}
	c.leaveLoad(l)
	if !l.io.Done() || l.err() == nil || len(c.loads) != 0 || len(c.byPage) != 0 {
		t.Errorf("%v, %v, %d loads left", l.io.State(), l.err(), len(c.loads))
	}
	defer func() {
		if recover() == nil {
			t.Error("left once too often without a panic")
		}
	}()
	c.leaveLoad(l)
}

func TestFailedLoadIsNotJoined(t *testing.T) {
	c := newCache(1 << 20)
	key := loadKey{id: 7}
	cause := errors.New("the disk says no")
	a, _ := c.beginLoad(key)
	a.io.Finish(0, cause)
	if a.over().Err() != nil || !errors.Is(a.err(), cause) {
		t.Errorf("over %v, read %v", a.over().Err(), a.err())
	}
	b, first := c.beginLoad(key)
	if !first || b == a {
		t.Fatal("a failed read is joined")
	}
	c.leaveLoad(a)
	if l, first := c.beginLoad(key); first || l != b {
		t.Error("leaving the failed load took the new one away")
	}
}

func TestLoadsOfAPageAreTracked(t *testing.T) {
	c := newCache(1 << 20)
	var loads []*load
	for i := range 3 {
		l, _ := c.beginLoad(loadKey{id: 7, offset: int64(i)})
		loads = append(loads, l)
	}
	c.leaveLoad(loads[1])
	c.publish(imageForTest(7, 9), false, []types.Seq{3})
	if !loads[0].superseded || loads[1].superseded || !loads[2].superseded {
		t.Error("not those that are under way are superseded")
	}
	c.leaveLoad(loads[2])
	c.leaveLoad(loads[0])
	if len(c.byPage) != 0 || len(c.loads) != 0 {
		t.Errorf("%d and %d loads left", len(c.byPage), len(c.loads))
	}
}
