package flight

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	stdio "io"

	"github.com/cespare/xxhash/v2"
)

// Errors of a Reader.
var (
	// ErrNotRecording means that a file does not begin as a recording does.
	ErrNotRecording = errors.New("flight: not a recording")
	// ErrVersion means that a recording is of a version that this package does not know.
	ErrVersion = errors.New("flight: unknown version of a recording")
	// ErrDamaged matches every error caused by damaged bytes in a recording.
	ErrDamaged = errors.New("flight: damaged recording")
)

// DamageError says where a recording is damaged. It matches ErrDamaged.
type DamageError struct {
	Name   string // as given to NewReader
	Offset int64  // of the record
	Detail string
}

// Error names file, offset and what was found.
func (e *DamageError) Error() string {
	return fmt.Sprintf("flight: damaged recording %s at offset %d: %s", e.Name, e.Offset, e.Detail)
}

// Unwrap returns ErrDamaged.
func (e *DamageError) Unwrap() error { return ErrDamaged }

// Reader reads a part of a recording, record by record. One goroutine at a time uses it.
type Reader struct {
	r    stdio.ReaderAt
	name string
	size int64
	part uint32
	id   uint64
	seed uint64
	at   int64
	torn int64
	buf  []byte
	hash xxhash.Digest
}

// NewReader returns a reader of the recording of the given size. name is for messages.
// Errors: ErrNotRecording, ErrVersion, *DamageError, and those of r.
func NewReader(r stdio.ReaderAt, size int64, name string) (*Reader, error) {
	var b [headerSize]byte
	n, err := r.ReadAt(b[:min(size, headerSize)], 0)
	if err != nil && (err != stdio.EOF || int64(n) < min(size, headerSize)) {
		return nil, err
	}
	le := binary.LittleEndian
	switch {
	case n < headerSize || !bytes.HasPrefix(b[:], []byte(magic)):
		return nil, fmt.Errorf("%w: %s", ErrNotRecording, name)
	case le.Uint32(b[headerVersionOff:]) != version:
		return nil, fmt.Errorf("%w: %s is of version %d", ErrVersion, name, le.Uint32(b[headerVersionOff:]))
	case le.Uint64(b[headerSumOff:]) != xxhash.Sum64(b[:headerSumOff]):
		return nil, &DamageError{Name: name, Detail: "the header's checksum is wrong"}
	}
	return &Reader{
		r: r, name: name, size: size, part: le.Uint32(b[headerPartOff:]), id: le.Uint64(b[headerIDOff:]),
		seed: le.Uint64(b[headerSumOff:]), at: headerSize, torn: -1,
	}, nil
}

// Part returns the number of the part, from 1.
func (r *Reader) Part() int { return int(r.part) }

// Recording returns the number that all parts of a recording share.
func (r *Reader) Recording() uint64 { return r.id }

// Torn returns where the recording breaks off in the middle of a record, once Next has returned io.EOF; -1: it does not.
func (r *Reader) Torn() int64 { return r.torn }

// Rewind goes back to the first record.
func (r *Reader) Rewind() { r.at, r.torn = headerSize, -1 }

// Next returns the next record; io.EOF of the standard package behind the last. Its data is valid until the next call.
// Errors: *DamageError, and those of the file.
func (r *Reader) Next() (Event, error) {
	if r.at == r.size || r.torn >= 0 {
		return Event{}, stdio.EOF
	}
	body, why, err := r.record(r.at)
	if err != nil {
		return Event{}, err
	}
	if body == nil {
		if err := r.tear(why); err != nil {
			return Event{}, err
		}
		r.torn = r.at
		return Event{}, stdio.EOF
	}
	e, err := decodeBody(body, r.at)
	if err != nil {
		return Event{}, &DamageError{r.name, r.at, err.Error()}
	}
	r.at += recordHead + int64(len(body))
	return e, nil
}

// record returns the body of the record at an offset; nil if there is no valid one, and why.
func (r *Reader) record(at int64) (body []byte, why string, err error) {
	if r.size-at < recordHead+bodyFixed {
		return nil, fmt.Sprintf("%d bytes are too few for a record", r.size-at), nil
	}
	head, err := r.read(at, recordHead)
	if err != nil {
		return nil, "", err
	}
	if string(head[:recordLenOff]) != recordMagic {
		return nil, "no record begins here", nil
	}
	n := int64(binary.LittleEndian.Uint32(head[recordLenOff:]))
	if n < bodyFixed || n > mostBody || n > r.size-at-recordHead {
		return nil, fmt.Sprintf("a record of %d bytes does not fit", n), nil
	}
	all, err := r.read(at, recordHead+int(n))
	if err != nil {
		return nil, "", err
	}
	if binary.LittleEndian.Uint64(all[recordSumOff:]) != recordSum(&r.hash, r.seed, at, all) {
		return nil, "the record's checksum is wrong", nil
	}
	return all[recordHead:], "", nil
}

// read returns n bytes at an offset that lie in the file.
func (r *Reader) read(at int64, n int) ([]byte, error) {
	if cap(r.buf) < n {
		r.buf = make([]byte, n+n/4)
	}
	b := r.buf[:n]
	if got, err := r.r.ReadAt(b, at); got < n {
		return nil, fmt.Errorf("flight: %s at offset %d: %w", r.name, at, err)
	}
	return b, nil
}

// mostSearched is how many bytes of candidates tear takes the checksums of: a file can be made to have any number of them.
const mostSearched = 1 << 30

// tear returns nil if nothing valid follows a record that is not, else what is wrong with it.
func (r *Reader) tear(why string) error {
	const step = 64 << 10
	searched := 0
	buf := make([]byte, step+recordHead)
	for at := r.at + 1; at < r.size; at += step {
		n, err := r.r.ReadAt(buf[:min(int64(len(buf)), r.size-at)], at)
		if err != nil && err != stdio.EOF {
			return err
		}
		for i := 0; i < min(n, step) && searched < mostSearched; i++ {
			found := bytes.Index(buf[i:n], []byte(recordMagic))
			if found < 0 || i+found >= step {
				break
			}
			i += found
			body, _, err := r.record(at + int64(i))
			if err != nil {
				return err
			}
			searched += len(r.buf)
			if body != nil {
				return &DamageError{r.name, r.at, fmt.Sprintf("%s, but one is valid at offset %d", why, at+int64(i))}
			}
		}
	}
	return nil
}
