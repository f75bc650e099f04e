package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/shrink"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// shrinkTime bounds how long a failure is made smaller.
const shrinkTime = 50 * time.Second

// report tells of a plan that fails, and of a smaller one.
func (c *command) report(what string, p *plan.Plan) {
	res := world.Run(p, world.Options{})
	fmt.Printf("\nFAILED: %s: %v\n", what, res.Err)
	if !c.shrink {
		return
	}
	small, tried := shrink.Plan(p, func(p *plan.Plan) error { return world.Run(p, world.Options{}).Err }, time.Now().Add(shrinkTime))
	text, err := json.Marshal(small)
	if err != nil {
		panic(err)
	}
	lines := newTail(60)
	res = world.Run(small, world.Options{Log: lines.add})
	fmt.Printf("smaller, after %d tries: %v\n\nthe end of its trace:\n", tried, res.Err)
	lines.print()
	fmt.Printf("%s\n", res.Stack)
	name := fmt.Sprintf("failure-%016x.json", res.Sum)
	if err := os.WriteFile(name, append(text, '\n'), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
	}
	fmt.Printf("plan in %s; replay: go run ./testing/simulator -replay %s -v\nas a test:\n\n%s", name, name, asTest(res.Sum, text))
}

// asTest returns a Go test that runs a plan; a large one is run by the test of the plans that are on file.
func asTest(sum uint64, text []byte) string {
	if len(text) > 8<<10 {
		return fmt.Sprintf("// the plan has %d bytes: put it into testing/simulator/testdata, where TestReplays runs it\n", len(text))
	}
	return fmt.Sprintf("func TestReplay%016x(t *testing.T) {\n\tp := new(plan.Plan)\n\trequire.NoError(t, json.Unmarshal([]byte(`%s`), p))\n"+
		"\trequire.NoError(t, world.Run(p, world.Options{}).Err)\n}\n", sum, text)
}

// tail keeps the last lines of a log.
type tail struct {
	lines []string
	next  int
}

func newTail(n int) *tail { return &tail{lines: make([]string, n)} }

func (t *tail) add(format string, args ...any) {
	t.lines[t.next%len(t.lines)] = fmt.Sprintf(format, args...)
	t.next++
}

func (t *tail) print() {
	for i := max(0, t.next-len(t.lines)); i < t.next; i++ {
		fmt.Println(t.lines[i%len(t.lines)])
	}
}
