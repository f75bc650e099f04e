package pager

import (
	"cmp"
	"slices"

	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// Stats are figures of an open database: of now, or, where it is said, since its open. They are gathered one after the
// other, while others go on: two of them may be of slightly different moments.
type Stats struct {
	PageSize  int   // bytes of a page, and of a block
	FileBytes int64 // length of the database file
	LogBytes  int64 // length of the log's file; 0: there is none
	NeedsLog  int64 // bytes of the log that an open after a crash would read: what the next checkpoint makes superfluous

	// Blocks of the database file. What is neither live nor free is held: by readers of older generations, by the log
	// that refers to it, by the transaction or the checkpoint under way. A read-only open does not count them: 0.
	LiveBlocks     uint64 // in the newest generation: pages, its map, bitmaps, meta blocks; and places of bitmaps behind its end
	FreeBlocks     uint64 // may be taken, the reserved ones included
	ReservedBlocks uint64 // promised to the next checkpoint
	HeldBlocks     uint64

	Pages    uint64       // page ids in use, as of Visible; an extent has one
	NextPage types.PageID // every page id in use is below

	Durable types.Seq // newest commit on stable storage
	Visible types.Seq // newest commit that a new reader sees
	Queued  types.Seq // newest commit that the log was handed

	Generation types.Generation // newest one
	Covered    types.Seq        // newest commit in it

	Cache      CacheStats
	Log        wal.Stats // Groups, Commits and Syncs since the open tell how many commits share a group, and a sync
	Checkpoint CheckpointStats

	FileSyncs       uint64 // of the database file, since the open
	FailedFileSyncs uint64

	Writing        bool  // a transaction has the writer's turn
	WritersWaiting int   // claims behind it
	DirtyBytes     int64 // in memory, of that transaction's pages and what they were made of, as of its last MakeRoom; what is also on disk included
	SpilledPages   uint64
	OldestReader   types.Seq // of the commits that Readers see; Visible without one

	Readers []ReaderStats // oldest generation first, then by commit
}

// CacheStats are figures of the cache. Hits are not counted: a counter that all readers write would cost more than the hit.
type CacheStats struct {
	Budget    int64  // bytes that images and map nodes may take
	Bytes     int64  // that they take, with overhead; more than Budget only while pinned ones, or Outside, need it
	Pinned    int64  // of Bytes: not written to the log yet, so that they can't be evicted
	Outside   int64  // bytes beside the cache that the budget pays
	Images    int    // in memory, map nodes included
	MapNodes  int    // of Images
	Misses    uint64 // since the open: pages and map nodes that were read, or whose read was joined
	Evictions uint64 // since the open
	Returned  uint64 // of what was evicted, read again soon after
}

// CheckpointStats are figures of checkpoints since the open.
type CheckpointStats struct {
	Done      uint64 // generations made
	Failed    uint64 // attempts that came to nothing, those that were given up included; a checkpoint is one or two
	Bytes     uint64 // written to the database file by both kinds
	LastNanos int64  // how long the last one that was done took, behind its turn, up to its meta block; 0 without Config.Clock
}

// ReaderStats says what a reader keeps from being used again.
type ReaderStats struct {
	Seq        types.Seq        // newest commit that it sees
	Generation types.Generation // that it reads through
	AgeNanos   int64            // since it started, see Config.ExactAges; 0 without Config.Clock, and for the pager's own readers

	// What the readers of its generation, this one among them, keep alone: it would be free without them. Both are 0 for
	// the newest generation.
	HeldBlocks   uint64
	HeldLogBytes int64

	Sharing int  // readers of the same generation, this one included
	Own     bool // the pager's own: the transaction, a checkpoint
	Expired bool // it was ended; a read that is under way keeps what it holds until that is over
}

// HeldBytes returns the bytes of blocks and log that the reader's generation keeps alone.
func (r *ReaderStats) HeldBytes(pageSize int) int64 {
	return int64(r.HeldBlocks)*int64(pageSize) + r.HeldLogBytes
}

// CommitsPerGroup returns how many commits share a group of the log on average, since the open; 0 before the first.
func (s *Stats) CommitsPerGroup() float64 {
	if s.Log.Groups == 0 {
		return 0
	}
	return float64(s.Log.Commits) / float64(s.Log.Groups)
}

// Stats returns the database's figures. It needs no I/O and waits for none; it may be called from any goroutine until Close.
// It costs a scan of the readers' slots, and, for each older generation that has readers, of how its blocks differ from its
// neighbours'.
func (p *Pager) Stats() Stats {
	s := Stats{PageSize: p.pageSize, Log: p.log.Stats(), Cache: p.cache.publicStats()}
	s.LogBytes = s.Log.FileBytes
	s.Writing, s.WritersWaiting = p.writing.Load(), p.turn.Queued()
	s.DirtyBytes, s.SpilledPages = p.dirty.Load(), p.spilled.Load()
	s.Durable, s.Visible, s.Queued = p.log.Durable(), p.log.Visible(), p.log.Queued()
	began := p.log.Began()
	snap := p.published.Load()
	s.Pages, s.NextPage = snap.Globals.Pages, snap.Globals.NextPage

	p.mu.Lock()
	defer p.mu.Unlock()
	if began {
		s.NeedsLog = p.log.Bytes(p.meta.Log)
	}
	s.Generation, s.Covered = p.gen.number, p.gen.covered
	s.Checkpoint = p.figures.checkpoints
	s.FileSyncs, s.FailedFileSyncs = p.figures.syncs, p.fileFailures
	blocks := p.gen.blocks
	if p.space != nil {
		blocks = p.space.blocks()
		s.LiveBlocks = p.gen.used.count()
		if blocks > p.gen.blocks {
			for _, run := range p.space.homesIn(p.gen.blocks, blocks) {
				s.LiveBlocks += uint64(run.Count)
			}
		}
		s.FreeBlocks, s.ReservedBlocks = p.space.available()
		s.HeldBlocks = uint64(blocks) - min(uint64(blocks), s.LiveBlocks+s.FreeBlocks)
	}
	s.FileBytes = p.bytes(uint64(blocks))
	p.addReaders(&s)
	return s
}

// Backlog returns how much waits for a checkpoint, for whoever decides after each commit whether one is due, which it is from limit on:
// the bytes of the log that it would make superfluous. Deltas make little log of many pages, so that their blocks, of which it may
// be four times as many bytes, and the log's index, which may take a quarter of the cache, count too, as the part of limit that
// they are of what they may be. So do blocks that commits refer to: a checkpoint does little for them, but what they replace can be
// overwritten only behind it, and a file that grows instead is slower to sync; nobody need wait for that. What readers of
// older states keep does not count: no checkpoint would free it.
func (p *Pager) Backlog(limit int64) int64 {
	if !p.log.Began() {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	index := float64(p.log.NewestIndexBytes()) / float64(max(p.cfg.CacheSize/backlogIndex, backlogIndexMin))
	refers := min(p.bytes(p.interval.refers), limit)
	return max(p.log.Bytes(p.meta.Log), p.bytes(p.interval.blocks)/backlogBlocks, int64(index*float64(limit)), refers)
}

const (
	backlogBlocks   = 4
	backlogIndex    = 4
	backlogIndexMin = 1 << 20
)

// addReaders fills in what s says of readers. The caller holds p.mu.
func (p *Pager) addReaders(s *Stats) {
	type held struct {
		blocks  uint64
		log     int64
		readers int
	}
	now := p.now()
	generations := map[types.Generation]*held{}
	p.readers.each(now, func(snap *Snapshot, opened int64) {
		r := ReaderStats{Seq: snap.Seq, Generation: snap.gen.number, Own: snap.n == 0, Expired: snap.expired}
		if opened != 0 {
			r.AgeNanos = max(0, now-opened)
		}
		s.Readers = append(s.Readers, r)
		h := generations[r.Generation]
		if h == nil {
			h = new(held)
			generations[r.Generation] = h
		}
		h.readers++
	})
	if p.space != nil {
		p.snapshots = p.readers.live(p.snapshots, &p.published)
		for _, gen := range p.live {
			if h := generations[gen.number]; h != nil && gen != p.gen {
				h.blocks, h.log = p.heldAlone(gen)
			}
		}
		clear(p.snapshots)
	}
	s.OldestReader = s.Visible
	for i := range s.Readers {
		r := &s.Readers[i]
		h := generations[r.Generation]
		r.HeldBlocks, r.HeldLogBytes, r.Sharing = h.blocks, h.log, h.readers
		s.OldestReader = min(s.OldestReader, r.Seq)
	}
	slices.SortStableFunc(s.Readers, func(a, b ReaderStats) int {
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Seq, b.Seq))
	})
}

// figures are what the pager counts for Stats alone. Its lock guards them.
type figures struct {
	checkpoints CheckpointStats
	syncs       uint64 // of the database file
}

// countAttempt notes how an attempt ended that had begun. The caller holds p.mu.
func (p *Pager) countAttempt(a *attempt, done bool) {
	c := &p.figures.checkpoints
	c.Bytes += uint64(a.pipe.bytes)
	if !done {
		c.Failed++
		return
	}
	c.Done++
	if p.cfg.Clock {
		c.LastNanos = p.io.Now() - a.began
	}
}

// publicStats returns the cache's figures for Stats.
func (c *cache) publicStats() CacheStats {
	s := c.figures()
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheStats{
		Budget: s.Budget, Bytes: s.Resident + s.Table, Pinned: s.Pinned, Outside: s.Held, Images: s.Images, MapNodes: len(c.nodes),
		Misses: s.Loads, Evictions: s.Evicted, Returned: s.Returned,
	}
}
