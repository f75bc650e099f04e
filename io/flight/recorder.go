package flight

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	stdio "io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/pawldb/pawl/io"
)

// Names of notes that the simulator understands. With " " and the path of a database behind the name a note is about that
// one, else about all of the recording.
const (
	Durable = "durable" // commits up to this one are promised to survive a power cut from now on
	Begun   = "begun"   // commits up to this one, and no later ones, may have been handed to the log by now
)

// Options say what is recorded.
type Options struct {
	// History bounds the recording: the newest records of this many bytes are kept at least. A part that holds them, and as
	// many bytes as the files' images, is full; see the package's documentation. 0: one file, without a bound.
	History int64
	// ReadData records the bytes of reads, not only their checksums.
	ReadData bool
}

var (
	// ErrOptions means that an option of a recording has no meaning.
	ErrOptions = errors.New("flight: bad option")
	// ErrEnded is what Err returns after Close.
	ErrEnded = errors.New("flight: recording has ended")
)

// mostBuffered is how many bytes of records wait at most for being handed to the operating system.
const mostBuffered = 64 << 10

// Recorder is an io.IO that records what is asked of another one. Its methods may be called from any goroutine.
type Recorder struct {
	inner   io.IO
	opts    Options
	path    string
	id      uint64
	stopped atomic.Bool  // nothing is recorded any more
	waiting atomic.Int64 // I/Os that wait for an image: the backend does not know of them

	mu      sync.Mutex
	err     error // why nothing is recorded any more
	ending  bool  // no part begins any more
	out     *part
	before  *part // the one before out; nil: there is none, or it is not needed any more
	oldest  *part // removed when out is ready
	hash    xxhash.Digest
	buf     []byte // records that the operating system does not have
	ops     uint64 // I/Os so far
	handles map[uint32]*handle
	opened  uint32 // handles so far
	files   map[io.FileID]*file
	notes   map[string]uint64 // newest of each name
	flying  op                // list of the I/Os under way
	idle    *op               // list of those that are not in use
	copying sync.WaitGroup    // the goroutine that copies images
}

// part is a file of the recording.
type part struct {
	w       stdio.Writer
	file    *os.File // nil: it was not opened here
	path    string
	number  uint32
	seed    uint64
	size    int64 // bytes handed to the operating system
	history int64 // bytes of records beside images
	images  int64 // bytes of the images with which it began
	ready   bool  // its images are whole
}

// Record begins a recording of what is asked of inner, in a new file of the path given; with Options.History in files with ".1",
// ".2" and so on behind the path. The recorder does not open inner, but its Shutdown shuts it down.
// Errors: ErrOptions; fs.ErrExist if the file is there, since it may be the recording of a crash; what the file system says.
func Record(inner io.IO, path string, o Options) (*Recorder, error) {
	if o.History < 0 {
		return nil, fmt.Errorf("%w: History is %d", ErrOptions, o.History)
	}
	r := newRecorder(inner, path, o)
	p, err := r.create(1)
	if err != nil {
		return nil, err
	}
	return r, r.begin(p)
}

// RecordTo is Record into a writer, which gets each record whole or several at once, in order, and belongs to the recorder until
// Close. Options.History is ErrOptions.
func RecordTo(inner io.IO, w stdio.Writer, o Options) (*Recorder, error) {
	if o.History != 0 {
		return nil, fmt.Errorf("%w: History is %d, and a writer has no parts", ErrOptions, o.History)
	}
	r := newRecorder(inner, "", o)
	return r, r.begin(&part{w: w, number: 1})
}

func newRecorder(inner io.IO, path string, o Options) *Recorder {
	r := &Recorder{
		inner: inner, path: path, opts: o, handles: map[uint32]*handle{}, files: map[io.FileID]*file{}, notes: map[string]uint64{},
	}
	r.flying.next, r.flying.prev = &r.flying, &r.flying
	var id [8]byte
	inner.Random(id[:])
	r.id = binary.LittleEndian.Uint64(id[:])
	return r
}

// create makes the file of a part.
func (r *Recorder) create(number uint32) (*part, error) {
	path := r.path
	if r.opts.History > 0 {
		path = fmt.Sprintf("%s.%d", path, number)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("flight: %w", err)
	}
	return &part{w: f, file: f, path: path, number: number}, nil
}

// begin writes the header of the first part.
func (r *Recorder) begin(p *part) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = p
	r.head()
	r.out.ready = true
	r.flush()
	if r.err != nil {
		p.close()
	}
	return r.err
}

// head appends the header of r.out. The caller holds r.mu.
func (r *Recorder) head() {
	r.buf = append(r.buf, encodeHeader(r.out.number, r.id)...)
	r.out.seed = binary.LittleEndian.Uint64(r.buf[len(r.buf)-headerSize+headerSumOff:])
}

// close closes the part's file.
func (p *part) close() {
	if p != nil && p.file != nil {
		p.file.Close()
	}
}

// add appends a record and returns where its data lies in the part. The caller holds r.mu.
func (r *Recorder) add(e *Event, bufs ...[]byte) int64 {
	if r.err != nil {
		return -1
	}
	total := int64(len(e.Name)) + int64(len(e.Text)) + int64(len(e.Data)) + bodyFixed
	for _, b := range bufs {
		total += int64(len(b))
	}
	if total > mostBody {
		r.fail(fmt.Errorf("flight: a record of %d bytes, the most is %d", total, mostBody))
		return -1
	}
	start := len(r.buf)
	var data int
	r.buf, data = appendRecord(r.buf, &r.hash, r.out.seed, r.out.size+int64(start), e, bufs)
	if e.Kind != Image && e.Kind != ImageEnd {
		r.out.history += int64(len(r.buf) - start)
	}
	at := r.out.size + int64(data)
	if len(r.buf) > mostBuffered {
		r.flush()
	}
	return at
}

// flush hands what is buffered to the operating system. The caller holds r.mu.
func (r *Recorder) flush() {
	if r.err != nil || len(r.buf) == 0 {
		return
	}
	n, err := r.out.w.Write(r.buf)
	if err == nil && n < len(r.buf) {
		err = stdio.ErrShortWrite
	}
	if err != nil {
		r.fail(fmt.Errorf("flight: recording: %w", err))
		return
	}
	r.out.size += int64(len(r.buf))
	r.buf = r.buf[:0]
	if cap(r.buf) > 16*mostBuffered {
		r.buf = nil
	}
}

// fail ends the recording. The caller holds r.mu.
func (r *Recorder) fail(err error) {
	if r.err != nil {
		return
	}
	r.err, r.buf = err, nil
	r.stopped.Store(true)
}

// Err returns nil while everything is recorded, else why nothing is any more: what the recording's file met, or ErrEnded.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Note records that name has reached n: Durable and Begun are what the simulator looks at.
func (r *Recorder) Note(name string, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes[name] = max(n, r.notes[name])
	r.add(&Event{Kind: Note, Name: name, Sum: n})
	r.flush()
	r.rotate()
}

// Mark records a text for those who read the trace.
func (r *Recorder) Mark(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(&Event{Kind: Mark, Text: text})
	r.flush()
	r.rotate()
}

// Flush hands all records to the operating system.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flush()
	return r.err
}

// Paths returns the files that the recording consists of, oldest first: those that a bug report needs. It is none for a writer.
func (r *Recorder) Paths() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var paths []string
	for _, p := range []*part{r.oldest, r.before, r.out} {
		if p != nil && p.path != "" {
			paths = append(paths, p.path)
		}
	}
	return paths
}

// Close ends the recording, and closes its file. The program's I/O goes on, unrecorded. It returns why the recording ended
// before, if it did.
func (r *Recorder) Close() error {
	r.mu.Lock()
	r.ending = true
	r.mu.Unlock()
	r.copying.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.err
	if err == nil {
		r.add(&Event{Kind: Stop, Text: "closed"})
		r.flush()
		err = r.err
		r.fail(ErrEnded)
	}
	if err == ErrEnded {
		return nil
	}
	for _, p := range []*part{r.oldest, r.before, r.out} {
		p.close()
	}
	return err
}

// record makes the entry of an I/O about to be submitted with c, and lets the recorder be told of its end. changes is for what
// changes files: its record is with the operating system when this returns.
func (r *Recorder) record(c *io.Completion, what op, changes bool) {
	if r.stopped.Load() {
		return
	}
	if !c.Idle() {
		return // the backend panics
	}
	if what.code == Write {
		what.sum = sumOf(what.bufs)
	}
	r.mu.Lock()
	o := r.idle
	if o == nil {
		o = new(op)
	} else {
		r.idle = o.next
	}
	*o = what
	o.rec = r
	r.ops++
	o.number = r.ops
	o.next, o.prev = &r.flying, r.flying.prev
	o.prev.next, r.flying.prev = o, o
	o.outer = c.Observe(o)
	o.submitted(0)
	if changes {
		r.flush()
	}
	r.mu.Unlock()
}

// sortedNotes returns the names of the notes, sorted.
func (r *Recorder) sortedNotes() []string {
	names := make([]string, 0, len(r.notes))
	for name := range r.notes {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	return names
}
