package powercut

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// insideEnv is set in the process that has a mount namespace of its own.
const insideEnv = "PAWL_POWERCUT_INSIDE"

// notHere is why nothing can be mounted; empty if that can be tried.
var notHere string

// TestMain runs the tests in a child that has a mount namespace of its own: what is mounted there goes with the child, also if
// that is killed.
func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case os.Getenv(insideEnv) != "":
	case os.Geteuid() != 0:
		notHere = "mounting images takes root"
	default:
		code, err := runInside()
		if err == nil {
			os.Exit(code)
		}
		notHere = fmt.Sprintf("no mount namespace: %v", err)
	}
	os.Exit(m.Run())
}

// runInside runs this program again, in a namespace, and returns its exit code. An error means that it did not start.
func runInside() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the child is killed when this thread ends
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the process in the mount namespace:", err)
		return 2, nil
	}
	return 0, nil
}
