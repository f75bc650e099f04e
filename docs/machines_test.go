package docs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// buffers is a free list.
type buffers struct{ free [][]byte }

func (b *buffers) get(n int) []byte {
	if k := len(b.free) - 1; k >= 0 {
		buf := b.free[k]
		b.free = b.free[:k]
		return buf[:n]
	}
	return make([]byte, n)
}

func (b *buffers) put(bufs ...[]byte) { b.free = append(b.free, bufs...) }

type pairState uint8

const (
	pairSubmit pairState = iota // work: submit both reads
	pairAwait                   // await: both have been read
	pairEnded                   // end
)

// readPair is a machine that reads two records side by side.
//
//	submit --> await --both read--> ended
type readPair struct {
	file    io.File
	offsets [2]int64
	size    int
	buffers *buffers

	state pairState
	reads [2]io.Completion
	bufs  [2][]byte
	group io.CompletionGroup
}

// Step ends with the records.
func (r *readPair) Step() (types.IOResult[[2]string], error) {
	for {
		switch r.state {
		case pairSubmit:
			r.group.Start("two records")
			for i := range r.reads {
				r.bufs[i] = r.buffers.get(r.size)
				r.group.Add(&r.reads[i])
				r.file.Read(&r.reads[i], r.bufs[i], r.offsets[i])
			}
			r.group.Build()
			r.state = pairAwait

		case pairAwait:
			both := r.group.Completion()
			if !both.Done() {
				return types.Wait[[2]string](both)
			}
			if err := both.Err(); err != nil {
				return types.Fail[[2]string](r.Abort(err))
			}
			pair := [2]string{string(r.bufs[0]), string(r.bufs[1])}
			r.buffers.put(r.bufs[:]...)
			r.state = pairEnded
			return types.Done(pair)

		default:
			panic("readPair stepped behind its end")
		}
	}
}

// Abort gives the reads up. Each buffer goes back when nothing can write into it any more.
func (r *readPair) Abort(cause error) error {
	if r.state == pairAwait {
		r.group.Cancel()
		r.group.Completion().OnRetire(func(*io.Completion) { r.buffers.put(r.bufs[:]...) })
	}
	r.state = pairEnded
	return cause
}

type moveState uint8

const (
	moveTurn  moveState = iota // await: nobody else changes the ledger
	moveRead                   // await: the records
	moveApply                  // work
	moveEnded                  // end
)

// ledger is what is changed: amounts by name. Its turn belongs to one change at a time.
type ledger struct {
	turn    types.Turn
	amounts map[string]int
}

// move is a machine that moves one unit between the accounts that two records name.
//
//	turn --> read --> apply --> ended
//	\--- gather ---/
type move struct {
	ledger *ledger
	names  readPair

	state  moveState
	ticket types.TurnTicket
	pair   [2]string
}

// Step ends when the unit has moved.
func (m *move) Step() (types.IOResult[struct{}], error) {
	for {
		switch m.state {
		case moveTurn:
			if c := m.ledger.turn.Acquire(&m.ticket, "the ledger"); c != nil {
				return types.Wait[struct{}](c)
			}
			m.state = moveRead

		case moveRead:
			res, err := m.names.Step()
			if err != nil {
				return types.Fail[struct{}](m.Abort(err))
			}
			if res.Pending != nil {
				return types.Wait[struct{}](res.Pending)
			}
			m.pair, m.state = res.Value, moveApply

		case moveApply: // from here to the end nothing waits, and nothing fails
			m.ledger.amounts[m.pair[0]]--
			m.ledger.amounts[m.pair[1]]++
			m.ledger.turn.Release(&m.ticket)
			m.state = moveEnded
			return types.Done(struct{}{})

		default:
			panic("move stepped behind its end")
		}
	}
}

// Abort leaves the ledger as it was.
func (m *move) Abort(cause error) error {
	if m.state == moveRead {
		cause = m.names.Abort(cause)
	}
	m.ledger.turn.Release(&m.ticket) // of a holder, of a waiter, or of neither
	m.state = moveEnded
	return cause
}

// drive steps a machine to its end. The goroutine that waits lends its thread to the I/O.
func drive[T any](ctx context.Context, loop io.IO, s types.Stepper[T]) (none T, err error) {
	m := types.NewStateMachine(s)
	for {
		res, err := m.Step() // of a completion that has failed it makes an Abort
		if err != nil || res.Pending == nil {
			return res.Value, err
		}
		if err := loop.Wait(ctx, res.Pending); err != nil {
			return none, m.Abort(err)
		}
	}
}

// driveAll steps many machines on one goroutine: all that can go on, then a wait for one of those that can't.
func driveAll[T any](ctx context.Context, loop io.IO, all []types.Stepper[T], done func(i int, value T, err error)) {
	machines := make([]types.StateMachine[T], len(all))
	for i, s := range all {
		machines[i] = types.NewStateMachine(s)
	}
	for {
		var pending *io.Completion
		for i := range machines {
			if machines[i].Ended() {
				continue
			}
			res, err := machines[i].Step()
			if err != nil || res.Pending == nil {
				done(i, res.Value, err)
			} else if pending == nil || !res.Pending.Done() {
				pending = res.Pending
			}
		}
		if pending == nil {
			return
		}
		if err := loop.Wait(ctx, pending); err != nil {
			for i := range machines {
				if err := machines[i].Abort(err); err != nil {
					var none T
					done(i, none, err)
				}
			}
			return
		}
	}
}

// openRecords returns an open file that holds content.
func openRecords(disk *io.Memory, content string) io.File {
	disk.SetBytes("records", []byte(content))
	var c io.Completion
	o := io.Opening{Path: "records"}
	disk.SetManual(false)
	disk.Open(&c, &o)
	if err := c.Err(); err != nil {
		log.Fatal(err)
	}
	return o.File
}

// Three machines on one goroutine, two of which change the same ledger.
func Example_machines() {
	disk := io.NewMemory()
	file := openRecords(disk, "adaboblea")
	books := &ledger{amounts: map[string]int{}}
	from := func(a, b int64) types.Stepper[struct{}] {
		return &move{ledger: books, names: readPair{file: file, offsets: [2]int64{a, b}, size: 3, buffers: new(buffers)}}
	}
	_, err := drive(context.Background(), disk, from(0, 3))
	fmt.Println(books.amounts, err)
	all := []types.Stepper[struct{}]{from(0, 6), from(3, 6), from(6, 7)}
	driveAll(context.Background(), disk, all, func(i int, _ struct{}, err error) { fmt.Println(i, err) })
	fmt.Println(books.amounts)
	// Output:
	// map[ada:-1 bob:1] <nil>
	// 0 <nil>
	// 1 <nil>
	// 2 read records at 7, 3 bytes: io: read past the end of the file
	// map[ada:-2 bob:0 lea:2]
}

// The rules, each held against the machine.
func TestMachineKeepsTheRules(t *testing.T) {
	disk := io.NewMemory()
	file := openRecords(disk, "adabob")
	disk.SetManual(true)
	free := new(buffers)
	books := &ledger{amounts: map[string]int{}}
	m := move{ledger: books, names: readPair{file: file, offsets: [2]int64{0, 3}, size: 3, buffers: free}}

	first, err := m.Step()
	require.NoError(t, err)
	again, err := m.Step() // early: the same completion, and no second submission
	require.NoError(t, err)
	require.Same(t, first.Pending, again.Pending)
	require.Len(t, disk.Queue(), 2)

	disk.Queue()[0].Start() // a read that can't be stopped any more
	gaveUp := errors.New("gave up")
	require.Equal(t, gaveUp, m.Abort(gaveUp))
	require.Empty(t, books.amounts)
	require.True(t, first.Pending.Done())
	require.Empty(t, free.free, "the kernel may still write into a buffer")

	var other types.TurnTicket
	require.Nil(t, books.turn.Acquire(&other, "a test"), "Abort gave the turn back")

	disk.Queue()[0].Complete()
	require.True(t, first.Pending.Retired())
	require.Len(t, free.free, 2)
}
