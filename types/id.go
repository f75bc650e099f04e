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
