package pawl

import (
	"context"
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

// keepUp makes a writer wait for a checkpoint if the log has got too long: the disk can't keep up.
func (db *DB) keepUp(ctx context.Context) error {
	if db.logBytes() < 2*db.opts.CheckpointBytes {
		return nil
	}
	began := db.io.Now()
	_, err := db.checkpoint(ctx, Passive)
	db.event(Event{Kind: EventStall, Duration: time.Duration(db.io.Now() - began), Err: err})
	return ctx.Err()
}
