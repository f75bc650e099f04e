package io

import (
	"bufio"
	"fmt"
	stdio "io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// startLockChild starts a process that holds the file's exclusive lock. end lets it end.
func startLockChild(t *testing.T, path string) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSystemLockAcrossProcesses$")
	cmd.Env = append(os.Environ(), lockChild+"="+path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	for {
		line, err := out.ReadString('\n')
		if strings.HasPrefix(line, "holds") {
			break
		}
		if err != nil {
			t.Fatalf("the other process ended without the lock: %v", err)
		}
	}
	return cmd.Process.Pid, func() {
		stdin.Close()
		stdio.Copy(stdio.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// holdLock is the process that startLockChild starts.
func holdLock(t *testing.T, path string) {
	s := newSystem(platformCalls())
	f := systemOpen(t, s, path, OpenWrite)
	if err := systemDo(t, s, func(c *Completion) { f.Lock(c, true) }); err != nil {
		t.Fatal(err)
	}
	fmt.Println("holds")
	stdio.Copy(stdio.Discard, os.Stdin)
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
}

// procLocksNames reports whether /proc/locks shows locks of the file's file system under its device.
func procLocksNames(t *testing.T, f File) bool {
	t.Helper()
	s := newSystem(platformCalls())
	defer s.Shutdown()
	g := systemOpen(t, s, f.Name()+"-probe", OpenWrite|OpenCreate)
	if err := systemDo(t, s, func(c *Completion) { g.Lock(c, true) }); err != nil {
		t.Fatal(err)
	}
	names := lockHolder(g.(*systemFile).id) == os.Getpid()
	t.Logf("/proc/locks names holders here: %v", names)
	return names
}
