package types

import (
	"errors"
	"fmt"
	"path"

	"github.com/pawldb/pawl/io"
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

// Truncated returns err, or, if it says that a file ends before a range that was read, what that means: the file was longer. page is
// whose bytes they are, 0 if they are no page's.
func Truncated(err error, page PageID) error {
	var op *io.OpError
	if !errors.Is(err, io.ErrShortRead) || !errors.As(err, &op) {
		return err
	}
	return &CorruptError{
		File: path.Base(op.File), Offset: op.Offset, Page: page, Detail: fmt.Sprintf("the file ends before the end of %d bytes", op.Length),
	}
}
