package types

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pawldb/pawl/io"
)

// turnWorld is a turn with three tickets, a, b and c.
type turnWorld struct {
	turn    Turn
	tickets [3]TurnTicket
	waits   [3]*io.Completion
}

func (w *turnWorld) do(t *testing.T, action string) {
	t.Helper()
	verb, who, _ := strings.Cut(action, " ")
	i := int(who[0] - 'a')
	k := &w.tickets[i]
	switch verb {
	case "acquire":
		w.waits[i] = w.turn.Acquire(k, "the turn")
	case "release", "abandon":
		w.turn.Release(k)
		w.waits[i] = nil
	default:
		t.Fatalf("unknown action %q", action)
	}
}

// state shows who holds the turn and who waits; a ! marks one who has been told to ask again.
func (w *turnWorld) state() string {
	var holder, waiting string
	for i := range w.tickets {
		name := string(rune('a' + i))
		if w.turn.Held(&w.tickets[i]) {
			holder = name
		}
		if c := w.waits[i]; c != nil {
			if c.Done() {
				name += "!"
			}
			waiting += name
		}
	}
	return fmt.Sprintf("%s/%s/%d", holder, waiting, w.turn.Queued())
}

func TestTurn(t *testing.T) {
	for script, want := range map[string]string{
		"acquire a": "a//0",
		"acquire a, acquire a, acquire b, acquire b":            "a/b/1",
		"acquire a, acquire b, acquire c, release a":            "b/b!c/1",
		"acquire a, acquire b, release a, acquire b":            "b//0",
		"acquire a, acquire c, acquire b, release a":            "c/bc!/1",
		"acquire a, acquire b, acquire c, abandon b, release a": "c/c!/0",
		"acquire a, acquire b, acquire c, abandon c, release a": "b/b!/0",
		"acquire a, acquire b, acquire c, abandon a":            "b/b!c/1",
		// Told, but gone before it asked again: the turn goes on to the next.
		"acquire a, acquire b, acquire c, release a, abandon b":                                  "c/c!/0",
		"acquire a, acquire b, release a, abandon b, acquire c":                                  "c//0",
		"acquire a, abandon a, abandon a, abandon b":                                             "//0",
		"acquire a, acquire b, acquire c, abandon b, acquire b, release a, acquire c, release c": "b/b!/0",
		"acquire a, acquire b, abandon b, release a":                                             "//0",
	} {
		w := &turnWorld{}
		for _, action := range strings.Split(script, ", ") {
			w.do(t, action)
		}
		if got := w.state(); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
}

func TestTurnNamesWhatIsWaitedFor(t *testing.T) {
	var tn Turn
	var a, b TurnTicket
	tn.Acquire(&a, "the first")
	if c := tn.Acquire(&b, "the second"); c.Reason() != "the second" || c.Kind() != io.KindYield {
		t.Errorf("%v for %q", c.Kind(), c.Reason())
	}
}

// Every goroutine gets through, one at a time; a lost wake-up would leave one parked for good.
func TestTurnStress(t *testing.T) {
	var tn Turn
	var inside, total int
	var group sync.WaitGroup
	for g := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			var k TurnTicket
			for i := range 400 {
				c := tn.Acquire(&k, "the turn")
				if c != nil && (i+g)%7 == 0 {
					tn.Release(&k)
					continue
				}
				for c != nil {
					if (i+g)%3 != 0 { // the others poll: they may be gone before their wake-up is through
						if err := c.Park(context.Background(), nil); err != nil {
							t.Error(err)
						}
					}
					c = tn.Acquire(&k, "the turn")
				}
				inside++
				if inside != 1 {
					t.Errorf("%d hold the turn", inside)
				}
				total++
				inside--
				tn.Release(&k)
			}
		}()
	}
	group.Wait()
	if tn.Queued() != 0 || total == 0 {
		t.Errorf("%d in the queue, %d turns", tn.Queued(), total)
	}
}
