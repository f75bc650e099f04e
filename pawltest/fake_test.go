package pawltest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/pawldb/pawl/internal/effort"
)

func TestMain(m *testing.M) {
	_ = os.Unsetenv(seedVariable) // the tests say which seed they mean
	effort.Main(m)
}

// fake is a TB that notes what it is told.
type fake struct {
	fatal    string
	logs     []string
	cleanups []func()
	failed   bool
}

func (*fake) Helper()             {}
func (f *fake) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fake) Failed() bool      { return f.failed }

func (f *fake) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fake) Fatalf(format string, args ...any) {
	f.fatal, f.failed = fmt.Sprintf(format, args...), true
	runtime.Goexit()
}

// log returns what was logged.
func (f *fake) log() string { return strings.Join(f.logs, "\n") }

// try runs a test with a fake, cleanups included.
func try(test func(f *fake)) *fake {
	f := new(fake)
	over := make(chan struct{})
	go func() {
		defer close(over)
		test(f)
	}()
	<-over
	for _, fn := range f.cleanups {
		fn()
	}
	return f
}
