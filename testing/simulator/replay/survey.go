package replay

import (
	stdio "io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pawldb/pawl/io/flight"
)

// survey is what the first pass over a recording learns.
type survey struct {
	names      map[string]string // a name as it was given to the name with links resolved
	dirs       map[string]string // the same of directories
	databases  []string          // files that were locked
	starts     map[string]*image // what files held when the part began
	ready      bool
	boundaries int    // events at which the power could be cut
	stopped    string // how the recording was ended; empty: it was not
}

// image gathers what a file holds.
type image struct {
	size    int64
	pieces  []piece
	unknown spans
}

type piece struct {
	offset int64
	data   []byte
}

// add takes an image record.
func (im *image) add(e *flight.Event) {
	if e.Flags&flight.Unknown != 0 {
		im.unknown.add(e.Offset, e.Offset+e.Length)
		return
	}
	im.pieces = append(im.pieces, piece{e.Offset, slices.Clone(e.Data)})
}

// reach returns where the last piece ends.
func (im *image) reach() int64 {
	end := int64(0)
	for _, p := range im.pieces {
		end = max(end, p.offset+int64(len(p.data)))
	}
	return end
}

// content returns the bytes of a file of size bytes: the pieces, over what is below them.
func (im *image) content(size int64, below []byte) []byte {
	b := make([]byte, size)
	copy(b, below)
	for _, p := range im.pieces {
		if p.offset < size {
			copy(b[p.offset:], p.data)
		}
	}
	return b
}

// examine reads the whole recording once.
func examine(r *flight.Reader, name string) (*survey, error) {
	s := &survey{names: map[string]string{}, dirs: map[string]string{}, starts: map[string]*image{}, ready: r.Part() == 1}
	asked := map[uint64]string{}
	opens := map[uint32]string{}
	for {
		e, err := r.Next()
		if err == stdio.EOF {
			r.Rewind()
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		if wrong := malformed(&e); wrong != "" {
			return nil, &flight.DamageError{Name: name, Offset: e.At, Detail: wrong}
		}
		if isBoundary(&e) {
			s.boundaries++
		}
		switch {
		case e.Kind == flight.Submit && (e.Code == flight.Open || e.Code == flight.Stat):
			asked[e.Op] = e.Name
		case e.Kind == flight.Handle:
			opens[e.Handle] = unix(e.Name)
			s.start(&e).size = e.Length
			if e.Flags&flight.Locked != 0 {
				s.database(unix(e.Name))
			}
		case e.Kind == flight.Image && e.Flags&flight.AtStart != 0:
			s.start(&e).add(&e)
		case e.Kind == flight.Ready:
			s.ready = true
		case e.Kind == flight.Stop:
			s.stopped = e.Text
		case e.Kind == flight.End:
			s.ended(&e, asked[e.Op], opens)
			delete(asked, e.Op)
		}
	}
}

// start returns the image of a file when the part began.
func (s *survey) start(e *flight.Event) *image {
	name := unix(e.Name)
	if s.starts[name] == nil {
		s.starts[name] = new(image)
	}
	return s.starts[name]
}

// ended learns from the end of an I/O.
func (s *survey) ended(e *flight.Event, asked string, opens map[uint32]string) {
	switch {
	case (e.Code == flight.Open || e.Code == flight.Stat) && e.Name != "":
		real := unix(e.Name)
		s.names[asked] = real
		s.dirs[path.Dir(unix(asked))] = path.Dir(real)
		if e.Code == flight.Open && e.Handle != 0 {
			opens[e.Handle] = real
		}
	case e.Code == flight.Lock && e.Class == 0:
		if name, ok := opens[e.Handle]; ok {
			s.database(name)
		}
	}
}

// database notes that a file is one: it was locked.
func (s *survey) database(name string) {
	if !slices.Contains(s.databases, name) {
		s.databases = append(s.databases, name)
	}
}

// mostLength is how long files may be: they are replayed in memory.
const mostLength = 1 << 34

// malformed returns what no recorder writes in e.
func malformed(e *flight.Event) string {
	transfer := e.Kind == flight.Submit && (e.Code == flight.Read || e.Code == flight.Write)
	switch {
	case e.Length < 0 || e.Length > mostLength || transfer && e.Length > 1<<31:
		return "a length that can't be replayed"
	case e.Offset > 1<<62 || (e.Kind == flight.Image && (e.Offset < 0 || e.Offset > mostLength)):
		return "an offset that can't be replayed"
	case e.Kind == flight.Image && e.Flags&flight.Unknown == 0 && int64(len(e.Data)) != e.Length:
		return "an image of another length than it says"
	}
	return ""
}

var drive = regexp.MustCompile(`^([A-Za-z]:|\\)\\`)

// unix returns a name of Windows as one of ours, so that directories are seen; others as they are.
func unix(name string) string {
	if drive.MatchString(name) {
		name = strings.ReplaceAll(name, `\`, "/")
	}
	return path.Clean(name)
}

// canonical returns the name with links resolved, as far as the recording tells.
func (s *survey) canonical(name string) string {
	if real, ok := s.names[name]; ok {
		return real
	}
	name = unix(name)
	if dir, ok := s.dirs[path.Dir(name)]; ok {
		return path.Join(dir, path.Base(name))
	}
	return name
}

// changes reports whether I/O of a kind changes what a power cut could leave.
func changes(c flight.Code) bool {
	switch c {
	case flight.Write, flight.Truncate, flight.Link, flight.Rename, flight.Remove:
		return true
	}
	return false
}

// isBoundary reports whether the power is to be cut behind e.
func isBoundary(e *flight.Event) bool {
	switch e.Kind {
	case flight.Submit:
		return changes(e.Code)
	case flight.End:
		return changes(e.Code) || e.Code == flight.Sync || e.Code == flight.SyncDir || e.Code == flight.Open && e.Class == 0
	case flight.Note:
		return true
	}
	return false
}
