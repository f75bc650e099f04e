package invariant

import "fmt"

// Failure is a broken invariant: a bug in pawl, never something that a file, a disk or a caller caused.
type Failure struct{ message string }

// Error says what was broken.
func (f *Failure) Error() string { return "pawl bug: " + f.message }

// Failf makes a Failure to panic with.
func Failf(format string, args ...any) *Failure {
	return &Failure{message: fmt.Sprintf(format, args...)}
}
