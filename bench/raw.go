package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	rawBlock  = 4096
	rawBlocks = 1024 // of the file
	rawWrites = 500
)

// rawDisk overwrites blocks of a file that was written before, each write followed by a sync of its data: the least
// that a durable commit can cost in this directory. It returns one result whose operations are writes.
func rawDisk(dir string) (r Result, err error) {
	f, err := os.Create(filepath.Join(dir, "raw"))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, rawBlock)
	for i := range rawBlocks {
		fillBlock(block, i)
		if _, err := f.WriteAt(block, int64(i)*rawBlock); err != nil {
			return r, err
		}
	}
	if err := f.Sync(); err != nil {
		return r, err
	}
	return inParallel(1, func(_ int, rec *recorder) error {
		for i := range rawWrites {
			fillBlock(block, i+rawBlocks)
			began := time.Now()
			if _, err := f.WriteAt(block, int64(i%rawBlocks)*rawBlock); err != nil {
				return err
			}
			if err := dataSync(f); err != nil {
				return fmt.Errorf("sync: %w", err)
			}
			rec.add(1, time.Since(began))
		}
		return nil
	})
}

// fillBlock sets a block to bytes that no other block has.
func fillBlock(block []byte, i int) {
	for at := 0; at < len(block); at += keySize {
		fillKey(block[at:], i*rawBlock+at)
	}
}
