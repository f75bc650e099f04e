package pawltest_test

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/pawltest"
)

// recorder is a TB for the examples, where no *testing.T is at hand.
type recorder struct {
	message  string // of the failure
	logs     []string
	failed   bool
	cleanups []func()
}

func (*recorder) Helper()             {}
func (r *recorder) Failed() bool      { return r.failed }
func (r *recorder) Cleanup(fn func()) { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.message, r.failed = fmt.Sprintf(format, args...), true
	runtime.Goexit()
}

// end runs what was registered with Cleanup.
func (r *recorder) end() {
	for _, fn := range r.cleanups {
		fn()
	}
}

// run runs a test as a program's own test would run.
func (r *recorder) run(test func(t pawltest.TB)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer r.end()
		test(r)
	}()
	<-ended
}

// The manual shows what a test that fails tells, but for the numbers.
func TestManualShowsAFailure(t *testing.T) {
	manual, err := os.ReadFile("../docs/manual.md")
	require.NoError(t, err)
	r := new(recorder)
	r.run(func(t pawltest.TB) { testBank(t, true) })
	told := strings.Join(append(r.logs, r.message), "\n")
	numbers := regexp.MustCompile(`\d+`)
	shown, want := numbers.ReplaceAllString(string(manual), "N"), numbers.ReplaceAllString(told, "N")
	require.Contains(t, shown, "```text\n"+want+"\n```\n", "%s", told)
}
