package pawl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io"
)

// Counts of pages that are wrong under right checksums: freeing what the file does not count, or taking more ids than it
// has, is damage that the commit finds, and the transactions before and behind it are unharmed.
func TestWrongCountsOfPages(t *testing.T) {
	const nextPage, pages = 120, 128 // in the meta block
	for i, base := range hostileBases() {
		met := false
		for _, field := range []int{nextPage, pages} {
			for _, value := range []uint64{1, 2, 3, 56, 1 << 20, 1 << 39} {
				what := fmt.Sprintf("base %d, %d at offset %d", i, value, field)
				file, log := bytes.Clone(base[0]), bytes.Clone(base[1])
				for slot := range 2 {
					binary.LittleEndian.PutUint64(file[slot*4096+field:], value)
				}
				f := fixer{file: file, log: log}
				f.fix()
				disk := io.NewMemory(io.MemoryConfig{RealTime: true})
				disk.SetBytes(damageName, file)
				if len(log) > 0 {
					disk.SetBytes(damageName+"-wal", log)
				}
				disk.SetCapacity(64 << 20)
				db, err := Open(damageName, &Options{IO: disk, MustExist: true, CacheSize: 1 << 20})
				hostileError(t, what, err)
				if db == nil {
					continue
				}
				changeHostile(t, db)
				err = db.Update(func(tx *Tx) error {
					for _, name := range []string{"a", "c"} {
						if err := tx.DeleteBucket([]byte(name)); err != nil {
							return err
						}
					}
					return nil
				})
				met = met || named(err)
				hostileError(t, what, err)
				hostileError(t, what, db.Close())
			}
		}
		if len(base[1]) == 0 { // with a log, its newest commit counts
			require.True(t, met, "base %d: no commit found the counts wrong", i)
		}
	}
}
