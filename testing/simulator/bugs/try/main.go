// Command try applies the deliberate bugs, one at a time, to a copy of the tree, and sees whether the simulator finds them, from
// three seeds, and how fast. Run it at the top of the tree.
package main

import (
	"bytes"
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

// run tries every patch that is asked for. The error says how many got away.
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
	tried, escaped := 0, []string(nil)
	for _, p := range bugs.All() {
		if !pattern.MatchString(p.Name) || p.Elsewhere != "" {
			continue
		}
		tried++
		found, err := r.try(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		if !found {
			escaped = append(escaped, p.Name)
		}
	}
	fmt.Printf("%d bugs, %d found from each of %d seeds\n", tried, tried-len(escaped), r.seeds)
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

// verdict is how the simulator says what it has found.
var verdict = regexp.MustCompile(`(?m)^FAILED: (.*)$`)

// try applies one patch, and takes it back.
func (r *runner) try(p bugs.Patch) (found bool, err error) {
	if out, err := r.do(p.Bytes, "git", "apply", "-"); err != nil {
		return false, fmt.Errorf("does not apply: %s", out)
	}
	defer func() {
		if out, e := r.do(p.Bytes, "git", "apply", "-R", "-"); e != nil && err == nil {
			err = fmt.Errorf("can't be taken back: %s", out)
		}
	}()
	binary := filepath.Join(r.dir, "simulator.exe")
	if out, err := r.do(nil, "go", "build", "-o", binary, "./testing/simulator"); err != nil {
		return false, fmt.Errorf("does not build: %s", out)
	}
	for seed := range r.seeds {
		began := time.Now()
		out, err := r.do(nil, binary, "-seed", fmt.Sprint(1+seed*1_000_003), "-seconds", fmt.Sprint(r.seconds), "-shrink=false")
		took := time.Since(began).Seconds()
		if err == nil {
			fmt.Printf("%-44s %-6s seed %d: NOT FOUND in %.0f s\n", p.Name, p.Layer, seed, took)
			return false, nil
		}
		what := "it died"
		if m := verdict.FindSubmatch(out); m != nil {
			what = string(m[1])
		}
		fmt.Printf("%-44s %-6s seed %d: %5.1f s: %.140s\n", p.Name, p.Layer, seed, took, what)
	}
	return true, nil
}
