package pawl

import (
	"context"
	"errors"
	"time"

	"github.com/pawldb/pawl/io"
)

// work is the background goroutine: it syncs relaxed commits within the interval, and makes checkpoints when the log is long.
// It sleeps on a channel, without a timer, while there is nothing to do.
func (db *DB) work() {
	defer close(db.stopped)
	ctx := db.background
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.wake:
		}
		if db.relaxed.Load() {
			db.pause(ctx, db.opts.SyncInterval)
			_ = db.sync(ctx) // a failure is sticky in the log, and told by OnFailed
		}
		if ctx.Err() == nil && db.logBytes() >= db.opts.CheckpointBytes {
			if _, err := db.checkpoint(ctx, Passive); err != nil { // told by its event; the next commit asks again
				continue
			}
		}
	}
}

// pause waits on the IO's clock.
func (db *DB) pause(ctx context.Context, d time.Duration) {
	var c io.Completion
	db.io.Timer(&c, int64(d))
	if db.io.Wait(ctx, &c) != nil {
		c.Cancel()
	}
}

// signalWork wakes the background goroutine.
func (db *DB) signalWork() {
	select {
	case db.wake <- struct{}{}:
	default:
	}
}

// logBytes returns how long the part of the log is that no checkpoint has covered.
func (db *DB) logBytes() int64 { return db.p.NeedsLog() }

// keepUp makes a writer wait for a checkpoint if the log has got too long, because the disk can't keep up; or if there is little
// room and the disk was full when there last was, because a checkpoint makes room out of what the log and the file have.
func (db *DB) keepUp(ctx context.Context) error {
	used := db.logBytes()
	if used < 2*db.opts.CheckpointBytes && (used == 0 || !db.needsRoom()) {
		return nil
	}
	began := db.io.Now()
	_, err := db.checkpoint(ctx, Passive)
	db.event(Event{Kind: EventStall, Duration: time.Duration(db.io.Now() - began), Err: err})
	return ctx.Err()
}

// foundFull notes that err says that the disk, or what MaxSize allows, is full.
func (db *DB) foundFull(err error) {
	if errors.Is(err, ErrFull) && !db.opts.ReadOnly {
		db.full.Store(max(db.p.Room().Bytes, 1))
	}
}

// needsRoom reports whether there is little room, and growing failed when the files were as long as they are now.
func (db *DB) needsRoom() bool {
	full := db.full.Load()
	if full == 0 {
		return false
	}
	room := db.p.Room()
	if room.Bytes > full { // they have grown since: there is space again
		db.full.CompareAndSwap(full, 0)
		return false
	}
	return room.Tight
}
