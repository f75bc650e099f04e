package pawltest

import (
	"github.com/pawldb/pawl/io"
)

// FailSync makes the n-th sync of a file from now fail with ErrInjected, n from 1, as kernels do: reads go on showing what was
// not synced, but it never becomes durable unless it is written again, and the next sync succeeds. A later call replaces it.
func (d *Disk) FailSync(n int) { d.t.Helper(); d.failNext("FailSync", io.KindSync, n) }

// FailWrite makes the n-th write to a file from now fail with ErrInjected, n from 1; nothing of it is written. A later call
// replaces it.
func (d *Disk) FailWrite(n int) { d.t.Helper(); d.failNext("FailWrite", io.KindWrite, n) }

// FailRead makes the n-th read of a file from now fail with ErrInjected, n from 1. Pages that are in pawl's cache are not read
// from the disk. A later call replaces it.
func (d *Disk) FailRead(n int) { d.t.Helper(); d.failNext("FailRead", io.KindRead, n) }

func (d *Disk) failNext(what string, kind io.Kind, n int) {
	d.t.Helper()
	if n < 1 {
		d.t.Fatalf("pawltest: %s(%d): it counts from 1", what, n)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail[kind] = n
}

// Faults returns how many failures of FailSync, FailWrite and FailRead have come.
func (d *Disk) Faults() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults
}

// due counts an I/O, and reports whether it is one that has to fail. The caller holds d.mu.
func (d *Disk) due(kind io.Kind) bool {
	left, ok := d.fail[kind]
	if !ok {
		return false
	}
	if left > 1 {
		d.fail[kind] = left - 1
		return false
	}
	delete(d.fail, kind)
	d.faults++
	return true
}

// Full makes the disk full, or not full any more. While it is, no file gets longer: that fails with io.ErrNoSpace, which pawl
// turns into ErrFull. What files have already can be written.
func (d *Disk) Full(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
	d.fill()
}

// fill tells the memory whether it is full.
func (d *Disk) fill() {
	if d.full {
		d.mem.SetCapacity(1)
	} else {
		d.mem.SetCapacity(0)
	}
}

// Flip changes one bit of the byte at offset of a file, where it lies, as a medium does that rots. pawl meets it when it reads
// from the disk again: after a reopen, if not earlier. The file must have that byte.
func (d *Disk) Flip(name string, offset int64) {
	d.t.Helper()
	d.mu.Lock()
	err := d.mem.Flip(name, offset, 0)
	d.mu.Unlock()
	if err != nil {
		d.t.Fatalf("pawltest: Flip of %s at %d: %v", name, offset, err)
	}
}

// Bytes returns a copy of what reads of a file see now; nil if it is not there.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.mem.Bytes(name)
	if err != nil {
		return nil
	}
	return b
}
