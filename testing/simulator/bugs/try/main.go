// Command try applies the deliberate bugs, one at a time, to a copy of the tree, and sees whether the simulator finds them, from
// three seeds, and how fast. Run it at the top of the tree. It fails if a patch does not apply, or is not found.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pawldb/pawl/testing/simulator/bugs"
)

// runner tries patches in a copy of the tree.
type runner struct {
	dir     string
	seeds   int
	seconds int
}

func main() {
	r := &runner{}
	only := flag.String("only", "", "patches whose names match this `pattern`")
	flag.IntVar(&r.seeds, "seeds", 3, "how many times a patch has to be found")
	flag.IntVar(&r.seconds, "seconds", 60, "how long the simulator may search")
	flag.Parse()
	if err := r.run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "try:", err)
		os.Exit(1)
	}
}

// patched is a patch, and what the tree that has it was built to.
type patched struct {
	bugs.Patch
	binary string // the simulator, or a package's test
	err    error
}

// run tries every patch that is asked for. The error says which got away.
func (r *runner) run(only string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if r.dir, err = os.MkdirTemp("", "pawl-bugs-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	if err := r.copyTree(); err != nil {
		return err
	}
	all := slices.DeleteFunc(bugs.All(), func(p bugs.Patch) bool { return !pattern.MatchString(p.Name) })
	built := make(chan patched) // the next one is built while one is tried
	go func() {
		defer close(built)
		for _, p := range all {
			binary, err := r.build(p)
			built <- patched{p, binary, err}
		}
	}()
	var escaped []string
	for p := range built {
		if p.err != nil {
			return fmt.Errorf("%s: %w", p.Name, p.err)
		}
		if !r.try(p) {
			escaped = append(escaped, p.Name)
		}
		_ = os.Remove(p.binary)
	}
	fmt.Printf("%d bugs, %d found from each of %d seeds\n", len(all), len(all)-len(escaped), r.seeds)
	if len(escaped) > 0 {
		return fmt.Errorf("not found: %s", strings.Join(escaped, ", "))
	}
	return nil
}

// copyTree copies the files that git knows, and new ones.
func (r *runner) copyTree() error {
	list, err := exec.Command("git", "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.Lines(string(list)) {
		name = strings.TrimSuffix(name, "\n")
		data, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed
		}
		if err != nil {
			return err
		}
		to := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// do runs a command in the copy.
func (r *runner) do(stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdin = r.dir, bytes.NewReader(stdin)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	cmd.Env = append(cmd.Env, "GIT_CEILING_DIRECTORIES="+filepath.Dir(r.dir))
	return cmd.CombinedOutput()
}

// build applies a patch, builds what is to find it, and takes it back.
func (r *runner) build(p bugs.Patch) (binary string, err error) {
	if out, err := r.do(p.Bytes, "git", "apply", "-"); err != nil {
		return "", fmt.Errorf("does not apply: %s", out)
	}
	defer func() {
		if out, e := r.do(p.Bytes, "git", "apply", "-R", "-"); e != nil && err == nil {
			err = fmt.Errorf("can't be taken back: %s", out)
		}
	}()
	binary = filepath.Join(r.dir, p.Name+".exe")
	args := []string{"build", "-o", binary, "./testing/simulator"}
	if p.Elsewhere != "" {
		_, folder := seen(p)
		args = []string{"test", "-c", "-o", binary, folder}
	}
	if out, err := r.do(nil, "go", args...); err != nil {
		return "", fmt.Errorf("does not build: %s", out)
	}
	return binary, nil
}

// seen returns which test notices a patch, and the folder of its package.
func seen(p bugs.Patch) (test, folder string) {
	test, rest, _ := strings.Cut(p.Seen, " (")
	name, _, _ := strings.Cut(rest, ")")
	if name == "pawl" {
		return test, "."
	}
	return test, "./" + name
}

// try lets the patched tree be searched, from each seed, and reports whether the bug was found each time.
func (r *runner) try(p patched) (found bool) {
	if p.Elsewhere != "" {
		return r.elsewhere(p)
	}
	for seed := range r.seeds {
		began := time.Now()
		what := r.search(p, 1+seed*1_000_003)
		took := time.Since(began).Seconds()
		if what == "" {
			fmt.Printf("%-44s %-6s seed %d: NOT FOUND in %.0f s\n", p.Name, p.Layer, seed, took)
			return false
		}
		fmt.Printf("%-44s %-6s seed %d: %5.1f s: %.140s\n", p.Name, p.Layer, seed, took, what)
	}
	return true
}

// search lets the simulator search in both of its ways at once, worlds from a seed, and the enumeration: what it takes for every
// state to meet every event, then parts of all that there is, which the seed chooses. It returns what the first one says that finds
// something, "" if none does.
func (r *runner) search(p patched, seed int) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.seconds)*time.Second+grace)
	defer cancel()
	until := time.Now().Add(time.Duration(r.seconds) * time.Second)
	simulate := func(args ...string) string {
		cmd := exec.CommandContext(ctx, p.binary, append(args, "-shrink=false", "-coverage=false", "-workers", "1")...)
		cmd.Dir = r.dir
		out, err := cmd.CombinedOutput()
		return verdict(out, err)
	}
	found := make(chan string)
	go func() { found <- simulate("-seed", fmt.Sprint(seed), "-seconds", fmt.Sprint(r.seconds)) }()
	go func() {
		what := simulate("-enumerate", "states")
		for part := seed; what == "" && ctx.Err() == nil && time.Now().Before(until); part += 37 {
			what = simulate("-enumerate", fmt.Sprintf("%d/%d", part%parts, parts))
		}
		found <- what
	}()
	what := ""
	for range 2 {
		if v := <-found; what == "" && v != "" {
			what = v
			cancel()
		}
	}
	return what
}

// parts is into how many parts the enumeration is cut: one takes some seconds.
const parts = 401

// grace is how much longer than it was told to a simulator may take before it is ended, which is no find.
const grace = 10 * time.Second

// complaint is how the simulator says what it has found; one that dies is told of by the runtime.
var complaint = regexp.MustCompile(`(?m)^(?:FAILED: (.*)|(?:panic|fatal error): .*)$`)

// verdict returns what a simulator that ended has found, "" if nothing.
func verdict(out []byte, err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !exit.Exited() { // it was clean, or it was ended
		return ""
	}
	for _, m := range complaint.FindAllSubmatch(out, -1) {
		switch {
		case bytes.HasPrefix(m[1], []byte("gap: ")): // a bug can keep a state from being reached: that it is one is not told by this
		case len(m[1]) > 0:
			return string(m[1])
		default:
			return string(m[0])
		}
	}
	return ""
}

// elsewhere runs the test that is to notice a bug that no simulation on one goroutine can meet.
func (r *runner) elsewhere(p patched) bool {
	test, folder := seen(p.Patch)
	cmd := exec.Command(p.binary, "-test.run", "^"+test+"$", "-test.timeout", fmt.Sprintf("%ds", r.seconds))
	cmd.Dir = filepath.Join(r.dir, folder)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began).Seconds()
	if err == nil || !bytes.Contains(out, []byte("--- FAIL: "+test)) {
		fmt.Printf("%-44s %-6s test:   NOT FOUND by %s in %.0f s\n", p.Name, p.Layer, test, took)
		return false
	}
	fmt.Printf("%-44s %-6s test:   %5.1f s: %s fails, which is no simulation: %s\n", p.Name, p.Layer, took, test, p.Elsewhere)
	return true
}
