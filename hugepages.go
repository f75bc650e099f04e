package pawl

import (
	"github.com/pawldb/pawl/internal/hugepage"
)

// hugePages is what the background goroutine does, while it has nothing else to do, so that pages in memory lie on huge pages of
// the processor: whenever much was read into the cache it looks for regions that are full of pages, and asks for them one by one.
type hugePages struct {
	left []hugepage.Region // to be asked for; of the background goroutine
}

// regionsAtOnce is how many are asked for before the background goroutine looks for other work: some milliseconds.
const regionsAtOnce = 4

// loadedMuch is told that much was read into the cache.
func (db *DB) loadedMuch() {
	db.loaded.Store(true)
	db.wake.ring()
}

// backPages asks for some huge pages. It rings for itself if there are more.
func (db *DB) backPages() {
	h := &db.huge
	if db.loaded.Swap(false) && hugepage.Available() {
		var census hugepage.Census
		db.p.EachResident(census.Add)
		h.left = census.Regions()
	}
	n := min(regionsAtOnce, len(h.left))
	for _, r := range h.left[:n] {
		_ = r.Back() // else it stays as it is
	}
	if h.left = h.left[n:]; len(h.left) > 0 {
		db.wake.ring()
	}
}
