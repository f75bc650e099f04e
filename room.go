package pawl

import "errors"

// foundFull notes that err says that the disk, or what MaxSize allows, is full.
func (db *DB) foundFull(err error) {
	if errors.Is(err, ErrFull) && !db.opts.ReadOnly {
		db.full.Store(max(db.p.Room().Bytes, 1))
	}
}

// roomAgain is by how much the files have to have grown since they could not, for that to be over: a little may be what the limit still
// allowed for one of them.
const roomAgain = 1 << 20

// needsRoom reports whether there is little room, and growing failed when the files were about as long as they are now.
func (db *DB) needsRoom() bool {
	full := db.full.Load()
	if full == 0 {
		return false
	}
	room := db.p.Room()
	if room.Bytes >= full+roomAgain { // there is space again
		db.full.CompareAndSwap(full, 0)
		return false
	}
	return room.Tight
}
