package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const block = 4096

// Limit is what the machine can do at best.
type Limit struct {
	Name   string
	Rate   float64 // a second
	P50    time.Duration
	P99    time.Duration
	Failed string `json:",omitempty"` // why there is no figure
}

// limitOf makes a limit of what operations took, n of them at once.
func limitOf(name string, took []time.Duration, elapsed time.Duration) Limit {
	slices.Sort(took)
	l := Limit{Name: name, Rate: float64(len(took)) / max(elapsed, 1).Seconds()}
	if len(took) > 0 {
		l.P50, l.P99 = took[len(took)/2], took[(len(took)*99)/100]
	}
	return l
}

// Overwrite writes 4 KiB over blocks that were written before, and syncs the data, each time: the least that a durable
// commit can cost in the directory.
func Overwrite(dir string, writes int) (l Limit, err error) {
	const blocks = 1024
	f, err := os.Create(filepath.Join(dir, "raw"))
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := fillFile(f, blocks); err != nil {
		return l, err
	}
	buf, took := make([]byte, block), make([]time.Duration, 0, writes)
	start := time.Now()
	for i := range writes {
		fillBlock(buf, i+blocks)
		began := time.Now()
		if _, err := f.WriteAt(buf, int64(i%blocks)*block); err != nil {
			return l, err
		}
		if err := dataSync(f); err != nil {
			return l, fmt.Errorf("sync: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return limitOf("overwrite of 4 KiB and a data sync", took, time.Since(start)), nil
}

// fillFile writes blocks and syncs them.
func fillFile(f *os.File, blocks int) error {
	const many = 256
	buf := make([]byte, many*block)
	for i := 0; i < blocks; i += many {
		n := min(many, blocks-i)
		for j := range n {
			fillBlock(buf[j*block:(j+1)*block], i+j)
		}
		if _, err := f.WriteAt(buf[:n*block], int64(i)*block); err != nil {
			return err
		}
	}
	return f.Sync()
}

// fillBlock sets a block to bytes that no other block has.
func fillBlock(buf []byte, i int) {
	for at := 0; at < len(buf); at += 8 {
		binary.LittleEndian.PutUint64(buf[at:], scatter(uint64(i)*block+uint64(at)))
	}
}

// scatter is a bijection that looks random.
func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// CachedReads reads random blocks of a file that the system has in memory.
func CachedReads(dir string, reads int) (l Limit, err error) {
	const blocks = 4096
	f, err := os.Create(filepath.Join(dir, "raw"))
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := fillFile(f, blocks); err != nil {
		return l, err
	}
	buf, took := make([]byte, block), make([]time.Duration, 0, reads)
	start := time.Now()
	for i := range reads {
		began := time.Now()
		if _, err := f.ReadAt(buf, int64(scatter(uint64(i))%blocks)*block); err != nil {
			return l, err
		}
		took = append(took, time.Since(began))
	}
	return limitOf("pread of 4 KiB from the page cache", took, time.Since(start)), nil
}

// DirectReads reads random blocks of a file past the page cache, depth of them at a time.
func DirectReads(file string, depth int, d time.Duration) (l Limit, err error) {
	f, err := openDirect(file)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return l, err
	}
	blocks := uint64(info.Size() / block)
	if blocks == 0 {
		return l, fmt.Errorf("%s is shorter than a block", file)
	}
	all, errs := make([][]time.Duration, depth), make([]error, depth)
	var wg sync.WaitGroup
	start := time.Now()
	for g := range depth {
		wg.Go(func() {
			buf := aligned(block)
			for i := uint64(0); time.Since(start) < d; i++ {
				at := scatter(i*uint64(depth)+uint64(g)+uint64(start.UnixNano())) % blocks
				began := time.Now()
				if _, err := f.ReadAt(buf, int64(at)*block); err != nil {
					errs[g] = err
					return
				}
				all[g] = append(all[g], time.Since(began))
			}
		})
	}
	wg.Wait()
	return limitOf(directName(depth), slices.Concat(all...), time.Since(start)), errors.Join(errs...)
}

func directName(depth int) string { return fmt.Sprintf("O_DIRECT read of 4 KiB, %d at a time", depth) }

// ScratchReads is DirectReads of a file of its own, for several depths.
func ScratchReads(dir string, bytes int64, d time.Duration, depths ...int) (all []Limit, err error) {
	f, err := os.Create(filepath.Join(dir, "raw"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if err := errors.Join(fillFile(f, int(bytes/block)), f.Close()); err != nil {
		return nil, err
	}
	for _, depth := range depths {
		l, err := DirectReads(f.Name(), depth, d)
		if err != nil {
			l = Limit{Name: directName(depth), Failed: err.Error()}
		}
		all = append(all, l)
	}
	return all, nil
}

// MemoryLoads follows a chain of random addresses in so many bytes: each load waits for the one before.
func MemoryLoads(bytes int64, loads int) Limit {
	n := bytes / 8
	next := make([]int64, n)
	for i := range next {
		next[i] = int64(i)
	}
	for i := n - 1; i > 0; i-- { // Sattolo: one cycle through all
		j := int64(scatter(uint64(i)) % uint64(i))
		next[i], next[j] = next[j], next[i]
	}
	at := int64(0)
	start := time.Now()
	for range loads {
		at = next[at]
	}
	elapsed := time.Since(start)
	l := Limit{Name: fmt.Sprintf("dependent random load in %d MiB of memory", bytes>>20)}
	if at >= 0 { // so that the loads are not left out
		l.Rate, l.P50, l.P99 = float64(loads)/elapsed.Seconds(), elapsed/time.Duration(loads), elapsed/time.Duration(loads)
	}
	return l
}
