package pawltest_test

import (
	"fmt"
	"runtime"
)

// recorder is a TB for the examples, where no *testing.T is at hand.
type recorder struct {
	message  string // of the failure
	failed   bool
	cleanups []func()
}

func (*recorder) Helper()             {}
func (*recorder) Logf(string, ...any) {}
func (r *recorder) Failed() bool      { return r.failed }
func (r *recorder) Cleanup(fn func()) { r.cleanups = append(r.cleanups, fn) }
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
