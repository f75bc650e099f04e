package main

import (
	"context"
	stdio "io"
)

// interruptedReader is a reader whose reads end with a context, though what is below waits on.
type interruptedReader struct {
	ctx  context.Context
	ask  chan int
	read chan readPart
	rest []byte
	err  error
}

type readPart struct {
	data []byte
	err  error
}

// interruptible returns a reader of in whose reads fail when ctx ends: a terminal or pipe may keep a read waiting forever. It
// reads from in only what it is asked for, on a goroutine that ends with in or with ctx.
func interruptible(ctx context.Context, in stdio.Reader) stdio.Reader {
	r := &interruptedReader{ctx: ctx, ask: make(chan int), read: make(chan readPart, 1)}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			select {
			case n := <-r.ask:
				n, err := in.Read(buf[:min(n, len(buf))])
				r.read <- readPart{append([]byte(nil), buf[:n]...), err}
				if err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return r
}

// Read returns the next part, or the context's error.
func (r *interruptedReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		select {
		case r.ask <- len(p):
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
		select {
		case part := <-r.read:
			r.rest, r.err = part.data, part.err
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
		if len(r.rest) == 0 {
			return 0, r.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
