package plan

import (
	"fmt"
	"slices"
)

// Plan is one run: a row of eras on one disk, each from an open to a close, a power cut or the death of the process.
type Plan struct {
	Seed     uint64   // of the schedule, of what survives, of keys and values
	Order    Order    `json:",omitempty"`
	Change   []int    `json:",omitempty"` // PCT: steps at which the running actor falls to the last place; nil: random order
	PageSize int      // bytes
	Keys     KeyShape // of all keys
	KeyCount int      // distinct keys in a bucket
	Eras     []Era
}

// Order is how it is decided who gets on next.
type Order string

// The orders.
const (
	Drawn Order = ""      // by the seed: at random, or by priorities that change
	Fifo  Order = "fifo"  // the first actor that can; when none can, the oldest I/O ends: every I/O is waited for
	Eager Order = "eager" // as Fifo, but I/Os end within their submission, those that have faults excepted
)

// KeyShape is what keys look like.
type KeyShape string

// The shapes of keys.
const (
	ShortKeys  KeyShape = "short"  // 2 to 8 bytes
	PrefixKeys KeyShape = "prefix" // a long common prefix
	LimitKeys  KeyShape = "limit"  // some as long as keys can be
)

// Era is what happens between two opens.
type Era struct {
	CacheSize       int64
	CheckpointBytes int64
	Relaxed         bool  `json:",omitempty"` // by default
	ReadOnly        bool  `json:",omitempty"`
	MaxHeldBytes    int64 `json:",omitempty"`
	MaxSize         int64 `json:",omitempty"`
	Capacity        int64 `json:",omitempty"` // of the disk, in bytes; 0: no limit
	NoBackground    bool  `json:",omitempty"` // nobody does the background work
	CloseWith       bool  `json:",omitempty"` // the close begins with the clients
	InClose         bool  `json:",omitempty"` // Steps count from when the close begins, which has faults as all else
	Quiet           bool  `json:",omitempty"` // it only prepares the next ones: enumerations leave it alone

	Tamper  *Tamper `json:",omitempty"` // before the open
	Clients []Client
	Faults  []Fault `json:",omitempty"`
	AtClose []Fault `json:",omitempty"` // of an era with InClose, whose I/Os are numbered from when the close begins
	Decay   int64   `json:",omitempty"` // when the era has ended a bit of its files changes; 0: none
	Acts    []Act   `json:",omitempty"`
	End     End
	Steps   int    `json:",omitempty"` // of the schedule until the power is cut, or the process dies
	Near    string `json:",omitempty"` // Steps count from when so many I/Os of this name have ended, "meta" those of meta blocks, "shorten" a truncate to less
	Nth     int    `json:",omitempty"`
}

// Closes reports whether the database is closed while clients use it.
func (e *Era) Closes() bool {
	if e.CloseWith {
		return true
	}
	for i := range e.Clients {
		for j := range e.Clients[i].Tasks {
			if e.Clients[i].Tasks[j].Kind == Close {
				return true
			}
		}
	}
	return false
}

// Tamper is what is done to the files between two opens. An open may refuse them by an error that says so; then they are put back.
type Tamper struct {
	Kind TamperKind
	File TamperFile
	Back int `json:",omitempty"` // older: so many eras before the last one; foreign: number of the copy; garbage: which
	Size int `json:",omitempty"` // of garbage, in bytes
}

// TamperKind is what is done.
type TamperKind string

// The kinds of tampering.
const (
	TamperMissing TamperKind = "missing" // it is gone
	TamperOlder   TamperKind = "older"   // it is as it was before an earlier era
	TamperForeign TamperKind = "foreign" // it is another database's, a copy of an earlier state
	TamperGarbage TamperKind = "garbage" // it is not a database's at all
)

// TamperFile is to which file.
type TamperFile string

// The files.
const (
	TamperDB   TamperFile = "db"
	TamperLog  TamperFile = "log"
	TamperBoth TamperFile = "both"
)

// Tampers reports whether files are tampered with.
func (p *Plan) Tampers() bool {
	return slices.ContainsFunc(p.Eras, func(e Era) bool { return e.Tamper != nil })
}

// End is how an era ends.
type End string

// The ends of an era.
const (
	EndClose End = "close" // when all clients have ended
	EndCut   End = "cut"   // a power cut after Steps, at a moment when something is not synced if one comes soon
	EndKill  End = "kill"  // the process dies after Steps: what was written stays, whether synced or not
)

// Client does one thing after the other.
type Client struct {
	Tasks []Task
}

// Task is a transaction, or something else that a client does.
type Task struct {
	Kind     TaskKind
	Relaxed  bool `json:",omitempty"`
	Blocking bool `json:",omitempty"` // its calls block, under a context that ends instead of their being given up
	Mode     int  `json:",omitempty"` // of a checkpoint
	Leave    bool `json:",omitempty"` // roll back in the end
	GiveUp   int  `json:",omitempty"` // abort the operation at its n-th wait in this task; 0: never
	Ops      []Op `json:",omitempty"`
}

// TaskKind is what a task is.
type TaskKind string

// The kinds of task.
const (
	Write      TaskKind = "write"
	Read       TaskKind = "read"
	Sync       TaskKind = "sync"
	Checkpoint TaskKind = "checkpoint"
	Copy       TaskKind = "copy"
	Check      TaskKind = "check"
	WriteTo    TaskKind = "writeto" // a copy into a writer
	Compact    TaskKind = "compact" // into a new database
	Close      TaskKind = "close"
	OpenAgain  TaskKind = "openagain" // the same database, which is locked
)

// Op is an operation in a transaction.
type Op struct {
	ID     int // makes values distinct; kept when others are left out
	Kind   OpKind
	Bucket int `json:",omitempty"` // number of a path; 0: the root bucket
	Key    int
	To     int `json:",omitempty"` // a second key, a count, a second path
	Size   int `json:",omitempty"` // bytes of a value
}

// OpKind is what an operation does.
type OpKind string

// The kinds of operation.
const (
	Put          OpKind = "put"
	PutReader    OpKind = "putreader" // by a call that blocks
	PutIfAbsent  OpKind = "putifabsent"
	Modify       OpKind = "modify" // read, then write what was read and more
	Delete       OpKind = "delete"
	DeleteRange  OpKind = "deleterange"
	CreateBucket OpKind = "create"
	CreateAll    OpKind = "createall" // with the buckets above that are missing
	DropBucket   OpKind = "drop"
	MoveBucket   OpKind = "move"
	SetSequence  OpKind = "setsequence"
	Savepoint    OpKind = "savepoint"
	Undo         OpKind = "undo"
	Release      OpKind = "release"
	CursorDelete OpKind = "cursordelete"
	OnCommit     OpKind = "oncommit"

	Get       OpKind = "get"
	GetNow    OpKind = "getnow" // by a call that blocks
	GetMany   OpKind = "getmany"
	Scan      OpKind = "scan"
	ScanBack  OpKind = "scanback"
	Walk      OpKind = "walk"     // some steps with a cursor that the transaction keeps
	WalkBack  OpKind = "walkback" // the same, in the other direction
	Range     OpKind = "range"    // by a loop, which blocks
	RangeBack OpKind = "rangeback"
	ReadAt    OpKind = "readat"
	Has       OpKind = "has"
	First     OpKind = "first"
	Last      OpKind = "last"
	Stats     OpKind = "stats"
	Sequence  OpKind = "sequence"

	GetAppend    OpKind = "getappend"
	NextSequence OpKind = "nextsequence"
	Pause        OpKind = "pause" // let others go on for some steps
	Sleep        OpKind = "sleep" // until the clock has gone on by some milliseconds
)

// Fault is something that goes wrong: with the I/O of a number in its era, in the order of submission from 0, or from then on.
type Fault struct {
	IO    int
	Times int `json:",omitempty"` // this I/O and the next ones of its kind; 0: one
	Kind  FaultKind
	Of    string `json:",omitempty"` // it waits for the next I/O of this class, as "log read" or "file sync"; empty: any
	Arg   int64  `json:",omitempty"`
}

// String names the fault without its I/O.
func (f Fault) String() string {
	switch {
	case f.Times > 1<<20:
		return string(f.Kind) + " for good"
	case f.Times > 1:
		return fmt.Sprintf("%s %d times", f.Kind, f.Times)
	case f.Arg != 0:
		return fmt.Sprintf("%s %d", f.Kind, f.Arg)
	}
	return string(f.Kind)
}

// FaultKind is what goes wrong.
type FaultKind string

// The kinds of fault.
const (
	Fail     FaultKind = "fail"     // the I/O fails
	Refuse   FaultKind = "refuse"   // it fails within its submission
	NoSpace  FaultKind = "nospace"  // a write or growth finds the disk full
	FailSync FaultKind = "failsync" // the next sync fails, and what it was to make durable is lost though reads show it
	Short    FaultKind = "short"    // it moves its bytes in two parts
	Stuck    FaultKind = "stuck"    // it is under way for long, and retires late when it is cancelled
	Jump     FaultKind = "jump"     // the clock jumps by Arg nanoseconds
	Hold     FaultKind = "hold"     // it ends well, but not within its submission
	Cancel   FaultKind = "cancel"   // it ends as cancelled, and retires late
	Cut      FaultKind = "cut"      // the power fails while it is under way; Arg numbers what survives

	// Disks that lie.
	Lose   FaultKind = "lose"   // it succeeds and nothing happens
	Divert FaultKind = "divert" // it goes to another place
	FlipIO FaultKind = "flipio" // a bit changes on its way
	Rot    FaultKind = "rot"    // a bit of its file changes where it lies
)

// Act is something that happens to the actor that comes to wait as the n-th one of its era, counted from 0.
type Act struct {
	Wait int
	Kind ActKind
	Arg  int64 `json:",omitempty"`
}

// ActKind is what happens there.
type ActKind string

// The acts.
const (
	StepEarly   ActKind = "early"       // it is stepped again
	Abandon     ActKind = "abandon"     // its operation is aborted
	AbandonLate ActKind = "abandonlate" // the same, while what it has submitted can't be stopped any more
	AbandonLost ActKind = "abandonlost" // the same, and then that fails
	CutThere    ActKind = "cut"         // the power fails; Arg numbers what survives
)

// Lies reports whether a disk that does this breaks its promises.
func (k FaultKind) Lies() bool {
	switch k {
	case Lose, Divert, FlipIO, Rot:
		return true
	}
	return false
}
