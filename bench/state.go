package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"os"
	"path/filepath"
)

// A state file keeps a run's steps, so that a run that broke off goes on behind the last whole one, on another machine too
// if it is of the same shape. It is lines of JSON: a head, then a line a step. A step is a name and what it gave: the
// machine's limits, a count of syncs, or a whole round of a workload, so that the engines of one round always followed
// each other. A last line that was cut off is dropped. When all steps are there the run is over, and starting it again
// only reports it.

// stateHead is a state file's first line. Only a run with the same fingerprint, on such a machine, goes on.
type stateHead struct {
	Fingerprint string // of the configuration and the program, so of all engines, this tree's included
	Shape       string // of the machine
	Config      config
	Setup       json.RawMessage // of the report
}

// stateStep is any other line.
type stateStep struct {
	Step string
	Gave json.RawMessage
}

// errNotMeasured means that a step is not in a file that is only read.
var errNotMeasured = errors.New("not measured")

// state is what is kept of a run. Without a file it keeps nothing.
type state struct {
	file  *os.File        // nil: nothing is kept
	setup json.RawMessage // of the report, when the run began
	steps map[string]json.RawMessage
	read  bool // it is only read
	fresh bool // it was begun by this start
}

// otherwise is what can be done where a run can't go on.
const otherwise = "remove it, or choose another -state"

// openState opens a state file, or begins one. Steps of another configuration, program or kind of machine are an error:
// they are not to be mixed, and not thrown away without being asked.
func openState(name string, head stateHead) (*state, error) {
	if name == "" {
		return &state{steps: map[string]json.RawMessage{}, setup: head.Setup}, nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, err
	}
	found, steps, err := readState(name)
	begun := err == nil
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found, steps = head, map[string]json.RawMessage{}
	case err != nil:
		return nil, err
	case found.Config.text() != head.Config.text():
		return nil, fmt.Errorf("%s is of another configuration: %s", name, otherwise)
	case found.Fingerprint != head.Fingerprint:
		return nil, fmt.Errorf("%s is of another version of pawl, the benchmark, Go or a module: %s", name, otherwise)
	case found.Shape != head.Shape:
		return nil, fmt.Errorf("%s was measured on another kind of machine, %s; this one has %s: %s", name, found.Shape,
			head.Shape, otherwise)
	}
	s := &state{steps: steps, setup: found.Setup, fresh: !begun}
	if s.file, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o666); err != nil {
		return nil, err
	}
	if begun {
		err = s.cutTail()
	} else {
		err = s.append(head)
	}
	if err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

// readState reads a state file.
func readState(name string) (head stateHead, steps map[string]json.RawMessage, err error) {
	f, err := os.Open(name)
	if err != nil {
		return head, nil, err
	}
	defer f.Close()
	steps = map[string]json.RawMessage{}
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, stdio.EOF) { // what is left is a line that was cut off
			if n == 1 {
				return head, nil, fmt.Errorf("%s has no head", name)
			}
			return head, steps, nil
		}
		if err != nil {
			return head, nil, err
		}
		var step stateStep
		if n == 1 {
			err = json.Unmarshal(line, &head)
		} else if err = json.Unmarshal(line, &step); err == nil {
			steps[step.Step] = step.Gave
		}
		if err != nil {
			return head, nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
}

// cutTail removes a line that was cut off.
func (s *state) cutTail() error {
	b, err := os.ReadFile(s.file.Name())
	if err != nil {
		return err
	}
	return s.file.Truncate(int64(bytes.LastIndexByte(b, '\n') + 1))
}

// append writes a line.
func (s *state) append(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = s.file.Write(append(b, '\n'))
	}
	if err == nil {
		err = s.file.Sync()
	}
	return err
}

// do sets *gave to what a step gave before, or has fn set it and keeps it.
func (s *state) do(step string, gave any, fn func() error) error {
	if kept := s.steps[step]; kept != nil {
		return json.Unmarshal(kept, gave)
	}
	if s.read {
		return errNotMeasured
	}
	if err := fn(); err != nil {
		return err
	}
	b, err := json.Marshal(gave)
	if err != nil {
		return err
	}
	s.steps[step] = b
	if s.file == nil {
		return nil
	}
	return s.append(stateStep{step, b})
}

// close closes the file.
func (s *state) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
