package flight

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
)

// A recording is a header and then records, one behind the other. Integers are little-endian, checksums XXH64.
//
//	0               8         12        16                  24                  32
//	+---------------+---------+---------+-------------------+-------------------+
//	| magic         | version | part    | recording         | checksum          |
//	+---------------+---------+---------+-------------------+-------------------+
//
//	offset  size  field
//	     0     8  magic      "pawlrec\n"
//	     8     4  version    1
//	    12     4  part       number of the part, from 1
//	    16     8  recording  random, the same in all parts
//	    24     8  checksum   of bytes 0-23
const (
	magic            = "pawlrec\n"
	version          = 1
	headerVersionOff = 8
	headerPartOff    = 12
	headerIDOff      = 16
	headerSumOff     = 24
	headerSize       = 32
)

// A record is a head and a body, which has the same fields whatever it tells; what its kind does not speak of is zero.
//
//	0         4         8                   16
//	+---------+---------+-------------------+------------------------------------
//	| magic   | length  | checksum          | body
//	+---------+---------+-------------------+------------------------------------
//
//	offset  size  field
//	     0     4  magic     "rec\xf1"
//	     4     4  length    of the body, at least 64
//	     8     8  checksum  of: the header's checksum, the record's offset in the file (8 bytes), bytes 0-7, the body
//
//	in the body
//	     0     8  op        number of the I/O
//	     8     1  kind      what the record tells
//	     9     1  code      what the I/O does
//	    10     1  flags     by kind
//	    11     1  class     how it ended: 0 well, else the class of its error
//	    12     4  handle    number of the open file
//	    16     8  offset    first byte; -1 where there is none
//	    24     8  length    bytes; a size
//	    32     8  sum       checksum of what was read or written; the value of a note
//	    40     8  device    of the file
//	    48     8  inode     of the file
//	    56     4  name      its length
//	    60     4  text      its length
//	    64        name, text, and up to the end data
//
//	kind           fields
//	1 submit       op code offset; handle: of I/O on a file; flags: of an open, or lock: 1 exclusive, 0x80 was under way when
//	               the part began; length: bytes asked for, or size; sum, data: of a write; name, text: of what has names
//	2 end          op code class length sum; flags: 1 was given up by its owner, 2 data is here, 4 its buffer was changed
//	               while it was under way; data: bytes read; handle device inode name: of an open; name: of a stat, links
//	               resolved; text: the error
//	3 image        what a file holds at this point: device inode name offset length data; flags: 1 nobody knows, no data;
//	               2 when the part began, wherever in the part this stands. What no image speaks of is zero
//	4 image end    device inode name; length: the file's size. All between this and its first image is one
//	5 handle       a file that was open when the part began: handle device inode name; length: its size; flags: 0x80 its
//	               content is known, 0x40 it was locked, else as of an open
//	6 ready        all images are here of when the part began
//	7 note         name sum
//	8 mark         text
//	9 stop         the recording, or this part, was ended; text: how
//
// A record is valid if its length fits the file and the checksum is right. Where one is not, and no valid one follows, the
// program died in the middle of it: the recording ends there. If a valid one follows, the recording is damaged.
const (
	recordMagic   = "rec\xf1"
	recordLenOff  = 4
	recordSumOff  = 8
	recordHead    = 16
	bodyOp        = 0
	bodyKind      = 8
	bodyCode      = 9
	bodyFlags     = 10
	bodyClass     = 11
	bodyHandle    = 12
	bodyOffset    = 16
	bodyLength    = 24
	bodySum       = 32
	bodyDevice    = 40
	bodyInode     = 48
	bodyNameLen   = 56
	bodyTextLen   = 60
	bodyFixed     = 64
	mostBody      = 1<<31 - 1
	mostImageData = 256 << 10 // bytes of a file in one image record
)

// EventKind says what a record tells.
type EventKind uint8

// The kinds of event.
const (
	Submit   EventKind = iota + 1 // an I/O is submitted
	End                           // it has ended
	Image                         // what a file holds
	ImageEnd                      // the image of a file is whole
	Handle                        // a file that was open when the part began
	Ready                         // the images are whole of when the part began
	Note                          // Recorder.Note
	Mark                          // Recorder.Mark
	Stop                          // the recording was ended
)

// Code says what an I/O does.
type Code uint8

// What an I/O does.
const (
	Read Code = iota + 1
	Write
	Sync
	Truncate
	Lock
	Close
	Open
	Stat
	Link
	Rename
	Remove
	SyncDir
)

var codeNames = [...]string{
	"none", "read", "write", "sync", "truncate", "lock", "close", "open", "stat", "link", "rename", "remove", "syncdir",
}

// String returns the lower-case name.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Flags of events; see the format.
const (
	Carried   = 0x80 // Submit: was under way when the part began
	Known     = 0x80 // Handle: the file's content is known
	Locked    = 0x40 // Handle: it was locked
	Abandoned = 0x01 // End: was given up by its owner
	HasData   = 0x02 // End: Data holds the bytes that were read
	Changed   = 0x04 // End: the buffer of a write was changed while it was under way
	Unknown   = 0x01 // Image: nobody knows what is there
	AtStart   = 0x02 // Image: when the part began
)

// Event is one record. What its kind does not speak of is zero.
type Event struct {
	At     int64 // offset of the record in the recording
	Kind   EventKind
	Code   Code
	Flags  uint8
	Class  uint8
	Handle uint32
	Op     uint64
	Offset int64
	Length int64
	Sum    uint64
	File   io.FileID
	Name   string
	Text   string
	Data   []byte // valid until the next event is read
}

// classes are the errors that callers of a backend test for. The class of an error is its place here, and 1 for others.
var classes = [...]error{
	nil, errors.New("other"), io.ErrCancelled, io.ErrShortRead, io.ErrNoSpace, io.ErrReadOnly, io.ErrNotRegular, io.ErrClosed,
	io.ErrLocked, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid,
}

// ClassShortRead is the class of io.ErrShortRead.
const ClassShortRead = 3

// classOf returns the class of an error.
func classOf(err error) uint8 {
	if err == nil {
		return 0
	}
	for i, class := range classes[2:] {
		if errors.Is(err, class) {
			return uint8(i + 2)
		}
	}
	return 1
}

// Err returns how the I/O ended that the event tells the end of: nil, or an error that matches what callers test for.
func (e *Event) Err() error {
	switch {
	case e.Class == 0:
		return nil
	case int(e.Class) < len(classes) && e.Class > 1:
		return fmt.Errorf("%w (%s)", classes[e.Class], e.Text)
	}
	return errors.New(e.Text)
}

// encodeHeader returns the header of a part.
func encodeHeader(part uint32, id uint64) []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[headerVersionOff:], version)
	binary.LittleEndian.PutUint32(b[headerPartOff:], part)
	binary.LittleEndian.PutUint64(b[headerIDOff:], id)
	binary.LittleEndian.PutUint64(b[headerSumOff:], xxhash.Sum64(b[:headerSumOff]))
	return b
}

// appendRecord appends the record of e, which is to lie at offset at of a part with the header's checksum seed. Its data is
// that of e and then bufs. It returns where in b the data begins.
func appendRecord(b []byte, h *xxhash.Digest, seed uint64, at int64, e *Event, bufs [][]byte) (after []byte, data int) {
	start := len(b)
	n := bodyFixed + len(e.Name) + len(e.Text) + len(e.Data)
	for _, buf := range bufs {
		n += len(buf)
	}
	le := binary.LittleEndian
	b = append(b, recordMagic...)
	b = le.AppendUint32(b, uint32(n))
	b = le.AppendUint64(b, 0)
	b = le.AppendUint64(b, e.Op)
	b = append(b, byte(e.Kind), byte(e.Code), e.Flags, e.Class)
	b = le.AppendUint32(b, e.Handle)
	b = le.AppendUint64(b, uint64(e.Offset))
	b = le.AppendUint64(b, uint64(e.Length))
	b = le.AppendUint64(b, e.Sum)
	b = le.AppendUint64(b, e.File.Device)
	b = le.AppendUint64(b, e.File.Inode)
	b = le.AppendUint32(b, uint32(len(e.Name)))
	b = le.AppendUint32(b, uint32(len(e.Text)))
	b = append(append(b, e.Name...), e.Text...)
	data = len(b)
	b = append(b, e.Data...)
	for _, buf := range bufs {
		b = append(b, buf...)
	}
	record := b[start:]
	le.PutUint64(record[recordSumOff:], recordSum(h, seed, at, record))
	return b, data
}

// recordSum returns the checksum of a record at an offset.
func recordSum(h *xxhash.Digest, seed uint64, at int64, record []byte) uint64 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], seed)
	binary.LittleEndian.PutUint64(place[8:], uint64(at))
	h.Reset()
	_, _ = h.Write(place[:])
	_, _ = h.Write(record[:recordSumOff])
	_, _ = h.Write(record[recordHead:])
	return h.Sum64()
}

// decodeBody returns the event of a record whose checksum is right.
func decodeBody(b []byte, at int64) (Event, error) {
	le := binary.LittleEndian
	e := Event{
		At: at, Op: le.Uint64(b[bodyOp:]), Kind: EventKind(b[bodyKind]), Code: Code(b[bodyCode]), Flags: b[bodyFlags],
		Class: b[bodyClass], Handle: le.Uint32(b[bodyHandle:]), Offset: int64(le.Uint64(b[bodyOffset:])),
		Length: int64(le.Uint64(b[bodyLength:])), Sum: le.Uint64(b[bodySum:]),
		File: io.FileID{Device: le.Uint64(b[bodyDevice:]), Inode: le.Uint64(b[bodyInode:])},
	}
	name, text := uint64(le.Uint32(b[bodyNameLen:])), uint64(le.Uint32(b[bodyTextLen:]))
	rest := b[bodyFixed:]
	switch {
	case name+text > uint64(len(rest)):
		return Event{}, fmt.Errorf("name of %d and text of %d bytes in %d", name, text, len(rest))
	case e.Kind < Submit || e.Kind > Stop:
		return Event{}, fmt.Errorf("kind %d", e.Kind)
	case (e.Kind == Submit || e.Kind == End) && (e.Code < Read || e.Code > SyncDir):
		return Event{}, fmt.Errorf("I/O of code %d", e.Code)
	}
	e.Name, e.Text, e.Data = string(rest[:name]), string(rest[name:name+text]), rest[name+text:]
	if e.Kind == Submit && e.Code == Write && int64(len(e.Data)) != e.Length {
		return Event{}, fmt.Errorf("a write of %d bytes with %d", e.Length, len(e.Data))
	}
	return e, nil
}
