package shrink

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/testing/simulator/plan"
)

// find returns the operation of an id.
func find(p *plan.Plan, id int) *plan.Op {
	for e := range p.Eras {
		for c := range p.Eras[e].Clients {
			for t := range p.Eras[e].Clients[c].Tasks {
				ops := p.Eras[e].Clients[c].Tasks[t].Ops
				for o := range ops {
					if ops[o].ID == id {
						return &ops[o]
					}
				}
			}
		}
	}
	return nil
}

// What a failure needs stays, the rest goes; another failure is not taken for it.
func TestPlan(t *testing.T) {
	big, err := plan.Draw(7, plan.Crowd)
	require.NoError(t, err)
	first := big.Eras[0].Clients[0].Tasks[0]
	last := big.Eras[len(big.Eras)-1].Clients
	var a, b int
	for _, task := range append(last[len(last)-1].Tasks, first) {
		if len(task.Ops) > 0 {
			a, b = b, task.Ops[len(task.Ops)-1].ID
		}
	}
	require.NotEqual(t, a, b)
	runs := 0
	run := func(p *plan.Plan) error {
		runs++
		switch {
		case find(p, a) != nil && find(p, b) != nil:
			return fmt.Errorf("commit %d is lost", runs)
		case len(p.Eras) == 0:
			return errors.New("there is nothing to do")
		}
		return nil
	}
	small, tried := Plan(big, run, time.Now().Add(time.Minute))
	require.Equal(t, runs-1, tried)
	require.NotNil(t, find(small, a))
	require.NotNil(t, find(small, b))
	ops := 0
	for _, e := range small.Eras {
		require.Empty(t, e.Faults)
		for _, c := range e.Clients {
			for _, task := range c.Tasks {
				ops += len(task.Ops)
			}
		}
	}
	require.Equal(t, 2, ops)
	require.NotNil(t, find(big, a), "the plan itself is left alone")
	require.Greater(t, size(big), 10*size(small))
}

// A plan that fails no more is returned as it is.
func TestCleanPlan(t *testing.T) {
	p, err := plan.Draw(7, plan.Healthy)
	require.NoError(t, err)
	small, tried := Plan(p, func(*plan.Plan) error { return nil }, time.Now().Add(time.Minute))
	require.Same(t, p, small)
	require.Equal(t, 1, tried)
}

// It ends when its time is over.
func TestTime(t *testing.T) {
	p, err := plan.Draw(7, plan.Healthy)
	require.NoError(t, err)
	small, tried := Plan(p, func(*plan.Plan) error { return errors.New("always") }, time.Now())
	require.Equal(t, p, small)
	require.Zero(t, tried)
}
