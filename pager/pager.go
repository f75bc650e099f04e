package pager

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// Config says how to open a database file. Fields are required unless said.
type Config struct {
	IO        io.Submitter
	Path      string // of the database file; the log lies beside it, with "-wal" behind
	PageSize  int    // of a new file, 512 to 65536, a power of two; 0: 4096. An existing file with another one is ErrPageSize unless 0
	CacheSize int64  // bytes of images and map nodes in memory, dirty pages included
	ReadOnly  bool   // write nothing, replay the log in memory
	MustExist bool   // do not create the file
	FileMode  uint32 // permission bits of a new file
	MaxSize   int64  // bytes of file and log together; 0: no limit. Over it is ErrFull

	FirstSegment, Segment uint32 // bytes of log segments; 0: wal's defaults
	Clock                 bool   // tell ages and durations in reports, by the IO's clock
	ExactAges             bool   // with Clock: look at it when a reader starts, too. Else its age is told from the first commit behind that, or the first report

	// MaxHeldBytes ends the readers of an older generation, with types.ErrSnapshotExpired, when they alone keep more
	// bytes of superseded blocks and of the log from being used again; 0: they may keep what they want.
	MaxHeldBytes int64

	// CheckpointRate is how many bytes a second a passive checkpoint writes to the database file at the most, on average,
	// measured with the IO's clock; 0: no limit. The log grows by what is committed meanwhile.
	CheckpointRate int64

	// OnAdvance is told that the watermarks moved, and OnFailed that the log failed, by whoever stepped
	// the flush, with no lock held. Both may be nil.
	OnAdvance func(durable, visible types.Seq)
	OnFailed  func(err error)

	// OnLetGo is told that a checkpoint, a copy or a read that was given up, or failed, reads its snapshot no more, by whoever
	// retired its last I/O, with no lock held. It may be nil.
	OnLetGo func()

	// OnLoaded is told each time that as much as a sixteenth of the cache was read into it, by whoever read the last of it. It must not
	// wait, and not call the database. It may be nil.
	OnLoaded func()

	// OnRecovery is told that Open is about to read the log, by whoever steps it. It may be nil.
	OnRecovery func()
}

// Pager owns the database file and its log. Its operations are machines; the methods that take no I/O say so.
type Pager struct {
	cfg      Config
	io       io.Submitter
	pageSize int
	file     io.File
	name     string // base name, for errors
	log      *wal.Log

	cache   *cache
	space   *space // nil in a read-only open
	readers *registry
	turn    types.Turn // the writer's
	ckpt    types.Turn // one checkpoint, copy of meta blocks or shrinking at a time
	resize  types.Turn // the file's length
	syncing types.Turn // one sync of the file at a time: two at once could each take the other's error

	published atomic.Pointer[Snapshot]
	closed    atomic.Bool // Close has begun to close the files

	mu           sync.Mutex
	gen          *generation   // newest durable
	live         []*generation // with readers, or newest; ascending
	meta         metaBlock     // last proven durable; of a clean file that was only read: last found
	metaProven   bool          // meta is proven durable, not only found
	publications uint64        // snapshots published
	commits      []queuedCommit
	queued       Globals // as of the newest queued commit: the next writer's base
	interval     interval
	running      interval // of the checkpoint under way
	need         need     // of the commit that has the writer's turn
	recounts     uint64   // times that needOf may have come to return something else, but for commits
	fileFailures uint64   // failed syncs of the file: what was written before the last one and not synced since is void
	fileFailure  error    // the last of them
	failedInARow int
	failed       error // sticky
	ids          idAllocator
	spareExtent  []byte                         // for the next extent that is written; empty while one is
	covered      map[types.Generation]types.Seq // by the generations that have a layer in the log's index
	snapshots    []*Snapshot                    // scratch of reap
	seqs         []types.Seq                    // scratch of commit, as are
	logged       []types.PageID                 // which the writer's turn guards, and
	changed      []types.PageID
	superseded   []types.PageID // by the newest queued commit: the version before was still visible then
	spareSet     dirtySet       // an empty one, for the next transaction; guarded likewise
	indexHeld    int64          // bytes of the log's index that the cache's budget pays for
	differ       wal.Differ     // of commit, which the writer's turn guards
	recorded     recorded       // likewise
	figures      figures
	writing      atomic.Bool      // somebody has the writer's turn, for Stats, as are
	dirty        atomic.Int64     // bytes in memory of the transaction's pages, and
	spilled      atomic.Uint64    // pages written ahead of their commit
	pacing       *io.Attempt      // the timer that a checkpoint waits for to keep to its rate; may be over
	hurry        atomic.Int32     // checkpoints, waiting or under way, that the rate limit is lifted for
	judged       types.Generation // the newest one when readers were last judged by what they hold
}

// queuedCommit is a commit not below the durable watermark. Pager.commits has all of them, one behind the other.
type queuedCommit struct {
	seq     types.Seq
	globals Globals
}

// chargeIndex makes the cache's budget pay for the log's index. Small differences wait. The caller holds p.mu.
func (p *Pager) chargeIndex() {
	now := p.log.IndexBytes()
	if delta := now - p.indexHeld; delta > indexChargeMin || delta < -indexChargeMin {
		p.cache.hold(delta)
		p.indexHeld = now
	}
}

const indexChargeMin = 64 << 10

// base returns the last element of a path, for messages.
func base(name string) string { return path.Base(name) }

// PageSize returns the bytes of a page.
func (p *Pager) PageSize() int { return p.pageSize }

// Path returns the name of the database file, links resolved.
func (p *Pager) Path() string { return p.file.Name() }

// Log returns the log, for its watermarks, its flush machine and its figures.
func (p *Pager) Log() *wal.Log { return p.log }

// Failed returns the error that made the database refuse writes, or nil.
func (p *Pager) Failed() error {
	if err := p.log.Failed(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// refuses returns why whoever has got a turn can't go on: the database has failed, or it was closed meanwhile, which is
// io.ErrClosed.
func (p *Pager) refuses() error {
	if p.closed.Load() {
		return io.ErrClosed
	}
	return p.Failed()
}

// fail makes the database refuse further writes, with the first cause.
func (p *Pager) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = fmt.Errorf("%w: %w", types.ErrFailed, err)
	}
}

// Snapshot returns the newest published snapshot without registering a reader: good for its figures, not for reads.
func (p *Pager) Snapshot() *Snapshot { return p.published.Load() }

// publish makes a snapshot the one that new readers get. The caller holds p.mu.
func (p *Pager) publish(seq types.Seq, g Globals) {
	p.publications++
	p.published.Store(&Snapshot{Seq: seq, Globals: g, gen: p.gen, n: p.publications})
}

// Written implements wal.Observer: the frames of commits can be read from the log, so their images may be evicted.
func (p *Pager) Written(commits []*wal.Commit) {
	p.mu.Lock() // a commit may be written before the goroutine that has just queued it has published, and pinned, its images
	defer p.mu.Unlock()
	for _, c := range commits {
		for _, img := range c.Tag.(*staged).images {
			p.cache.unpin(img)
		}
		c.Tag = nil
	}
}

// Advanced implements wal.Observer.
func (p *Pager) Advanced(durable, visible types.Seq) {
	p.mu.Lock()
	// The log may have failed since, by an I/O beside its flush: then logFailed has published what is durable, or will.
	lost := visible > durable && p.log.Failed() != nil
	if snap := p.published.Load(); visible != snap.Seq && !lost {
		if q := p.queuedAt(visible); q != nil {
			p.publish(visible, q.globals)
		}
	}
	p.forgetBefore(durable) // durable itself stays: a failure falls back to it
	p.mu.Unlock()
	if p.cfg.OnAdvance != nil {
		p.cfg.OnAdvance(durable, visible)
	}
}

// queuedAt returns a commit that is not below the durable watermark, nil if the newest of them is older. The caller holds p.mu.
func (p *Pager) queuedAt(s types.Seq) *queuedCommit {
	if len(p.commits) == 0 || s < p.commits[0].seq || s-p.commits[0].seq >= types.Seq(len(p.commits)) {
		return nil
	}
	return &p.commits[s-p.commits[0].seq]
}

// forgetBefore forgets the commits below durable. The caller holds p.mu.
func (p *Pager) forgetBefore(durable types.Seq) {
	if len(p.commits) == 0 || durable <= p.commits[0].seq {
		return
	}
	keep := min(durable-p.commits[0].seq, types.Seq(len(p.commits)))
	p.commits = append(p.commits[:0], p.commits[keep:]...)
}

// Failed implements part of wal.Observer through observer; see there.
func (p *Pager) logFailed(err error) {
	durable := p.log.Durable()
	p.mu.Lock()
	g := p.gen.globals
	if q := p.queuedAt(durable); q != nil {
		g = q.globals
	}
	if snap := p.published.Load(); snap.Seq > durable {
		p.publish(durable, g)
	}
	p.mu.Unlock()
	p.cache.discardAbove(durable)
	if p.cfg.OnFailed != nil {
		p.cfg.OnFailed(err)
	}
}

// observer adapts the pager to wal.Observer, whose Failed has another meaning than the pager's.
type observer struct{ *Pager }

// Failed tells the pager that the log has failed for good.
func (o observer) Failed(err error) { o.logFailed(err) }
