package cover

import (
	"fmt"
	"strings"
)

// Event is something that can happen to a machine in a state.
type Event uint8

// The events.
const (
	Waited       Event = iota // it was waited for
	SteppedEarly              // it was stepped before that was over
	Abandoned                 // its operation was aborted
	Cancelled                 // the I/O was cancelled
	Failed                    // the I/O failed
	Cut                       // the power failed
	Events

	OnIO = Events // an I/O that it had submitted ended
)

var eventNames = [Events]string{"yielded", "early", "abandoned", "cancelled", "failed", "cut"}

// String returns the event's name.
func (e Event) String() string { return eventNames[e] }

// String names the state as the universe does.
func (s State) String() string {
	for _, u := range Universe {
		if u.State == s {
			return strings.TrimSpace(s.Type + " " + u.Name)
		}
	}
	return fmt.Sprintf("%s %d", s.Type, s.Value)
}

// Table counts events by state. A nil Table counts nothing.
type Table map[State]*[Events + 1]int

// Add counts an event in states.
func (t Table) Add(e Event, states []State) {
	if t == nil {
		return
	}
	for _, s := range states {
		n := t[s]
		if n == nil {
			n = new([Events + 1]int)
			t[s] = n
		}
		n[e]++
	}
}

// Merge adds the counts of another table.
func (t Table) Merge(other Table) {
	for s, n := range other {
		have := t[s]
		if have == nil {
			have = new([Events + 1]int)
			t[s] = have
		}
		for e := range n {
			have[e] += n[e]
		}
	}
}

// String returns the table, with a line for each state of the universe.
func (t Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-44s", "state")
	for e := range Events {
		fmt.Fprintf(&b, "%11s", e)
	}
	b.WriteByte('\n')
	for _, s := range Universe {
		fmt.Fprintf(&b, "%-44s", s.State)
		n := t[s.State]
		for e := range Events {
			switch {
			case n != nil && n[e] > 0:
				fmt.Fprintf(&b, "%11d", n[e])
			case t.Gap(s.State, e):
				fmt.Fprintf(&b, "%11s", "gap")
			default:
				fmt.Fprintf(&b, "%11s", "-")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Gap reports whether a state has not met an event that it could meet: one in which no I/O of its own is under way can't have one
// cancelled, nor fail.
func (t Table) Gap(s State, e Event) bool {
	n := t[s]
	return n == nil || n[e] == 0 && (n[OnIO] > 0 || e != Cancelled && e != Failed)
}

// Gap is an event that a state has not met.
type Gap struct {
	State State
	Event Event
}

// String tells the gap in a line.
func (g Gap) String() string { return fmt.Sprintf("%s: never %s", g.State, g.Event) }

// Gaps returns what is missing.
func (t Table) Gaps() (list []Gap) {
	for _, s := range Universe {
		for e := range Events {
			if t.Gap(s.State, e) {
				list = append(list, Gap{s.State, e})
			}
		}
	}
	return list
}
