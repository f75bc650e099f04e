package io

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ringForbidden is set in a process that forbids itself io_uring: the name of a test, and a file.
const ringForbidden = "PAWL_TEST_RING_FORBIDDEN"

// forbid makes a system call fail with EPERM in all threads of the process from now on.
func forbid(call uint32) error {
	const returnErrno, returnAllow = 0x00050000, 0x7fff0000
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: returnErrno | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: returnAllow},
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const modeFilter, allThreads = 1, 1
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, modeFilter, allThreads, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	return nil
}

// runForbidden runs a test again, in a process that forbids itself io_uring. It reports whether this is that process.
func runForbidden(t *testing.T) (path string, child bool) {
	t.Helper()
	name, path, _ := strings.Cut(os.Getenv(ringForbidden), " ")
	if name == t.Name() {
		return path, true
	}
	if u, err := newUring(platformRingCalls(), platformCalls(), UringOptions{}); err != nil {
		t.Skip(err)
	} else if err := u.Shutdown(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s", ringForbidden, t.Name(), filepath.Join(t.TempDir(), "f")))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, reason, skipped := strings.Cut(string(out), "no filter of system calls: "); skipped {
		t.Skip(reason)
	}
	return "", false
}

// A filter that forbids to make rings.
func TestUringSeccompSetup(t *testing.T) {
	_, child := runForbidden(t)
	if !child {
		return
	}
	if err := forbid(unix.SYS_IO_URING_SETUP); err != nil {
		t.Skip("no filter of system calls: ", err)
	}
	u, err := NewUring(UringOptions{})
	if u != nil || !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.EPERM) ||
		!strings.Contains(err.Error(), "seccomp") && !strings.Contains(err.Error(), "io_uring_disabled") {
		t.Errorf("%v", err)
	}
}

// A filter that lets rings be made and forbids to enter them.
func TestUringSeccompEnter(t *testing.T) {
	_, child := runForbidden(t)
	if !child {
		return
	}
	if err := forbid(unix.SYS_IO_URING_ENTER); err != nil {
		t.Skip("no filter of system calls: ", err)
	}
	u, err := NewUring(UringOptions{})
	if u != nil || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "entering the ring is forbidden") {
		t.Errorf("%v", err)
	}
}

// A filter that comes while requests are with the kernel: these end, and the backend goes on without the ring.
func TestUringSeccompLater(t *testing.T) {
	path, child := runForbidden(t)
	if !child {
		return
	}
	u, err := newUring(platformRingCalls(), platformCalls(), UringOptions{Entries: 8})
	if err != nil {
		t.Fatal(err)
	}
	u.lone = false
	if err := os.WriteFile(path, fill('a', 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Opening{Path: path, Flag: OpenWrite}
	if err := ringDo(t, u, func(c *Completion) { u.Open(c, &o) }); err != nil {
		t.Fatal(err)
	}
	pipe, write := ringPipe(t, u)
	var slow, other Completion
	pipe.Read(&slow, make([]byte, 1), 0)
	u.flush()
	if u.inKernel() != 1 {
		t.Fatal("the kernel has no request")
	}
	if err := forbid(unix.SYS_IO_URING_ENTER); err != nil {
		t.Skip("no filter of system calls: ", err)
	}
	o.File.Read(&other, make([]byte, 10), 0)
	if err := ringWait(t, u, &other); err != nil {
		t.Error(err)
	}
	write()
	if err := ringWait(t, u, &slow); err != nil {
		t.Error(err)
	}
	if err := ringDo(t, u, o.File.Sync); err != nil {
		t.Error(err)
	}
	if err := u.Shutdown(); err != nil {
		t.Error(err)
	}
}
