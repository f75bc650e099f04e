package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pawldb/pawl/testing/simulator/cover"
	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/shrink"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// errFound is what a plan "fails" with that leads to the state that is looked for.
var errFound = errors.New("found")

// find looks for a world in which a machine waits in a state, makes its plan smaller, and leaves it in a file. It returns the exit
// code.
func (c *command) find() int {
	state, err := stateOf(c.state)
	if err != nil {
		return wrong(err)
	}
	leads := func(p *plan.Plan) error {
		t := cover.Table{}
		if res := world.Run(p, world.Options{Cover: t}); res.Err != nil {
			return res.Err
		}
		if n := t[state]; n != nil && n[cover.Waited] > 0 {
			return errFound
		}
		return nil
	}
	until := time.Now().Add(time.Duration(max(c.seconds, 60)) * time.Second)
	for n := uint64(0); time.Now().Before(until); n++ {
		p, _ := plan.Draw(c.seed+n, c.profile)
		if !errors.Is(leads(p), errFound) {
			continue
		}
		small, tried := shrink.Plan(p, leads, time.Now().Add(shrinkTime))
		text, err := json.Marshal(small)
		if err != nil {
			panic(err)
		}
		name := "found-" + strings.NewReplacer(".", "-", " ", "-").Replace(c.state) + ".json"
		if err := os.WriteFile(name, append(text, '\n'), 0o644); err != nil {
			return wrong(err)
		}
		fmt.Printf("seed %d leads to %s; %d bytes of plan, after %d tries, in %s\n", p.Seed, c.state, len(text), tried, name)
		return 0
	}
	fmt.Printf("no world led to %s\n", c.state)
	return 1
}

// stateOf returns the state that coverage calls name.
func stateOf(name string) (cover.State, error) {
	for _, u := range cover.Universe {
		if u.String() == name {
			return u.State, nil
		}
	}
	return cover.State{}, fmt.Errorf("no machine waits in %q; -coverage lists the states", name)
}
