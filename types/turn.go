package types

import (
	"sync"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
)

// Turn is a lock whose holder may wait for I/O: the writer's turn, the one checkpoint, the length of a file. It is handed
// on in the order in which it was asked for. The zero Turn is free.
type Turn struct {
	mu     sync.Mutex
	holder *TurnTicket
	first  *TurnTicket // waiting, oldest first
	last   *TurnTicket
	queued int
}

// TurnTicket is one claim on a Turn. It lies inside the operation that makes it; the zero value is ready.
//
//	idle --Acquire--> holding                       --Release--> idle
//	     \--Acquire--> waiting --granted, Acquire--> holding
//	                   waiting --Release--> idle (leaves the queue)
type TurnTicket struct {
	wake    *io.Completion // of this wait; a new one each time, since the one that grants may be slow to finish it
	next    *TurnTicket
	waiting bool
}

// Acquire returns nil when k holds the turn, else the completion to wait for before the next Acquire. Asking again while
// waiting, or holding, changes nothing. reason is what waiting operations report.
func (t *Turn) Acquire(k *TurnTicket, reason string) *io.Completion {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == k {
		return nil
	}
	if k.waiting {
		return k.wake
	}
	if t.holder == nil {
		t.holder = k
		return nil
	}
	k.wake = new(io.Completion)
	k.wake.ArmYield(reason)
	k.waiting, k.next = true, nil
	if t.last == nil {
		t.first = k
	} else {
		t.last.next = k
	}
	t.last = k
	t.queued++
	return k.wake
}

// Release gives back what Acquire got: a holder hands the turn to the first in the queue, a waiter leaves the queue. A
// ticket that is neither is left alone, so every path of an Abort may call it.
func (t *Turn) Release(k *TurnTicket) {
	t.mu.Lock()
	var wake *io.Completion
	switch {
	case t.holder == k:
		next := t.first
		t.holder = next
		if next != nil {
			t.first = next.next
			if t.first == nil {
				t.last = nil
			}
			next.next, next.waiting = nil, false
			t.queued--
			wake = next.wake // next may be waiting again, on another one, before this one is finished
		}
	case k.waiting:
		t.remove(k)
		t.mu.Unlock()
		k.wake.Cancel()
		return
	}
	t.mu.Unlock()
	if wake != nil {
		wake.Finish(0, nil)
	}
}

// remove takes a waiting ticket out of the queue. The caller holds t.mu.
func (t *Turn) remove(k *TurnTicket) {
	var before *TurnTicket
	at := t.first
	for at != k {
		if at == nil {
			panic(invariant.Failf("types: a waiting ticket is not in its turn's queue"))
		}
		before, at = at, at.next
	}
	if before == nil {
		t.first = k.next
	} else {
		before.next = k.next
	}
	if t.last == k {
		t.last = before
	}
	k.next, k.waiting = nil, false
	t.queued--
}

// Held reports whether k holds the turn.
func (t *Turn) Held(k *TurnTicket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holder == k
}

// Queued returns how many claims wait.
func (t *Turn) Queued() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queued
}
