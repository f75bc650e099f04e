package types

import "errors"

var (
	// ErrNotDatabase means that the file is not a pawl database.
	ErrNotDatabase = errors.New("pawl: not a pawl database")
	// ErrVersion means that the file was written in a format that this version does not read.
	ErrVersion = errors.New("pawl: unknown format version")
	// ErrPageSize means that the file has another page size than the one asked for.
	ErrPageSize = errors.New("pawl: page size differs")
	// ErrLogMissing means that the database needs its log and there is none beside it.
	ErrLogMissing = errors.New("pawl: log is missing")
	// ErrLogMismatch means that the log beside the database is another one's, or of another time of its life.
	ErrLogMismatch = errors.New("pawl: log does not belong to the database as it is")
)
