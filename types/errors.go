package types

import (
	"errors"
	"fmt"
)

// ErrCorrupt matches every error caused by damaged bytes on disk.
var ErrCorrupt = errors.New("pawl: corrupt database")

// CorruptError says where the damage is.
type CorruptError struct {
	File   string // base name of the file
	Offset int64  // byte offset of the damaged structure
	Page   PageID // 0 when the damage is outside any page
	Detail string // what was expected and what was found
}

// Error names the file, the page and the offset.
func (e *CorruptError) Error() string {
	if e.Page == 0 {
		return fmt.Sprintf("pawl: corrupt database: %s at offset %d: %s", e.File, e.Offset, e.Detail)
	}
	return fmt.Sprintf("pawl: corrupt database: %s, page %d at offset %d: %s", e.File, e.Page, e.Offset, e.Detail)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
