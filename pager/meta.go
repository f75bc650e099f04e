package pager

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/types"
	"github.com/pawldb/pawl/wal"
)

// The database file starts with two meta blocks at offsets 0 and 4096, whatever the page size. Each is written whole, 4096
// bytes, zero behind the first 512. Write number n goes to the block at (n mod 2) * 4096, so the newest proven durable
// one is never the one that is overwritten.
//
//	offset  size  field
//	     0     8  magic        "PAWLDB\x00\x01"; the last byte is the format version
//	     8     4  page size    power of two
//	    12     4  state        1 clean, 2 needs-log
//	    16    16  database     random id, minted at creation and by copies
//	    32     8  write        number of this meta write, from 1
//	    40     8  generation   from 1
//	    48     8  covered      newest commit that this generation holds
//	    56     8  blocks       length of the file in blocks, as far as bitmaps describe it
//	    64     8  map root     run of the root node: first block (40 bits), count 1 (24 bits); 0: no pages
//	    72     8  map root checksum  XXH64 of that block
//	    80     4  map height   levels of the map; 0: no pages
//	    84     4  bitmap height  levels above the bitmaps
//	    88     8  bitmap root  bit 0: which home; bits 1-63: free blocks
//	    96     8  bitmap root checksum  XXH64 of that block
//	   104    32  globals      as of commit covered (globals.go)
//	   136     8  log epoch    of the segment in which the log starts; this and the rest are 0 when clean
//	   144     8  log serial
//	   152     8  log offset   in the log file: behind the group that ends with commit covered
//	   160     8  log chain    chain value there
//	   168     4  log place
//	   172     4  log first segment size
//	   176     4  log segment size
//	   180     4  log places  segments that the log has at the least
//	   184   320  zero
//	   504     8  checksum     XXH64 of bytes 0-503
//
// A meta block is valid when checksum, magic, ranges and zeroes are as said and write mod 2 is its slot. The valid one with
// the larger write number counts. An unknown version with a right checksum is ErrVersion. If neither is valid, the
// file is not a pawl database when neither magic is right either, else it is damaged. Falling back to the other block
// is harmless only if nothing was built on the newest: log headers and groups carry the newest durable generation, and one
// above the meta block's is damage.
const (
	metaMagic    = "PAWLDB\x00\x01"
	metaSlotSize = 4096 // distance of the two, and bytes of a meta write
	metaSize     = 512  // bytes that carry something: one sector, where a sector write is atomic

	metaMagicOff        = 0
	metaPageSizeOff     = 8
	metaStateOff        = 12
	metaDatabaseOff     = 16
	metaWriteOff        = 32
	metaGenerationOff   = 40
	metaCoveredOff      = 48
	metaBlocksOff       = 56
	metaMapRootOff      = 64
	metaMapChecksumOff  = 72
	metaMapHeightOff    = 80
	metaBitmapHeightOff = 84
	metaBitmapRootOff   = 88
	metaBitmapSumOff    = 96
	metaGlobalsOff      = 104
	metaLogEpochOff     = 136
	metaLogSerialOff    = 144
	metaLogOffsetOff    = 152
	metaLogChainOff     = 160
	metaLogPlaceOff     = 168
	metaLogFirstSizeOff = 172
	metaLogSizeOff      = 176
	metaLogPlacesOff    = 180
	metaZeroOff         = 184
	metaChecksumOff     = 504
)

// Fails to compile unless the last field ends exactly at the block's end.
var _ [0]struct{} = [metaSize - (metaChecksumOff + 8)]struct{}{}

// What the state field says.
const (
	metaStateClean    = 1
	metaStateNeedsLog = 2
)

const (
	pageSizeMin = 512
	pageSizeMax = 1 << 16
)

// metaBlock is the content of a meta block.
type metaBlock struct {
	PageSize     int      // bytes
	Clean        bool     // the main file alone is complete; else Log is needed
	Database     [16]byte // random id
	Write        uint64   // number of this meta write, from 1
	Generation   types.Generation
	Covered      types.Seq   // newest commit in the generation
	Blocks       types.Block // length of the file
	MapRoot      types.Block // 0: no pages
	MapSum       uint64
	MapHeight    int // levels
	BitmapHeight int // levels above the bitmaps
	BitmapRoot   uint64
	BitmapSum    uint64
	Globals      Globals   // as of Covered
	Log          wal.Start // zero when clean
}

// slot returns which of the two blocks the write goes to.
func (m *metaBlock) slot() int { return int(m.Write % 2) }

// problem returns what can't be so in m, or "".
func (m *metaBlock) problem() string {
	if s := m.geometryProblem(); s != "" {
		return s
	}
	if s := m.mapProblem(); s != "" {
		return s
	}
	if s := m.logProblem(); s != "" {
		return s
	}
	return m.Globals.problem()
}

func (m *metaBlock) geometryProblem() string {
	switch size := m.PageSize; {
	case size < pageSizeMin || size > pageSizeMax || bits.OnesCount(uint(size)) != 1:
		return fmt.Sprintf("page size %d", size)
	case m.Write == 0:
		return "write number 0"
	case m.Generation == 0:
		return "generation 0"
	case m.Blocks < metaBlocks(size) || m.Blocks > types.RunBlockMax+1:
		return fmt.Sprintf("length of %d blocks", m.Blocks)
	case m.BitmapHeight < 0 || m.BitmapHeight > bitmapLevelsMax:
		return fmt.Sprintf("bitmap height %d", m.BitmapHeight)
	case m.BitmapRoot>>1 >= uint64(m.Blocks):
		return fmt.Sprintf("%d free blocks of %d", m.BitmapRoot>>1, m.Blocks)
	}
	return ""
}

func (m *metaBlock) mapProblem() string {
	if m.MapRoot == 0 {
		if m.MapHeight != 0 || m.MapSum != 0 || m.Globals.Pages != 0 {
			return "no map root, but pages, a height or a checksum of it"
		}
		return ""
	}
	fanout := mapFanout(m.PageSize)
	switch {
	case m.MapRoot < metaBlocks(m.PageSize) || m.MapRoot >= m.Blocks:
		return fmt.Sprintf("map root at block %d of %d", m.MapRoot, m.Blocks)
	case m.MapHeight < 1 || m.MapHeight > mapHeightFor(fanout, pageIDLimit):
		return fmt.Sprintf("map height %d", m.MapHeight)
	case m.Globals.Pages >= mapCapacity(fanout, m.MapHeight):
		return fmt.Sprintf("%d pages in a map of height %d", m.Globals.Pages, m.MapHeight)
	}
	return ""
}

func (m *metaBlock) logProblem() string {
	s := &m.Log
	switch {
	case m.Clean && *s != wal.Start{}:
		return "clean, but with a log start"
	case m.Clean:
		return ""
	case s.Serial == 0 || s.FirstSegment == 0 || s.Segment == 0:
		return "needs its log, but does not say which"
	case s.Offset < 0:
		return fmt.Sprintf("log starts at %d", s.Offset)
	}
	return ""
}

// metaBlocks returns how many blocks the meta blocks take.
func metaBlocks(pageSize int) types.Block {
	return types.Block((2*metaSlotSize + pageSize - 1) / pageSize)
}

// encode returns the bytes of a meta write, to go to slot m.slot().
func (m *metaBlock) encode() []byte {
	if p := m.problem(); p != "" {
		panic(invariant.Failf("pager: meta block %+v: %s", *m, p))
	}
	buf := make([]byte, metaSlotSize)
	le := binary.LittleEndian
	copy(buf, metaMagic)
	state := uint32(metaStateNeedsLog)
	if m.Clean {
		state = metaStateClean
	}
	le.PutUint32(buf[metaPageSizeOff:], uint32(m.PageSize))
	le.PutUint32(buf[metaStateOff:], state)
	copy(buf[metaDatabaseOff:], m.Database[:])
	le.PutUint64(buf[metaWriteOff:], m.Write)
	le.PutUint64(buf[metaGenerationOff:], uint64(m.Generation))
	le.PutUint64(buf[metaCoveredOff:], uint64(m.Covered))
	le.PutUint64(buf[metaBlocksOff:], uint64(m.Blocks))
	if m.MapRoot != 0 {
		le.PutUint64(buf[metaMapRootOff:], types.Run{First: m.MapRoot, Count: 1}.Pack())
	}
	le.PutUint64(buf[metaMapChecksumOff:], m.MapSum)
	le.PutUint32(buf[metaMapHeightOff:], uint32(m.MapHeight))
	le.PutUint32(buf[metaBitmapHeightOff:], uint32(m.BitmapHeight))
	le.PutUint64(buf[metaBitmapRootOff:], m.BitmapRoot)
	le.PutUint64(buf[metaBitmapSumOff:], m.BitmapSum)
	m.Globals.encode(buf[:metaGlobalsOff])
	le.PutUint64(buf[metaLogEpochOff:], m.Log.Epoch)
	le.PutUint64(buf[metaLogSerialOff:], m.Log.Serial)
	le.PutUint64(buf[metaLogOffsetOff:], uint64(m.Log.Offset))
	le.PutUint64(buf[metaLogChainOff:], m.Log.Chain)
	le.PutUint32(buf[metaLogPlaceOff:], m.Log.Place)
	le.PutUint32(buf[metaLogFirstSizeOff:], m.Log.FirstSegment)
	le.PutUint32(buf[metaLogSizeOff:], m.Log.Segment)
	le.PutUint32(buf[metaLogPlacesOff:], m.Log.Places)
	le.PutUint64(buf[metaChecksumOff:], xxhash.Sum64(buf[:metaChecksumOff]))
	return buf
}

// decodeMeta reads what lies in a slot. The error wraps types.ErrNotDatabase if the magic is not there, types.ErrVersion
// if the block is whole and of another version, and is a *types.CorruptError otherwise.
func decodeMeta(buf []byte, file string, slot int) (metaBlock, error) {
	const versionOff = len(metaMagic) - 1
	if len(buf) < len(metaMagic) || string(buf[:versionOff]) != metaMagic[:versionOff] {
		return metaBlock{}, fmt.Errorf("%w: %s: no magic at offset %d", types.ErrNotDatabase, file, slot*metaSlotSize)
	}
	corrupt := func(detail string) (metaBlock, error) {
		err := &types.CorruptError{File: file, Offset: int64(slot) * metaSlotSize, Detail: "meta block: " + detail}
		return metaBlock{}, err
	}
	if len(buf) != metaSlotSize {
		return corrupt("short")
	}
	if binary.LittleEndian.Uint64(buf[metaChecksumOff:]) != xxhash.Sum64(buf[:metaChecksumOff]) {
		return corrupt("wrong checksum")
	}
	if v := buf[versionOff]; v != metaMagic[versionOff] {
		known := metaMagic[versionOff]
		return metaBlock{}, fmt.Errorf("%w: %s has format version %d, known is %d", types.ErrVersion, file, v, known)
	}
	if !allZero(buf[metaZeroOff:metaChecksumOff]) || !allZero(buf[metaSize:]) {
		return corrupt("not zero where it should be")
	}
	m, detail := parseMeta(buf)
	if detail == "" {
		detail = m.problem()
	}
	if detail == "" && m.slot() != slot {
		detail = fmt.Sprintf("write number %d in slot %d", m.Write, slot)
	}
	if detail != "" {
		return corrupt(detail)
	}
	return m, nil
}

// parseMeta reads the fields. detail is what m could not show to problem.
func parseMeta(buf []byte) (m metaBlock, detail string) {
	le := binary.LittleEndian
	state := le.Uint32(buf[metaStateOff:])
	root := types.UnpackRun(le.Uint64(buf[metaMapRootOff:]))
	m = metaBlock{
		PageSize:     int(le.Uint32(buf[metaPageSizeOff:])),
		Clean:        state == metaStateClean,
		Database:     [16]byte(buf[metaDatabaseOff:]),
		Write:        le.Uint64(buf[metaWriteOff:]),
		Generation:   types.Generation(le.Uint64(buf[metaGenerationOff:])),
		Covered:      types.Seq(le.Uint64(buf[metaCoveredOff:])),
		Blocks:       types.Block(le.Uint64(buf[metaBlocksOff:])),
		MapRoot:      root.First,
		MapSum:       le.Uint64(buf[metaMapChecksumOff:]),
		MapHeight:    int(int32(le.Uint32(buf[metaMapHeightOff:]))),
		BitmapHeight: int(int32(le.Uint32(buf[metaBitmapHeightOff:]))),
		BitmapRoot:   le.Uint64(buf[metaBitmapRootOff:]),
		BitmapSum:    le.Uint64(buf[metaBitmapSumOff:]),
		Globals:      parseGlobals(buf[metaGlobalsOff:]),
		Log: wal.Start{
			Epoch:        le.Uint64(buf[metaLogEpochOff:]),
			Serial:       le.Uint64(buf[metaLogSerialOff:]),
			Offset:       int64(le.Uint64(buf[metaLogOffsetOff:])),
			Chain:        le.Uint64(buf[metaLogChainOff:]),
			Place:        le.Uint32(buf[metaLogPlaceOff:]),
			FirstSegment: le.Uint32(buf[metaLogFirstSizeOff:]),
			Segment:      le.Uint32(buf[metaLogSizeOff:]),
			Places:       le.Uint32(buf[metaLogPlacesOff:]),
		},
	}
	switch {
	case state != metaStateClean && state != metaStateNeedsLog:
		return m, fmt.Sprintf("state %d", state)
	case (root.First == 0) != (root.Count == 0) || root.Count > 1:
		return m, fmt.Sprintf("map root is a run of %d blocks", root.Count)
	}
	return m, ""
}

// chooseMeta returns the meta block that counts, of the bytes at the two slots; either may be short where the file ends.
// A block of an unknown version is an error even beside a valid one: whoever wrote it has gone on from there.
func chooseMeta(a, b []byte, file string) (m metaBlock, slot int, err error) {
	ma, errA := decodeMeta(a, file, 0)
	mb, errB := decodeMeta(b, file, 1)
	switch {
	case errors.Is(errA, types.ErrVersion):
		return metaBlock{}, 0, errA
	case errors.Is(errB, types.ErrVersion):
		return metaBlock{}, 0, errB
	case errA == nil && errB == nil:
		return chooseValid(ma, mb, file)
	case errA == nil:
		return ma, 0, nil
	case errB == nil:
		return mb, 1, nil
	case !errors.Is(errA, types.ErrNotDatabase):
		return metaBlock{}, 0, errA
	default:
		return metaBlock{}, 0, errB // damage, or no magic either
	}
}

// chooseValid returns the newer of two valid blocks. They belong to one database, or one of them is misplaced.
func chooseValid(a, b metaBlock, file string) (m metaBlock, slot int, err error) {
	if a.Database != b.Database || a.PageSize != b.PageSize {
		detail := "the two meta blocks belong to different databases"
		return metaBlock{}, 0, &types.CorruptError{File: file, Detail: detail}
	}
	if a.Write > b.Write {
		return a, 0, nil
	}
	return b, 1, nil
}
