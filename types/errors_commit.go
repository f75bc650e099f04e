package types

import "errors"

var (
	// ErrCommitUnknown means that a write or sync of the log failed while the commit was on its way, or that a Close failed
	// then: after a reopen it may be there or not. It is the only error of a commit that leaves that open.
	ErrCommitUnknown = errors.New("pawl: outcome of the commit is unknown")
	// ErrFailed means that an earlier failed write or sync made the database refuse further writes. It serves reads from
	// the last durable snapshot; a reopen recovers.
	ErrFailed = errors.New("pawl: database refuses writes after a failure")
	// ErrFull means that MaxSize, or the disk, leaves no room for what the transaction wants to add. The transaction
	// fails alone; the database goes on.
	ErrFull = errors.New("pawl: database is full")
)
