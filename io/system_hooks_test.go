package io

import (
	"sync"
	"sync/atomic"
)

// SystemHooks stand between a system backend and the operating system.
type SystemHooks struct {
	Calls map[string]*atomic.Int64 // system calls made, by name
	S     *system

	mu      sync.Mutex
	short   int           // most bytes of a transfer; 0: all
	fail    func() error  // asked before each call
	held    chan struct{} // reads and writes wait until it is closed; nil: they don't
	holding chan struct{} // closed when one waits
}

// NewHookedSystem returns a system backend with hooks.
func NewHookedSystem() (IO, *SystemHooks) {
	h := newHooks()
	s := newSystem(h.wrap(platformCalls()))
	h.S = s
	return s, h
}

func newHooks() *SystemHooks {
	h := &SystemHooks{Calls: map[string]*atomic.Int64{}}
	for _, name := range []string{
		"open", "close", "describe", "stat", "pread", "pwrite", "pwritev", "sync", "resize", "allocate", "lock", "unlock",
		"link", "rename", "remove", "syncdir",
	} {
		h.Calls[name] = new(atomic.Int64)
	}
	return h
}

// wrap puts the hooks before every call of c.
func (h *SystemHooks) wrap(c calls) calls {
	w := c
	w.open = func(path string, flag OpenFlag, mode uint32) (handle, error) {
		if err := h.before("open"); err != nil {
			return noHandle, err
		}
		return c.open(path, flag, mode)
	}
	w.close = func(fd handle) error { h.Calls["close"].Add(1); return c.close(fd) }
	w.describe = func(fd handle) (fileInfo, error) {
		if err := h.before("describe"); err != nil {
			return fileInfo{}, err
		}
		return c.describe(fd)
	}
	w.stat = func(path string) (fileInfo, error) {
		if err := h.before("stat"); err != nil {
			return fileInfo{}, err
		}
		return c.stat(path)
	}
	h.wrapTransfers(&w, c)
	w.sync = func(fd handle) error { return h.call("sync", func() error { return c.sync(fd) }) }
	w.resize = func(fd handle, n int64) error { return h.call("resize", func() error { return c.resize(fd, n) }) }
	w.allocate = func(fd handle, a, b int64) error {
		return h.call("allocate", func() error { return c.allocate(fd, a, b) })
	}
	w.lock = func(fd handle, x bool) error { return h.call("lock", func() error { return c.lock(fd, x) }) }
	w.unlock = func(fd handle) error { return h.call("unlock", func() error { return c.unlock(fd) }) }
	w.link = func(a, b string) error { return h.call("link", func() error { return c.link(a, b) }) }
	w.rename = func(a, b string) error { return h.call("rename", func() error { return c.rename(a, b) }) }
	w.remove = func(a string) error { return h.call("remove", func() error { return c.remove(a) }) }
	w.syncDir = func(a string) error { return h.call("syncdir", func() error { return c.syncDir(a) }) }
	return w
}

func (h *SystemHooks) wrapTransfers(w *calls, c calls) {
	w.pread = func(fd handle, buf []byte, offset int64) (int, error) {
		if err := h.before("pread"); err != nil {
			return -1, err
		}
		h.wait()
		return c.pread(fd, buf[:h.cut(len(buf))], offset)
	}
	w.pwrite = func(fd handle, buf []byte, offset int64) (int, error) {
		if err := h.before("pwrite"); err != nil {
			return -1, err
		}
		h.wait()
		return c.pwrite(fd, buf[:h.cut(len(buf))], offset)
	}
	if c.pwritev == nil {
		return
	}
	w.pwritev = func(fd handle, bufs [][]byte, offset int64) (int, error) {
		if err := h.before("pwritev"); err != nil {
			return -1, err
		}
		h.wait()
		left := h.cut(int(total(bufs)))
		var part [][]byte
		for _, b := range bufs {
			part = append(part, b[:min(len(b), left)])
			left -= min(len(b), left)
		}
		return c.pwritev(fd, part, offset)
	}
}

func (h *SystemHooks) call(name string, call func() error) error {
	if err := h.before(name); err != nil {
		return err
	}
	return call()
}

func (h *SystemHooks) before(name string) error {
	h.Calls[name].Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail == nil {
		return nil
	}
	return h.fail()
}

func (h *SystemHooks) cut(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.short > 0 {
		return min(n, h.short)
	}
	return n
}

func (h *SystemHooks) wait() {
	h.mu.Lock()
	held, holding := h.held, h.holding
	if held != nil && holding != nil {
		close(holding)
		h.holding = nil
	}
	h.mu.Unlock()
	if held != nil {
		<-held
	}
}

// Short cuts transfers to n bytes; 0: no more.
func (h *SystemHooks) Short(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.short = n
}

// SetFail sets a function whose error is that of the next call; nil: none.
func (h *SystemHooks) SetFail(fail func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = fail
}

// FailNext makes the next n calls fail with err.
func (h *SystemHooks) FailNext(n int, err error) {
	h.SetFail(func() error {
		if n <= 0 {
			return nil
		}
		n--
		return err
	})
}

// Hold holds reads and writes back. started waits until one has come to the system call; release lets them go on.
func (h *SystemHooks) Hold() (started, release func()) {
	held, holding := make(chan struct{}), make(chan struct{})
	h.mu.Lock()
	h.held, h.holding = held, holding
	h.mu.Unlock()
	return func() { <-holding }, sync.OnceFunc(func() {
		h.mu.Lock()
		h.held, h.holding = nil, nil
		h.mu.Unlock()
		close(held)
	})
}
