package types

import (
	"errors"
	"testing"

	"github.com/pawldb/pawl/io"
)

func TestResults(t *testing.T) {
	if res, err := Done("x"); res.Value != "x" || res.Pending != nil || err != nil {
		t.Errorf("Done is %+v, %v", res, err)
	}
	var c io.Completion
	if res, err := Wait[string](&c); res.Value != "" || res.Pending != &c || err != nil {
		t.Errorf("Wait is %+v, %v", res, err)
	}
	cause := errors.New("cause")
	if res, err := Fail[string](cause); res.Value != "" || res.Pending != nil || err != cause {
		t.Errorf("Fail is %+v, %v", res, err)
	}
}

// Either mistake would look like a finished machine.
func TestResultsRefuseNil(t *testing.T) {
	expectPanic(t, "types: Wait without a completion", func() { _, _ = Wait[int](nil) })
	expectPanic(t, "types: Fail without an error", func() { _, _ = Fail[int](nil) })
}
