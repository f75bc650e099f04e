package pager

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// OpenInfo says how a database was found.
type OpenInfo struct {
	Created  bool
	Clean    bool         // the database file alone was complete
	Recovery wal.Recovery // of a database that was not clean
}

// Opened is an open database.
type Opened struct {
	Pager *Pager
	Info  OpenInfo
}

type openState uint8

const (
	openStat    openState = iota // work: is there a file?
	openStats                    // await
	openCreate                   // await: a new file is being made
	openFile                     // await: the file is being opened
	openLock                     // await: its lock
	openSame                     // await: does the name still lead to the file that is locked?
	openMeta                     // await: the meta blocks are being read
	openBitmaps                  // await: free space is being read
	openStale                    // await: the log beside a clean file is looked at
	openRecover                  // await: the log is being recovered
	openReserve                  // work: blocks for what was recovered
	openGrow                     // await: the file is being made longer
	openRewrite                  // await: the meta block is being written again
	openSync                     // await
	openEnded                    // end
)

// Open is a machine that opens a database: the states that it can find, and what it does before it serves anything, are in
// the package's documentation.
//
//	stat --missing--> create --+
//	  |                        v
//	  +--------------------> file -> lock -> same --another file--> file
//	                                          |
//	                                          v
//	                                         meta -> bitmaps --clean--> stale -----------------> done
//	                                                   |                                          ^
//	                                                   +--needs log--> recover -> reserve (-> grow) -> rewrite -> sync
//
// Errors: fs.ErrNotExist, types.ErrNotDatabase, types.ErrVersion, types.ErrPageSize, types.ErrLogMissing,
// types.ErrLogMismatch, io.LockedError, *types.CorruptError, and what the IO reports.
type Open struct {
	p    *Pager
	info OpenInfo

	state   openState
	try     io.Attempt
	io      io.Completion
	look    io.Lookup
	open    io.Opening
	create  *createFile
	slots   [2 * metaSlotSize]byte
	bitmaps *bitmapLoad
	stale   wal.CheckStale
	recover wal.Recover
	grow    *growFile
	bufs    [1][]byte
	changed []types.PageID // by the commits that were recovered
	images  int            // of them with an image or a delta
	sync    *fileSync
	closing *io.Completion // of the file, behind a failure
}

// Closing returns, of an Open that has failed, what finishes when its file is closed and the lock is free; nil if there is
// none.
func (o *Open) Closing() *io.Completion { return o.closing }

// Start readies the machine.
func (o *Open) Start(cfg Config) {
	*o = Open{p: &Pager{cfg: cfg, io: cfg.IO, name: base(cfg.Path), readers: newRegistry(), cache: newCache(cfg.CacheSize)}}
	o.p.cache.onLoaded = cfg.OnLoaded
	o.p.covered = map[types.Generation]types.Seq{}
}

// Step goes on with opening.
func (o *Open) Step() (types.IOResult[Opened], error) {
	for {
		wait, err := o.step()
		if err != nil {
			return types.Fail[Opened](o.Abort(err))
		}
		if wait != nil {
			return types.Wait[Opened](wait)
		}
		if o.state == openEnded {
			return types.Done(Opened{o.p, o.info})
		}
	}
}

// step does what the state asks for, once.
func (o *Open) step() (*io.Completion, error) {
	p := o.p
	switch o.state {
	case openStat:
		if p.cfg.PageSize != 0 && !validPageSize(p.cfg.PageSize) {
			return nil, fmt.Errorf("%w: %d is not a power of two from %d to %d", types.ErrPageSize, p.cfg.PageSize, pageSizeMin, pageSizeMax)
		}
		o.look.Path = p.cfg.Path
		o.state = openStats
		p.io.Stat(o.try.Begin("the database file to be looked up"), &o.look)
	case openStats:
		return o.found()
	case openCreate:
		wait, err := stepInto(o.create, &o.state, openFile)
		if wait == nil && err == nil {
			o.info.Created = o.create.made
			o.submitOpen()
		}
		return wait, err
	case openFile:
		return o.opened()
	case openLock:
		return o.awaitIO(func() error {
			o.look = io.Lookup{Path: p.cfg.Path}
			o.state = openSame
			p.io.Stat(&o.io, &o.look)
			return nil
		})
	case openSame:
		return o.awaitIO(o.same)
	case openMeta:
		return o.awaitIO(o.readMeta)
	case openBitmaps:
		return o.loadBitmaps()
	case openStale:
		wait, err := stepInto(&o.stale, &o.state, openEnded)
		if wait == nil && err == nil {
			o.serve(p.gen.covered, p.gen.globals)
		}
		return wait, err
	case openRecover:
		return o.recovered()
	case openReserve:
		return nil, o.reserve()
	case openGrow:
		return stepInto(o.grow, &o.state, openReserve)
	case openRewrite:
		return o.awaitIO(func() error {
			o.sync, o.state = newFileSync(p), openSync
			return nil
		})
	case openSync:
		wait, err := stepInto(o.sync, &o.state, openEnded)
		p.metaProven = wait == nil && err == nil
		return wait, err
	default:
		panic(invariant.Failf("pager: Open stepped in state %d", o.state))
	}
	return nil, nil
}

// awaitIO runs then once the I/O has succeeded.
func (o *Open) awaitIO(then func() error) (*io.Completion, error) {
	if !o.io.Done() {
		return &o.io, nil
	}
	if err := o.io.Err(); err != nil {
		return nil, err
	}
	o.io.Reset()
	return nil, then()
}

// found decides what to do with the name.
func (o *Open) found() (*io.Completion, error) {
	p := o.p
	if c := o.try.Over(); !c.Done() {
		return c, nil
	}
	err := o.try.Err()
	o.try.Reset()
	switch {
	case err == nil && o.look.Size == 0 && !p.cfg.ReadOnly && !p.cfg.MustExist:
		return nil, fmt.Errorf("%w: %s is empty", types.ErrNotDatabase, p.name)
	case err == nil:
		o.submitOpen()
		return nil, nil
	case !errors.Is(err, fs.ErrNotExist) || p.cfg.ReadOnly || p.cfg.MustExist:
		return nil, err
	}
	if o.look.Real != "" {
		p.cfg.Path = o.look.Real // a link to a missing file: that is made, not the link replaced
	}
	o.create, o.state = newCreateFile(p), openCreate
	return nil, nil
}

// submitOpen opens the file.
func (o *Open) submitOpen() {
	o.open = io.Opening{Path: o.p.cfg.Path}
	if !o.p.cfg.ReadOnly {
		o.open.Flag = io.OpenWrite
	}
	o.state = openFile
	o.p.io.Open(&o.io, &o.open)
}

// opened takes the file and asks for its lock.
func (o *Open) opened() (*io.Completion, error) {
	return o.awaitIO(func() error {
		p := o.p
		p.file = o.open.File
		p.cfg.Path = o.open.Real // from here the log is looked for beside the file, not beside a link to it
		o.state = openLock
		p.file.Lock(&o.io, !p.cfg.ReadOnly)
		return nil
	})
}

// same makes sure that the file that is locked is still the one that the name leads to.
func (o *Open) same() error {
	p := o.p
	if o.look.ID != o.open.ID {
		p.file.Close(new(io.Completion))
		p.file = nil
		o.submitOpen()
		return nil
	}
	if o.look.Size < 2*metaSlotSize {
		return fmt.Errorf("%w: %s has %d bytes, too few for a database", types.ErrNotDatabase, p.name, o.look.Size)
	}
	o.state = openMeta
	p.file.Read(&o.io, o.slots[:], 0)
	return nil
}

// readMeta takes the newest meta block.
func (o *Open) readMeta() error {
	p := o.p
	m, _, err := chooseMeta(o.slots[:metaSlotSize], o.slots[metaSlotSize:], p.name)
	if err != nil {
		return err
	}
	if p.cfg.PageSize != 0 && p.cfg.PageSize != m.PageSize {
		return fmt.Errorf("%w: %s has pages of %d bytes, not %d", types.ErrPageSize, p.name, m.PageSize, p.cfg.PageSize)
	}
	p.pageSize, p.meta, p.metaProven = m.PageSize, m, o.info.Created
	if have := types.Block(o.look.Size / int64(p.pageSize)); m.Blocks > have {
		return &types.CorruptError{File: p.name, Offset: o.look.Size,
			Detail: fmt.Sprintf("the file ends here, in block %d of %d", have, m.Blocks)}
	}
	p.gen = &generation{
		number: m.Generation, covered: m.Covered, globals: m.Globals,
		root: m.MapRoot, sum: m.MapSum, height: m.MapHeight, blocks: m.Blocks,
	}
	p.live = []*generation{p.gen}
	p.covered[m.Generation] = m.Covered
	p.log = wal.New(wal.Config{
		IO: p.io, Path: p.cfg.Path + "-wal", Database: m.Database, PageSize: p.pageSize,
		FirstSegment: p.cfg.FirstSegment, Segment: p.cfg.Segment, Observer: observer{p}, Limit: p.logLimit,
	}, m.Generation, m.Covered)
	p.log.SetMeta(m.Write)
	if p.cfg.ReadOnly {
		o.readLog()
		return nil
	}
	o.bitmaps = newBitmapLoad(bitmapSource{
		file: p.file, name: p.name, size: o.look.Size, pageSize: p.pageSize, metaOffset: int64(m.slot()) * metaSlotSize,
		generation: m.Generation, blocks: m.Blocks, homeAndFree: m.BitmapRoot, sum: m.BitmapSum, height: m.BitmapHeight,
	})
	o.state = openBitmaps
	return nil
}

// logLimit keeps the log within MaxSize.
func (p *Pager) logLimit(size int64) error {
	if p.cfg.MaxSize == 0 || p.space == nil {
		return nil
	}
	if total := int64(p.space.blocks())*int64(p.pageSize) + size; total > p.cfg.MaxSize {
		return fmt.Errorf("%w: %s and its log would have %d bytes, the limit is %d", types.ErrFull, p.name, total, p.cfg.MaxSize)
	}
	return nil
}

// loadBitmaps takes the free space of the generation. The file may be longer than that: it has grown since.
func (o *Open) loadBitmaps() (*io.Completion, error) {
	p := o.p
	res, err := o.bitmaps.Step()
	if err != nil || res.Pending != nil {
		return res.Pending, err
	}
	p.gen.used, p.gen.bitmaps = res.Value.used, res.Value.tree
	p.space = newSpace(p.pageSize, p.gen.number, p.gen.used)
	p.space.onFree, p.cache.onLate = p.cache.dropNode, p.lateRead
	if n, ok := p.space.lengthWithin(types.Block(o.look.Size / int64(p.pageSize))); ok {
		p.space.grow(n)
	}
	o.readLog()
	return nil, nil
}

// readLog goes on with the log.
func (o *Open) readLog() {
	p := o.p
	if p.meta.Clean {
		o.info.Clean = true
		o.stale.Start(p.log, p.meta.Write)
		o.state = openStale
		return
	}
	pages := uint64(o.look.Size/int64(p.pageSize)) + 1
	if p.cfg.OnRecovery != nil {
		p.cfg.OnRecovery()
	}
	o.recover.Start(p.log, p.meta.Log, p.meta.Write, p.meta.Covered, pages, p.cfg.ReadOnly)
	o.state = openRecover
}

// recovered takes what the log holds.
func (o *Open) recovered() (*io.Completion, error) {
	p := o.p
	res, err := o.recover.Step()
	if err != nil || res.Pending != nil {
		return res.Pending, err
	}
	r := res.Value
	o.info.Recovery = r
	globals := p.gen.globals
	if r.Record != nil {
		if globals, err = decodeGlobals(r.Record, base(p.cfg.Path)+"-wal", r.End.Offset); err != nil {
			return nil, err
		}
	}
	p.serveAt(r.Last, globals)
	for _, run := range p.log.References(p.gen.number) {
		if problem := o.takeReferred(run); problem != "" {
			return nil, &types.CorruptError{File: base(p.cfg.Path) + "-wal", Offset: r.End.Offset,
				Detail: fmt.Sprintf("the log refers to %d blocks at %d, which are %s", run.Count, run.First, problem)}
		}
	}
	if p.cfg.ReadOnly {
		o.state = openEnded
		return nil, nil
	}
	o.changed, o.images = p.log.Changed(p.gen.number, r.Last)
	o.state = openReserve
	return nil, nil
}

// takeReferred takes the blocks that a reference in the log names, and returns what is wrong with them, or "". A read-only open
// knows no free space: it makes sure that they are there, and where pages can be.
func (o *Open) takeReferred(run types.Run) string {
	p := o.p
	g := geometryOf(p.pageSize)
	switch {
	case run.End() > types.Block(o.look.Size/int64(p.pageSize)):
		return "behind the end of the file"
	case !p.cfg.ReadOnly && !p.space.takeExact(run):
		return "not free"
	case g.isFixed(run.First) || run.First/g.chunk != (run.End()-1)/g.chunk:
		return "not where pages can be"
	}
	return ""
}

// reserve reserves blocks for the next checkpoint, as the commits that were recovered had done, and begins to write the
// meta block again: what the page cache shows of it may never have reached the disk.
func (o *Open) reserve() error {
	p := o.p
	p.mu.Lock()
	need := p.needBehind(o.images, o.changed)
	p.mu.Unlock()
	if !p.space.reserve(need.blocks) {
		o.grow, o.state = &growFile{p: p, more: need.blocks}, openGrow
		return nil
	}
	p.mu.Lock()
	p.interval.add(&need)
	p.mu.Unlock()
	o.bufs[0] = p.meta.encode()
	o.state = openRewrite
	p.file.Write(&o.io, o.bufs[:], int64(p.meta.slot())*metaSlotSize)
	return nil
}

// serve makes the database's newest state the one that readers get.
func (o *Open) serve(seq types.Seq, g Globals) { o.p.serveAt(seq, g) }

// serveAt publishes the first snapshot.
func (p *Pager) serveAt(seq types.Seq, g Globals) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued = g
	p.commits = append(p.commits[:0], queuedCommit{seq, g})
	p.publish(seq, g)
}

// Abort closes the files.
func (o *Open) Abort(cause error) error {
	cause = types.Truncated(cause, 0)
	switch o.state {
	case openStats:
		o.try.Cancel()
	case openCreate:
		cause = o.create.Abort(cause)
	case openBitmaps:
		cause = o.bitmaps.Abort(cause)
	case openStale:
		cause = o.stale.Abort(cause)
	case openRecover:
		cause = o.recover.Abort(cause)
	case openGrow:
		cause = o.grow.Abort(cause)
	case openSync:
		cause = o.sync.Abort(cause)
	case openFile:
		if errors.Is(cause, io.ErrNotRegular) {
			cause = fmt.Errorf("%w: %w", types.ErrNotDatabase, cause)
		}
		if !o.io.Idle() {
			o.io.Cancel()
			o.io.OnRetire(func(*io.Completion) {
				if o.open.File != nil {
					o.open.File.Close(new(io.Completion))
				}
			})
		}
	default:
		if !o.io.Idle() {
			o.io.Cancel()
		}
	}
	o.state = openEnded
	o.leave()
	return cause
}

// leave closes the files. The database file's lock goes last: whoever gets it finds nothing under way in the log.
func (o *Open) leave() {
	p := o.p
	file := p.file
	if file != nil {
		o.closing = new(io.Completion)
		o.closing.ArmYield("the files to be closed")
	}
	closing := o.closing
	unlock := func() {
		if file == nil {
			return
		}
		c := new(io.Completion)
		file.Close(c)
		c.OnRetire(func(*io.Completion) { closing.Finish(0, nil) })
	}
	if p.log == nil {
		unlock()
		return
	}
	p.log.Discard(unlock)
}

// validPageSize reports whether a database can have pages of that many bytes.
func validPageSize(n int) bool { return n >= pageSizeMin && n <= pageSizeMax && n&(n-1) == 0 }
