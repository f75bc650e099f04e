package powercut

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// shutdownRequest is EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN: _IOR('X', 125, __u32) as most architectures write it. Where the
// number is another one, file systems don't know this one.
const shutdownRequest = 0x8004587d

// noLogFlush asks for a shutdown that writes nothing, not even the file system's journal.
const noLogFlush = 2

// imageSize is that of an image, which is sparse. mkfs.xfs makes nothing below 300 MB.
const imageSize = 512 << 20

// attachTries is how often a free loop device is looked for: others may take it first.
const attachTries = 100

// mkfsOptions says how each file system is made.
var mkfsOptions = map[string][]string{
	"ext4": {"-q", "-F", "-N", "1024", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"},
	"xfs":  {"-q", "-f", "-K"},
}

// disk is a file system on a loop device, mounted but for an instant at a cut.
type disk struct {
	kind string
	dir  string   // where it is mounted
	loop *os.File // the device, which detaches itself when this is closed and nothing is mounted
	top  *os.File // the root directory; nil while it is not mounted
}

// missing is the error of what this machine lacks: a reason to skip.
type missing struct{ reason string }

func (m *missing) Error() string { return m.reason }

// newDisk makes a file system and mounts it until the test ends. Where that can't be done the test is skipped.
func newDisk(t *testing.T, kind string) *disk {
	t.Helper()
	if notHere != "" {
		t.Skip(notHere)
	}
	d := &disk{kind: kind, dir: t.TempDir()}
	t.Cleanup(func() { require.NoError(t, d.close()) })
	err := d.make(t.TempDir())
	var m *missing
	if errors.As(err, &m) {
		t.Skip(m.reason)
	}
	require.NoError(t, err)
	d.skipWithoutCuts(t)
	return d
}

// make makes the image, attaches it, takes its name away, and mounts it.
func (d *disk) make(tmp string) error {
	mkfs, err := lookPath("mkfs." + d.kind)
	if err != nil {
		return &missing{fmt.Sprintf("no mkfs.%s: %v", d.kind, err)}
	}
	image, err := os.Create(filepath.Join(tmp, "image"))
	if err != nil {
		return err
	}
	defer image.Close() // the device keeps it
	if err := image.Truncate(imageSize); err != nil {
		return err
	}
	out, err := exec.Command(mkfs, append(mkfsOptions[d.kind], image.Name())...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", mkfs, err, out)
	}
	if err := d.attach(image); err != nil {
		return err
	}
	if err := os.Remove(image.Name()); err != nil {
		return err
	}
	return d.mount()
}

// lookPath finds a program also where only root looks for one.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	return path, err
}

// attach gives the image a loop device.
func (d *disk) attach(image *os.File) error {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return &missing{fmt.Sprintf("no loop devices: %v", err)}
	}
	defer control.Close()
	for range attachTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return &missing{fmt.Sprintf("no free loop device: %v", err)}
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return &missing{fmt.Sprintf("the loop device can't be opened: %v", err)}
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd())}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			d.loop = loop
			return nil
		}
		if closed := loop.Close(); closed != nil {
			return closed
		}
		if err != unix.EBUSY {
			return &missing{fmt.Sprintf("the loop device %s takes no image: %v", loop.Name(), err)}
		}
	}
	return fmt.Errorf("no loop device in %d tries: others took each", attachTries)
}

// mount mounts the file system, which recovers from the last cut.
func (d *disk) mount() error {
	err := unix.Mount(d.loop.Name(), d.dir, d.kind, 0, "")
	switch err {
	case nil:
	case unix.EPERM, unix.EACCES, unix.ENODEV, unix.EINVAL: // the last one of features that the kernel does not know
		return &missing{fmt.Sprintf("%s can't be mounted: %v", d.kind, err)}
	default:
		return fmt.Errorf("mount of %s, %s: %w", d.loop.Name(), d.kind, err)
	}
	d.top, err = os.Open(d.dir)
	return err
}

// cut shuts the file system down. Nothing is written any more.
func (d *disk) cut() error {
	return unix.IoctlSetPointerInt(int(d.top.Fd()), shutdownRequest, noLogFlush)
}

// unmount forgets what is in memory of the file system. It fails if a file in it is open.
func (d *disk) unmount() error {
	if d.top == nil {
		return nil
	}
	if err := d.top.Close(); err != nil {
		return err
	}
	d.top = nil
	if err := unix.Unmount(d.dir, 0); err != nil {
		return fmt.Errorf("unmount of %s: %w; open files: %q", d.dir, err, openBelow(d.dir))
	}
	return nil
}

// again mounts the file system anew: what was cut off comes back.
func (d *disk) again() error {
	if err := d.unmount(); err != nil {
		return err
	}
	return d.mount()
}

// close unmounts, whatever is open, and detaches the device.
func (d *disk) close() error {
	err := d.unmount()
	if err != nil {
		err = errors.Join(err, unix.Unmount(d.dir, unix.MNT_DETACH))
	}
	if d.loop != nil {
		err = errors.Join(err, d.loop.Close())
	}
	return err
}

// openBelow returns the files of this process below a directory.
func openBelow(dir string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil && strings.HasPrefix(name, dir) {
			found = append(found, name)
		}
	}
	return found
}

// A cut takes what was not synced, and leaves what was: in the data of a file, in its size, in its directory. The other tests
// rest on that.
func TestCutTakesWhatWasNotSynced(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			d := newDisk(t, kind)
			path := filepath.Join(d.dir, "synced")
			f, err := os.Create(path)
			require.NoError(t, err)
			_, err = f.WriteString(strings.Repeat("old", 5000))
			require.NoError(t, err)
			require.NoError(t, f.Sync())
			_, err = f.WriteAt([]byte("new"), 0)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("new"), 30_000)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(d.dir, "unsynced"), []byte("new"), 0o600))
			require.NoError(t, d.cut())
			_, err = f.WriteAt([]byte("late"), 0)
			require.ErrorIs(t, err, unix.EIO)
			require.ErrorIs(t, f.Sync(), unix.EIO)
			require.NoError(t, f.Close())
			require.NoError(t, d.again())

			got, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, strings.Repeat("old", 5000), string(got))
			_, err = os.Stat(filepath.Join(d.dir, "unsynced"))
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

// skipWithoutCuts skips the test if the file system knows no shutdown.
func (d *disk) skipWithoutCuts(t *testing.T) {
	t.Helper()
	err := d.cut()
	switch err {
	case nil:
	case unix.ENOTTY, unix.EOPNOTSUPP, unix.EINVAL, unix.EPERM, unix.ENOSYS:
		t.Skip(d.kind, " can't be shut down: ", err)
	default:
		require.NoError(t, err)
	}
	require.NoError(t, d.again())
}
