package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openDirect opens a file so that reads pass by the page cache.
func openDirect(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_RDONLY|unix.O_DIRECT, 0)
}

// aligned returns a buffer at an address that direct reads accept.
func aligned(n int) []byte {
	buf := make([]byte, n+block)
	skip := -int(uintptr(unsafe.Pointer(&buf[0]))) & (block - 1)
	return buf[skip : skip+n]
}

// CPU returns the processor time that this process has used.
func CPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// RSS returns this process's memory, now and at its highest, in bytes; 0: not known.
func RSS() (now, peak int64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = kib << 10
		case "VmHWM:":
			peak = kib << 10
		}
	}
	return now, peak
}

// ResetPeak has RSS's highest begin anew.
func ResetPeak() error { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// Written returns the bytes that the device of a directory has written since the system started, once all that
// its file system holds back is written.
func Written(dir string) (int64, error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return 0, fmt.Errorf("syncfs: %w", err)
	}
	info, err := d.Stat()
	if err != nil {
		return 0, err
	}
	dev := uint64(info.Sys().(*syscall.Stat_t).Dev)
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(dev), unix.Minor(dev)))
	if err != nil {
		return 0, err
	}
	const sectorsWritten, sector = 6, 512
	f := strings.Fields(string(b))
	if len(f) <= sectorsWritten {
		return 0, errors.New("the device's counters have an unknown form")
	}
	n, err := strconv.ParseInt(f[sectorsWritten], 10, 64)
	return n * sector, err
}

// OnDisk returns the bytes that a file takes on the disk: some stores make their files longer than what is in them.
func OnDisk(info fs.FileInfo) int64 {
	const unit = 512
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * unit
	}
	return info.Size()
}

// Forget has the system drop what it has of a directory's files in its page cache.
func Forget(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}

// Describe says what machine this is.
func Describe(dir string) string {
	var parts []string
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				parts = append(parts, strings.TrimSpace(value))
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			parts = append(parts, fmt.Sprintf("%.1f GiB of memory", float64(kib)/(1<<20)))
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "Linux "+strings.TrimSpace(string(b)))
	}
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) == nil {
		names := map[int64]string{0xef53: "ext4", 0x58465342: "XFS", 0x9123683e: "btrfs", 0x01021994: "tmpfs"}
		name := names[int64(s.Type)]
		if name == "" {
			name = fmt.Sprintf("file system %#x", s.Type)
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ", ")
}
