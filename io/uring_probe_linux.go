package io

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errRingForbidden means that there is a ring, and that it must not be entered or does not do what it has to.
type errRingForbidden struct {
	what string
	err  error
}

func (e *errRingForbidden) Error() string { return e.what + ": " + e.err.Error() }
func (e *errRingForbidden) Unwrap() error { return e.err }

// ringRefusal says in words why there is no ring.
func ringRefusal(err error) error {
	reason := "the kernel gives no ring"
	var forbidden *errRingForbidden
	switch {
	case errors.As(err, &forbidden), errors.Is(err, errRingOld):
		return fmt.Errorf("io: no io_uring: %w: %w", err, errors.ErrUnsupported)
	case errors.Is(err, unix.ENOSYS):
		reason = "the kernel, or a filter of system calls, knows no io_uring"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		reason = "a filter of system calls (seccomp) or a security module forbids it"
		if text, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled"); err == nil {
			if setting := strings.TrimSpace(string(text)); setting != "0" {
				reason = "the setting kernel.io_uring_disabled is " + setting
			}
		}
	case errors.Is(err, unix.ENOMEM):
		reason = "no memory for it, or the process must not lock as much (RLIMIT_MEMLOCK)"
	}
	return fmt.Errorf("io: no io_uring: %s: %w: %w", reason, err, errors.ErrUnsupported)
}

// ringTrial is what the kernel reads and writes in tryOut. The ring holds it, so that it is not on a stack, which may move.
type ringTrial struct {
	text, got [4]byte
	vector    [2]unix.Iovec
}

// mostTries bounds how often the kernel is asked for one result in tryOut.
const mostTries = 1000

// tryOut makes the ring do all that the backend needs, on a file of its own: a filter may let a ring be made and not be entered,
// and operations may be missing or forbidden.
func (r *ring) tryOut() error {
	if err := r.try("an empty operation", ringEntry{op: ringNop, fd: -1}, 0); err != nil {
		return err
	}
	fd, err := r.calls.tryFile()
	if err != nil {
		return &errRingForbidden{"a file to try it on", err}
	}
	defer r.calls.close(fd)
	t := &ringTrial{text: [4]byte{'p', 'a', 'w', 'l'}}
	r.trial = t
	defer func() { r.trial = nil }()
	for i := range t.vector {
		t.vector[i].Base = &t.text[2*i]
		t.vector[i].SetLen(2)
	}
	entry := func(op ringOp, addr uint64, length int) ringEntry {
		return ringEntry{op: op, fd: int32(fd), addr: addr, length: uint32(length)}
	}
	sync := entry(ringFsync, 0, 0)
	sync.opFlags = ringDatasync
	second := entry(ringWrite, addressOf(&t.text[0]), 4)
	second.offset = 4
	for _, step := range []struct {
		what  string
		entry ringEntry
		want  int32
	}{
		{"a write of a vector", entry(ringWritev, addressOf(&t.vector[0]), 2), 4},
		{"a write", second, 4},
		{"a sync", sync, 0},
		{"a read", entry(ringRead, addressOf(&t.got[0]), 4), 4},
		{"a cancel of nothing", ringEntry{op: ringCancel, fd: -1, addr: noSlot - 1}, -int32(unix.ENOENT)},
	} {
		if err := r.try(step.what, step.entry, step.want); err != nil {
			return err
		}
	}
	if t.got != t.text {
		return &errRingForbidden{"a read", errors.New("it brings something else than was written")}
	}
	return nil
}

// try has the ring do one thing and compares the result.
func (r *ring) try(what string, e ringEntry, want int32) error {
	e.tag = noSlot
	r.push(e)
	for range mostTries {
		_, err := r.calls.enter(r.fd, r.unsubmitted(), 1, enterGetEvents)
		if err != nil && !interrupted(err) && err != unix.EBUSY {
			return &errRingForbidden{"entering the ring is forbidden", err}
		}
		res, ok := r.pop()
		switch {
		case !ok:
			continue
		case res.value == want:
			return nil
		case res.value < 0:
			return &errRingForbidden{what + " fails", unix.Errno(-res.value)}
		}
		return &errRingForbidden{what + " fails", fmt.Errorf("it returns %d", res.value)}
	}
	return &errRingForbidden{what + " fails", errors.New("there is no result")}
}
