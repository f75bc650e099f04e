package invariant

import (
	"errors"
	"testing"
)

func TestFailfSaysWhoseBugItIs(t *testing.T) {
	defer func() {
		err, ok := recover().(error)
		if !ok {
			t.Fatal("the panic's value is no error")
		}
		var f *Failure
		if !errors.As(err, &f) {
			t.Fatalf("the panic's value is a %T", err)
		}
		if want := "pawl bug: wal: frame for page 0 at seq 7"; err.Error() != want {
			t.Errorf("message %q, want %q", err, want)
		}
	}()
	panic(Failf("wal: frame for page %d at seq %d", 0, 7))
}
