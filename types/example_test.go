package types_test

import (
	"fmt"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// greeting waits for a name once, then greets it.
type greeting struct {
	arrived *io.Completion
	name    *string
}

func (g *greeting) Step() (types.IOResult[string], error) {
	if !g.arrived.Done() {
		return types.Wait[string](g.arrived)
	}
	return types.Done("hello, " + *g.name)
}

func (g *greeting) Abort(cause error) error {
	g.arrived.Cancel()
	return fmt.Errorf("greeting: %w", cause)
}

// A driver steps a machine, waits for what it returns, and steps again.
func ExampleStateMachine() {
	var arrived io.Completion
	arrived.ArmYield("the name")
	var name string
	m := types.NewStateMachine[string](&greeting{arrived: &arrived, name: &name})

	res, _ := m.Step()
	fmt.Println("waits for", res.Pending.Reason())

	name = "pawl"
	arrived.Finish(0, nil)

	res, err := m.Step()
	fmt.Println(res.Value, err, m.Ended())
	// Output:
	// waits for the name
	// hello, pawl <nil> true
}
