package pawl

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// EventKind says what happened.
type EventKind uint8

// The kinds of event.
const (
	EventOpen       EventKind = iota + 1 // the database was opened; Seq is its newest commit
	EventRecovery                        // the log was replayed; Bytes of it, Detail tells if a torn end was dropped
	EventCommit                          // a commit is done; Seq, and Duration of its commit
	EventCheckpoint                      // a checkpoint ended; Seq that it covers, Bytes written, or Err
	EventStall                           // a writer waited for a checkpoint since the log was too long; Duration
	EventFailure                         // the database refuses writes from here on; Err
	EventClose                           // the database was closed; Err of its last checkpoint

	EventRecoveryBegin   // the log is about to be replayed; EventRecovery follows, unless Open fails
	EventCheckpointBegin // a checkpoint begins; EventCheckpoint follows. That of Close tells of neither
)

// String returns the name.
func (k EventKind) String() string {
	names := [...]string{"", "open", "recovery", "commit", "checkpoint", "stall", "failure", "close",
		"recovery begins", "checkpoint begins"}
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is something that happened in the database. Fields that mean nothing for its kind are zero.
type Event struct {
	Kind     EventKind
	Duration time.Duration
	Seq      uint64 // commit
	Bytes    int64
	Err      error
	Detail   string
}

// event tells the program, and the log of what an operator may want to know.
func (db *DB) event(e Event) {
	if db.opts.OnEvent != nil {
		db.opts.OnEvent(e)
	}
	switch {
	case db.opts.Logger == nil, e.Kind == EventCommit, e.Kind == EventRecoveryBegin, e.Kind == EventCheckpointBegin:
		return
	}
	level := slog.LevelInfo
	if e.Err != nil || e.Kind == EventStall {
		level = slog.LevelWarn
	}
	args := []any{"path", db.path, "seq", e.Seq}
	if e.Duration != 0 {
		args = append(args, "duration", e.Duration)
	}
	if e.Bytes != 0 {
		args = append(args, "bytes", e.Bytes)
	}
	if e.Detail != "" {
		args = append(args, "detail", e.Detail)
	}
	if e.Err != nil {
		args = append(args, "error", e.Err)
	}
	db.opts.Logger.Log(context.Background(), level, "pawl: "+e.Kind.String(), args...)
}
