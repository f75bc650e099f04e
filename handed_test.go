package pawl

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// With Debug, a transaction's end panics if the caller wrote to a slice that is others' too, before it is stored, however it
// was read; and only then.
func TestDebugFindsWritesToSlices(t *testing.T) {
	db := memory(t, &Options{Debug: true})
	require.NoError(t, db.Update(func(tx *Tx) error {
		require.NoError(t, tx.Root().Put(b("empty"), nil))
		require.NoError(t, tx.Root().Put(b("long"), make([]byte, 100_000)))
		require.NoError(t, tx.Root().Put(b("longer"), make([]byte, 3_000_000)))
		return tx.Root().Put(b("key"), b("value"))
	}))
	reads := map[string]func(tx *Tx) []byte{
		"Get": func(tx *Tx) []byte {
			v, _ := tx.Root().Get(b("key"))
			return v
		},
		"Get of a large value": func(tx *Tx) []byte {
			v, _ := tx.Root().Get(b("long"))
			return v
		},
		"GetMany": func(tx *Tx) []byte {
			vals := make([][]byte, 2)
			require.NoError(t, tx.Root().GetMany(paths("key", "long"), vals))
			return vals[0]
		},
		"GetMany of a large value": func(tx *Tx) []byte {
			vals := make([][]byte, 1)
			require.NoError(t, tx.Root().GetMany(paths("long"), vals))
			return vals[0]
		},
		"a cursor's key": func(tx *Tx) []byte {
			k, _ := tx.Root().Cursor().Seek(b("key"))
			return k
		},
		"a cursor's value": func(tx *Tx) []byte {
			_, v := tx.Root().Cursor().Seek(b("key"))
			return v
		},
		"a loop's value": func(tx *Tx) (v []byte) {
			for _, v = range tx.Root().All() {
				if len(v) > 0 {
					break
				}
			}
			return v
		},
		"Async": func(tx *Tx) []byte {
			v, _ := db.Async().Get(tx.Root(), b("key")).Run(t.Context())
			return v
		},
	}
	for name, read := range reads {
		for _, writable := range []bool{false, true} {
			t.Run(fmt.Sprint(name, writable), func(t *testing.T) {
				tx, err := db.Begin(writable)
				require.NoError(t, err)
				v := read(tx)
				require.NotEmpty(t, v)
				again, err := db.Begin(false)
				require.NoError(t, err)
				require.True(t, bytes.Equal(v, read(again)))
				v[0] ^= 1
				end := tx.Rollback
				if writable {
					end = tx.Commit
				}
				found := func() (found any) {
					defer func() { found = recover() }()
					require.NoError(t, end())
					return nil
				}()
				if found == nil {
					require.False(t, bytes.Equal(v, read(again)), "it was the caller's own")
				} else {
					require.Regexp(t, `^pawl: \d+ bytes of page \d+ were written to by who had read them$`, found)
				}
				require.Equal(t, !writable || bytes.Equal(v, read(again)), found != nil)
				v[0] ^= 1
				if writable && found != nil {
					require.NoError(t, tx.Rollback())
				}
				require.NoError(t, again.Rollback(), "nothing is wrong any more")
			})
		}
	}
	require.NoError(t, db.View(func(tx *Tx) error {
		v, err := tx.Root().Get(b("longer"))
		v[0] ^= 1 // a copy
		return err
	}))
}
