package work

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pawldb/pawl/bench/internal/engines"
)

var mixedWorkloads = []Workload{
	{
		Name: "mixed-1-1", Unit: "gets", Latency: getLatency, Data: Filled, Durable: true,
		What: "1 reader as in get beside 1 writer as in commit; each was measured alone before",
		Run:  func(w *World) (Result, error) { return mixed(w, 1) },
	},
	{
		Name: "mixed-2-1", Unit: "gets", Latency: getLatency, Data: Filled, Durable: true,
		What: "2 readers beside 1 writer",
		Run:  func(w *World) (Result, error) { return mixed(w, 2) },
	},
	{
		Name: "long-reader", Unit: "commits", Latency: "a commit", Data: Filled, Durable: true,
		What: "a writer as in commit beside a read transaction that stays open; it was measured without before",
		Run:  longReader,
	},
}

// mixed tells what readers and the writer do alone, and then beside each other.
func mixed(w *World, readers int) (Result, error) {
	if err := w.warm(); err != nil {
		return Result{}, err
	}
	read := func(g int, r *recorder) error { return w.timedNow(r, w.newGetter(g).each) }
	readsAlone, err := Parallel(readers, read)
	if err != nil {
		return Result{}, err
	}
	writesAlone, err := commits(w, 1)
	if err != nil {
		return Result{}, err
	}
	w.loose = true
	defer func() { w.loose = false }()
	var writes Result
	var failed error
	var wg sync.WaitGroup
	var end atomic.Bool
	wg.Go(func() { writes, failed = w.commitUntil(&end) })
	reads, err := Parallel(readers, read)
	end.Store(true)
	wg.Wait()
	reads.set("reads alone", readsAlone.Rate())
	reads.set("writes alone", writesAlone.Rate())
	reads.set("reads beside", reads.Rate())
	reads.set("writes beside", writes.Rate())
	return reads, errors.Join(err, failed)
}

// commitUntil commits until it is told to end.
func (w *World) commitUntil(end *atomic.Bool) (Result, error) {
	return Parallel(1, func(_ int, r *recorder) error {
		for c := w.newCommitter(0, 1); !end.Load() || r.ops == 0; {
			if _, err := c.next(); err != nil {
				return err
			}
			r.ops++
		}
		return nil
	})
}

// longReader tells what the writer does without the reader first.
func longReader(w *World) (Result, error) {
	alone, err := commits(w, 1)
	if err != nil {
		return Result{}, err
	}
	release, err := w.hold()
	if err != nil {
		return Result{}, err
	}
	released, watched := w.watch(release)
	r, err := commits(w, 1)
	r.set("writes alone", alone.Rate())
	size, err2 := w.Files()
	r.set("files held", float64(size))
	if f, ok := w.Store.(engines.Figured); ok {
		r.set("log held", f.Figures().LogBytes)
		r.set("main held", f.Figures().FileBytes)
	}
	stuck, err3 := watched(), released()
	if stuck && err == nil {
		err = engines.Unsupported("its writer waits for the end of the reader")
	}
	return r, errors.Join(err, err2, err3)
}

// stuckAfter is how long a writer makes no commit that is taken to wait for the reader.
const stuckAfter = 3 * time.Second

// watch ends the reader if the writer waits for it: bbolt's does when it has to map a longer file. The first function that it
// returns ends the reader if that was not done yet, the second ends the watch and tells whether it was.
func (w *World) watch(release func() error) (released func() error, watched func() bool) {
	released = sync.OnceValue(release)
	end, stuck := make(chan struct{}), make(chan bool)
	go func() {
		last, since := w.commits.Load(), time.Now()
		tick := time.NewTicker(stuckAfter / 30)
		defer tick.Stop()
		for {
			select {
			case <-end:
				stuck <- false
				return
			case <-tick.C:
			}
			if now := w.commits.Load(); now != last {
				last, since = now, time.Now()
			}
			if time.Since(since) > stuckAfter {
				released()
				<-end
				stuck <- true
				return
			}
		}
	}()
	return released, func() bool { close(end); return <-stuck }
}

// hold keeps a read transaction open until release is called. It has read a key by then, and reads it again at the end.
func (w *World) hold() (release func() error, err error) {
	if h, ok := w.Store.(engines.Holder); ok {
		return h.Hold()
	}
	open, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- w.Store.View(func(tx engines.Reader) error {
			get := w.newGetter(-2)
			get.next()
			err := get.get(tx)
			close(open)
			<-end
			if err != nil {
				return err
			}
			value, err := tx.Get(get.key[:])
			if err != nil {
				return err
			}
			version, err := checkValue(get.key[:], value, w.size)
			if err == nil && version != get.floor {
				err = fmt.Errorf("key %x has version %d, it had %d when the reader began", get.key, version, get.floor)
			}
			return err
		})
	}()
	select {
	case <-open:
	case err := <-done:
		return nil, errors.Join(err, errors.New("the reader ended early"))
	}
	return func() error { close(end); return <-done }, nil
}
