package machine

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// plausible expects figures.
func plausible(t *testing.T, l Limit, err error) {
	t.Helper()
	if err != nil || l.Failed != "" {
		t.Skipf("not here: %v %s", err, l.Failed)
	}
	if l.Name == "" || l.Rate <= 0 || l.P50 <= 0 || l.P99 < l.P50 {
		t.Errorf("%+v", l)
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	overwrite, err := Overwrite(dir, 5)
	plausible(t, overwrite, err)
	cached, err := CachedReads(dir, 100)
	plausible(t, cached, err)
	plausible(t, MemoryLoads(1<<20, 1_000_000), nil)
	direct, err := ScratchReads(dir, 1<<20, time.Millisecond, 1, 4)
	if err != nil || len(direct) != 2 {
		t.Fatalf("%+v, %v", direct, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, l := range direct {
		plausible(t, l, nil)
	}
}

func TestProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not known on this system")
	}
	began := CPU()
	sum := uint64(0)
	for start := time.Now(); time.Since(start) < 30*time.Millisecond; {
		sum = scatter(sum)
	}
	if used := CPU() - began; used <= 0 {
		t.Errorf("%v of processor time, %d", used, sum)
	}
	if now, peak := RSS(); now <= 0 || peak < now {
		t.Errorf("%d bytes now, %d at the highest", now, peak)
	}
}

// A device counts what is written, where it can be found.
func TestWritten(t *testing.T) {
	dir := t.TempDir()
	before, err := Written(dir)
	if err != nil {
		t.Skipf("not here: %v", err)
	}
	const size = 1 << 20
	f, err := os.Create(filepath.Join(dir, "file"))
	if err == nil {
		err = errors.Join(fillFile(f, size/block), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if after, err := Written(dir); err != nil || after-before < size {
		t.Errorf("%d bytes written, %v", after-before, err)
	}
	if err := Forget(dir); err != nil {
		t.Error(err)
	}
}

// What a file takes is no more than a block above its length, and less where it has holes.
func TestOnDisk(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(fillFile(f, 4), f.Truncate(1<<30), f.Sync()); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	got := OnDisk(info)
	if got < 4*block || runtime.GOOS == "linux" && got > 1<<20 {
		t.Errorf("a file of 4 blocks takes %d bytes", got)
	}
}

func TestGroup(t *testing.T) {
	g, err := NewGroup(64 << 20)
	if err != nil {
		t.Skipf("not here: %v", err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// A copy has the same bytes, and its holes are holes.
func TestCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(from, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	contents := map[string][]byte{"empty": nil, "small": []byte("abc"), "sub/large": bytes.Repeat([]byte("large"), 1<<18)}
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(from, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const hole = 1 << 28
	f, err := os.Create(filepath.Join(from, "sparse"))
	if err == nil {
		_, err = f.WriteAt([]byte("end"), hole)
	}
	if err := errors.Join(err, f.Truncate(2*hole), f.Close(), Copy(to, from)); err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, expected %d, %v", name, len(got), len(content), err)
		}
	}
	copied, err := os.Open(filepath.Join(to, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	end := make([]byte, 4)
	if _, err := copied.ReadAt(end, hole); err != nil || string(end) != "end\x00" {
		t.Errorf("%q behind the hole, %v", end, err)
	}
	info, err := copied.Stat()
	if err != nil || info.Size() != 2*hole || runtime.GOOS == "linux" && OnDisk(info) > 1<<20 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := Copy(to, from); err == nil {
		t.Error("a copy went over files that are there")
	}
}
