package io

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// benchBackends runs a benchmark on the system backend, on the io_uring backend, and on one that sends through the ring also what is
// awaited alone, with a file of 64 MiB.
func benchBackends(b *testing.B, run func(b *testing.B, backend IO, f File, fd int)) {
	path := filepath.Join(b.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 64<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	ring := func(lone bool) func() (IO, error) {
		return func() (IO, error) {
			u, err := newUring(platformRingCalls(), platformCalls(), UringOptions{})
			if err == nil {
				u.lone = lone
			}
			return u, err
		}
	}
	for _, backend := range []struct {
		name string
		open func() (IO, error)
	}{
		{"system", func() (IO, error) { return NewSystem(), nil }}, {"uring", ring(true)}, {"all-uring", ring(false)},
	} {
		b.Run(backend.name, func(b *testing.B) {
			s, err := backend.open()
			if err != nil {
				b.Skip(err)
			}
			defer s.Shutdown()
			o := Opening{Path: path, Flag: OpenWrite}
			if err := ringDo(b, s, func(c *Completion) { s.Open(c, &o) }); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			run(b, s, o.File, o.File.(*systemFile).h)
		})
	}
}

// benchGroup submits n I/Os and waits for all.
type benchGroup struct {
	g  CompletionGroup
	cs []Completion
}

func (g *benchGroup) run(b *testing.B, s IO, ctx context.Context, submit func(i int, c *Completion)) {
	g.g.Start("a benchmark")
	for i := range g.cs {
		submit(i, &g.cs[i])
		g.g.Add(&g.cs[i])
	}
	g.g.Build()
	if err := s.Wait(ctx, g.g.Completion()); err != nil || g.g.Completion().Err() != nil {
		b.Fatal(err, g.g.Completion().Err())
	}
	for i := range g.cs {
		g.cs[i].Reset()
	}
	g.g.Reset()
}

const benchPage = 4096

// benchOffset walks over the file's pages in an order without neighbours.
func benchOffset(i int) int64 { return int64(i*7919%(64<<20/benchPage)) * benchPage }

// forget takes the file out of the page cache.
func forget(b *testing.B, fd int) {
	b.StopTimer()
	defer b.StartTimer()
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		b.Fatal(err)
	}
}

// One read at a time, from the page cache.
func BenchmarkRead1(b *testing.B) {
	benchBackends(b, func(b *testing.B, s IO, f File, _ int) { benchReads(b, s, f, -1, 1, context.Background()) })
}

// The same under a context that could end.
func BenchmarkRead1Context(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	benchBackends(b, func(b *testing.B, s IO, f File, _ int) { benchReads(b, s, f, -1, 1, ctx) })
}

// 64 reads in flight, from the page cache.
func BenchmarkRead64(b *testing.B) {
	benchBackends(b, func(b *testing.B, s IO, f File, _ int) { benchReads(b, s, f, -1, 64, context.Background()) })
}

// One read at a time, from the drive.
func BenchmarkColdRead1(b *testing.B) {
	benchBackends(b, func(b *testing.B, s IO, f File, fd int) { benchReads(b, s, f, fd, 1, context.Background()) })
}

// 64 reads in flight, from the drive.
func BenchmarkColdRead64(b *testing.B) {
	benchBackends(b, func(b *testing.B, s IO, f File, fd int) { benchReads(b, s, f, fd, 64, context.Background()) })
}

// benchReads reads n pages at a time. The file is taken out of the page cache when it was gone over once, unless fd is below 0.
func benchReads(b *testing.B, s IO, f File, fd, n int, ctx context.Context) {
	if fd >= 0 {
		if err := unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM); err != nil {
			b.Fatal(err)
		}
		forget(b, fd)
	}
	buf := make([]byte, n*benchPage)
	g := benchGroup{cs: make([]Completion, n)}
	var c Completion
	at := 0
	for b.Loop() {
		if at%(64<<20/benchPage) == 0 && at > 0 && fd >= 0 {
			forget(b, fd)
		}
		if n == 1 {
			f.Read(&c, buf, benchOffset(at))
			if err := s.Wait(ctx, &c); err != nil || c.Err() != nil {
				b.Fatal(err, c.Err())
			}
			c.Reset()
		} else {
			g.run(b, s, ctx, func(i int, c *Completion) { f.Read(c, buf[i*benchPage:][:benchPage], benchOffset(at+i)) })
		}
		at += n
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(at), "ns/read")
}

// A write of a vector, and when it is done a sync: a commit of the log.
func BenchmarkWriteSync(b *testing.B) {
	benchBackends(b, func(b *testing.B, s IO, f File, _ int) {
		bufs := slices.Collect(slices.Chunk(make([]byte, 2*benchPage), 1024))
		var c Completion
		at := 0
		for b.Loop() {
			at++
			f.Write(&c, bufs, int64(at%1024)*2*benchPage)
			if err := s.Wait(context.Background(), &c); err != nil || c.Err() != nil {
				b.Fatal(err, c.Err())
			}
			c.Reset()
			f.Sync(&c)
			if err := s.Wait(context.Background(), &c); err != nil || c.Err() != nil {
				b.Fatal(err, c.Err())
			}
			c.Reset()
		}
	})
}

// 16 vectors of 16 pages at a time, then a sync: a checkpoint.
func BenchmarkWrite16Sync(b *testing.B) {
	benchBackends(b, func(b *testing.B, s IO, f File, _ int) {
		bufs := slices.Collect(slices.Chunk(make([]byte, 16*benchPage), benchPage))
		g := benchGroup{cs: make([]Completion, 16)}
		var c Completion
		for b.Loop() {
			g.run(b, s, context.Background(), func(i int, c *Completion) { f.Write(c, bufs, int64(i*32)*benchPage) })
			f.Sync(&c)
			if err := s.Wait(context.Background(), &c); err != nil || c.Err() != nil {
				b.Fatal(err, c.Err())
			}
			c.Reset()
		}
	})
}

// Four goroutines, 16 reads in flight each, from the page cache.
func BenchmarkParallelRead16(b *testing.B) {
	benchBackends(b, func(b *testing.B, s IO, f File, _ int) {
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			buf := make([]byte, 16*benchPage)
			g := benchGroup{cs: make([]Completion, 16)}
			for at := 0; pb.Next(); at += 16 {
				g.run(b, s, context.Background(), func(i int, c *Completion) {
					f.Read(c, buf[i*benchPage:][:benchPage], benchOffset(at+i))
				})
			}
		})
	})
}
