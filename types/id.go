package types

// PageID is the logical, stable number of a page, from 1. Where its bytes lie is the pager's business.
type PageID uint64

// Seq is a commit's number in the one order of commits, from 1; 0 is the state of a new database.
type Seq uint64

// Generation numbers the completed checkpoints of a database, from 1.
type Generation uint64

// Block is a place in the database file: bytes [Block*pageSize, (Block+1)*pageSize).
type Block uint64

// Run is a number of blocks that lie one behind the other.
type Run struct {
	First Block
	Count uint32 // in blocks; a page is a run of one
}

// End returns the block behind the run.
func (r Run) End() Block { return r.First + Block(r.Count) }

// The packed form of a run, in formats that keep one in 8 bytes.
const (
	runBlockBits = 40
	// RunBlockMax is the largest block number that fits in a packed run.
	RunBlockMax Block = 1<<runBlockBits - 1
	// RunCountMax is the largest number of blocks in a run.
	RunCountMax = 1<<(64-runBlockBits) - 1
)

// Pack returns the run in 8 bytes: first block in bits 0-39, count in bits 40-63.
func (r Run) Pack() uint64 { return uint64(r.First) | uint64(r.Count)<<runBlockBits }

// UnpackRun is the inverse of Pack.
func UnpackRun(v uint64) Run {
	return Run{First: Block(v) & RunBlockMax, Count: uint32(v >> runBlockBits)}
}
