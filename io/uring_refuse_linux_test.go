package io

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUringRefusals(t *testing.T) {
	setup := func(errno unix.Errno) func(c *ringCalls) {
		return func(c *ringCalls) { c.setup = func(uint32, *ringParams) (int, error) { return -1, errno } }
	}
	for name, test := range map[string]struct {
		prepare func(c *ringCalls)
		says    string
		cause   error
	}{
		"no kernel":  {setup(unix.ENOSYS), "knows no io_uring", unix.ENOSYS},
		"seccomp":    {setup(unix.EPERM), "forbids it", unix.EPERM},
		"security":   {setup(unix.EACCES), "forbids it", unix.EACCES},
		"memory":     {setup(unix.ENOMEM), "RLIMIT_MEMLOCK", unix.ENOMEM},
		"many files": {setup(unix.EMFILE), "gives no ring", unix.EMFILE},
		"old": {func(c *ringCalls) {
			inner := c.setup
			c.setup = func(n uint32, p *ringParams) (int, error) {
				fd, err := inner(n, p)
				p.features = featureSingleMmap
				return fd, err
			}
		}, "older than Linux 5.12", errRingOld},
		"no mapping": {func(c *ringCalls) {
			c.mmap = func(int, int64, int) ([]byte, error) { return nil, unix.ENOMEM }
		}, "RLIMIT_MEMLOCK", unix.ENOMEM},
		"no second mapping": {func(c *ringCalls) {
			inner := c.mmap
			c.mmap = func(fd int, offset int64, n int) ([]byte, error) {
				if offset == ringEntriesOffset {
					return nil, unix.EPERM
				}
				return inner(fd, offset, n)
			}
		}, "forbids it", unix.EPERM},
		"not to be entered": {func(c *ringCalls) {
			c.enter = func(int, uint32, uint32, uint32) (int, error) { return 0, unix.EPERM }
		}, "entering the ring is forbidden", unix.EPERM},
		"no results": {func(c *ringCalls) {
			c.enter = func(int, uint32, uint32, uint32) (int, error) { return 0, unix.EAGAIN }
		}, "there is no result", nil},
		"no file": {func(c *ringCalls) {
			c.tryFile = func() (int, error) { return -1, unix.EMFILE }
		}, "a file to try it on", unix.EMFILE},
	} {
		t.Run(name, func(t *testing.T) {
			k := newRingKernel(1)
			calls := k.calls()
			test.prepare(&calls)
			u, err := newUring(calls, platformCalls(), UringOptions{})
			if u != nil || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v", err)
			}
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("%v lacks %v", err, test.cause)
			}
			mapped := int64(0)
			if k.rings != nil {
				mapped = map[string]int64{"old": 1, "no mapping": 1, "no second mapping": 2}[name]
				if mapped == 0 {
					mapped = 3
				}
			}
			if n := k.closes.Load(); n != mapped {
				t.Errorf("%d of what was made is freed, want %d", n, mapped)
			}
		})
	}
}

// Each operation is tried out: one that the kernel lacks, or that a filter forbids, is named.
func TestUringRefusedOperations(t *testing.T) {
	for op, says := range map[ringOp]string{
		ringRead: "a read fails", ringWrite: "a write fails", ringWritev: "a write of a vector fails", ringFsync: "a sync fails",
	} {
		k := newRingKernel(1)
		k.result = func(e *ringEntry) int32 {
			if e.op == op {
				return -int32(unix.EINVAL)
			}
			return 0
		}
		_, err := newUring(k.calls(), platformCalls(), UringOptions{})
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), says) {
			t.Errorf("without operation %d: %v", op, err)
		}
	}
	k := newRingKernel(1)
	k.short = 3
	if _, err := newUring(k.calls(), platformCalls(), UringOptions{}); err == nil || !strings.Contains(err.Error(), "returns 3") {
		t.Errorf("short transfers: %v", err)
	}
	k = newRingKernel(1)
	k.lying = true
	if _, err := newUring(k.calls(), platformCalls(), UringOptions{}); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("reads that bring nothing: %v", err)
	}
}

// A filter of system calls that comes later: what the kernel has is awaited, all else goes on by system calls.
func TestUringForbiddenLater(t *testing.T) {
	u, k, f := fakeRingFile(t, 8, fill('a', 4096))
	started, release := k.Hold()
	var held Completion
	f.Read(&held, make([]byte, 10), 0)
	waited := u.waitFor(context.Background(), &held)
	started()
	k.do(func() { k.enterErr = func(uint32, uint32) error { return unix.EPERM } })
	var g CompletionGroup
	var cs [100]Completion
	g.Start("the reads")
	for i := range cs {
		f.Read(&cs[i], make([]byte, 8), int64(i))
		g.Add(&cs[i])
	}
	g.Build()
	others := u.waitFor(context.Background(), g.Completion())
	soonRefused(t, u)
	k.Short(3) // what is held needs other entries, which there can't be
	release()
	if err := <-waited; err != nil || held.Err() != nil {
		t.Error(err, held.Err())
	}
	if err := <-others; err != nil || g.Completion().Err() != nil {
		t.Error(err, g.Completion().Err())
	}
	enters := k.enters.Load()
	for range 10 {
		if err := ringDo(t, u, f.Sync); err != nil {
			t.Error(err)
		}
	}
	if n := k.enters.Load() - enters; n != 0 {
		t.Errorf("%d more attempts to enter", n)
	}
}

// soonRefused waits until u has noticed that it must not enter the ring.
func soonRefused(t *testing.T, u *uring) {
	t.Helper()
	soon(t, "a refusal", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.refused != nil
	})
}

// A request that the kernel has when entering is forbidden still ends, also if nobody can sleep for it.
func TestUringForbiddenUnderWay(t *testing.T) {
	u, k, f := fakeRingFile(t, 8, fill('a', 4096))
	k.do(func() { k.lame = true })
	var c [3]Completion
	for i := range c {
		f.Read(&c[i], make([]byte, 8), int64(i))
	}
	u.flush() // the kernel has them, and finishes nothing by itself
	k.do(func() { k.enterErr = func(uint32, uint32) error { return unix.ENOSYS } })
	done := u.waitFor(context.Background(), &c[0])
	soonRefused(t, u)
	k.do(func() {
		for k.finishAny() {
		}
	})
	if err := <-done; err != nil {
		t.Error(err)
	}
	for i := range c {
		soon(t, "the reads", c[i].Retired)
		if c[i].Err() != nil {
			t.Error(c[i].Err())
		}
	}
}
