package pager

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// copyWrites is how many writes of a CopyFile are in flight.
const copyWrites = 4

type copyFileState uint8

const (
	copyFileLook   copyFileState = iota // work: is the name taken?
	copyFileLooks                       // await
	copyFileOpen                        // await: the temporary file
	copyFileRoom                        // await: a write, for a place to write
	copyFileChunk                       // await: the next chunk
	copyFileDrain                       // await: the last writes
	copyFileSync                        // await
	copyFileClose                       // await
	copyFileLink                        // await
	copyFileRemove                      // await
	copyFileDir                         // await
	copyFileEnded                       // end
)

// CopyFile is a machine that makes a new, clean database of a snapshot in a file of its own, and ends with the file's
// length in bytes. Free blocks are not written: the file has holes where the file system knows them.
//
//	step                   temporary file   name              after a cut
//	create, write chunks   parts            -                 a file that nothing names; it may be deleted
//	sync                   whole            -                 same
//	link                   whole            whole, not sure   no file, or the copy
//	remove temporary       -                whole             same
//	sync directory         -                whole             the copy
//
// It needs the memory of a Copy and of as many windows more as writes are in flight. A name that is taken is
// fs.ErrExist. After an error, and after Abort, nothing is left behind as far as it can be deleted.
type CopyFile struct {
	p     *Pager
	r     *Reader
	path  string
	temp  string
	state copyFileState
	wait  *io.Completion // of the last Step

	copy  Copy
	slots [copyWrites]copyWrite
	next  int // slot to use next: the one that was used longest ago
	size  int64

	io     io.Completion
	try    io.Attempt
	look   io.Lookup
	open   io.Opening
	linked bool // the name is there, and it was this machine that made it
	gone   io.Completion
}

// copyWrite is one write in flight.
type copyWrite struct {
	io   io.Completion
	bufs [1][]byte // nil: not used yet
}

// Start readies the machine to copy what r sees to a file that does not exist. r stays open until the copy has ended.
func (f *CopyFile) Start(r *Reader, path string) { *f = CopyFile{p: r.p, r: r, path: path} }

// Step ends with the new file's length.
func (f *CopyFile) Step() (types.IOResult[int64], error) {
	if f.wait != nil && !f.wait.Done() {
		return types.Wait[int64](f.wait)
	}
	for {
		wait, err := f.step()
		f.wait = wait
		switch {
		case err != nil:
			return types.Fail[int64](f.Abort(err))
		case wait != nil:
			return types.Wait[int64](wait)
		case f.state == copyFileEnded:
			return types.Done(f.size)
		}
	}
}

// step does what the state asks for, once.
func (f *CopyFile) step() (*io.Completion, error) {
	switch f.state {
	case copyFileLook:
		f.look.Path, f.state = f.path, copyFileLooks
		f.p.io.Stat(f.try.Begin("the copy's name to be looked up"), &f.look)
	case copyFileLooks:
		return f.looked()
	case copyFileOpen:
		return f.await(func() {
			f.copy.Start(f.r)
			f.state = copyFileRoom
		})
	case copyFileRoom:
		return f.room()
	case copyFileChunk:
		return f.chunk()
	case copyFileDrain:
		return f.drain()
	case copyFileSync:
		return f.await(func() {
			file := f.open.File
			f.open.File, f.state = nil, copyFileClose
			file.Close(&f.io)
		})
	case copyFileClose:
		return f.await(func() {
			f.state = copyFileLink
			f.p.io.Link(f.try.Begin("the copy to get its name"), f.temp, f.path)
		})
	case copyFileLink:
		return f.named()
	case copyFileRemove:
		return f.removed()
	case copyFileDir:
		return f.await(func() { f.state = copyFileEnded })
	default:
		panic(invariant.Failf("pager: CopyFile stepped in state %d", f.state))
	}
	return nil, nil
}

// await runs then once the I/O has succeeded.
func (f *CopyFile) await(then func()) (*io.Completion, error) {
	if !f.io.Done() {
		return &f.io, nil
	}
	if err := f.io.Err(); err != nil {
		return nil, err
	}
	f.io.Reset()
	then()
	return nil, nil
}

// looked begins to make the file, unless the name is taken. That it is not is decided by the link: this only saves
// the work.
func (f *CopyFile) looked() (*io.Completion, error) {
	if c := f.try.Over(); !c.Done() {
		return c, nil
	}
	err := f.try.Err()
	f.try.Reset()
	switch {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", f.path, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var id [8]byte
	f.p.io.Random(id[:])
	f.temp = f.path + ".new-" + hex.EncodeToString(id[:])
	f.open = io.Opening{Path: f.temp, Flag: io.OpenWrite | io.OpenCreate | io.OpenExclusive, Mode: f.p.cfg.FileMode}
	f.state = copyFileOpen
	f.p.io.Open(&f.io, &f.open)
	return nil, nil
}

// room waits until the next slot's write is over, and gives its buffer back.
func (f *CopyFile) room() (*io.Completion, error) {
	wait, err := f.finish(&f.slots[f.next])
	if wait == nil && err == nil {
		f.state = copyFileChunk
	}
	return wait, err
}

// finish waits until a write is over.
func (f *CopyFile) finish(s *copyWrite) (*io.Completion, error) {
	if s.bufs[0] == nil {
		return nil, nil
	}
	if !s.io.Done() {
		return &s.io, nil
	}
	if err := s.io.Err(); err != nil {
		return nil, err
	}
	s.io.Reset()
	f.copy.reads.recycle(s.bufs[0])
	s.bufs[0] = nil
	return nil, nil
}

// chunk gets the next chunk and begins to write it.
func (f *CopyFile) chunk() (*io.Completion, error) {
	res, err := f.copy.Step()
	if err != nil || res.Pending != nil {
		return res.Pending, err
	}
	chunk := res.Value
	switch {
	case chunk.End():
		f.size, f.state = chunk.Offset, copyFileDrain
	case chunk.Data != nil: // zeroes are holes; the last chunk has data
		f.copy.detach()
		s := &f.slots[f.next]
		f.next = (f.next + 1) % len(f.slots)
		s.bufs[0] = chunk.Data
		f.state = copyFileRoom
		f.open.File.Write(&s.io, s.bufs[:], chunk.Offset)
	}
	return nil, nil
}

// drain waits for the last writes.
func (f *CopyFile) drain() (*io.Completion, error) {
	for i := range f.slots {
		if wait, err := f.finish(&f.slots[i]); wait != nil || err != nil {
			return wait, err
		}
	}
	f.copy.reads.close()
	f.state = copyFileSync
	f.open.File.Sync(&f.io)
	return nil, nil
}

// named goes on once the copy has its name, which nobody else may have taken meanwhile.
func (f *CopyFile) named() (*io.Completion, error) {
	if c := f.try.Over(); !c.Done() {
		return c, nil
	}
	if err := f.try.Err(); err != nil {
		return nil, err
	}
	f.linked, f.state = true, copyFileRemove
	f.try.Reset()
	f.p.io.Remove(f.try.Begin("the copy to lose its temporary name"), f.temp)
	return nil, nil
}

// removed goes on once the temporary name is gone. Where there are no links, naming the file has taken it away.
func (f *CopyFile) removed() (*io.Completion, error) {
	if c := f.try.Over(); !c.Done() {
		return c, nil
	}
	if err := f.try.Err(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f.temp, f.state = "", copyFileDir
	f.p.io.SyncDir(&f.io, f.path)
	return nil, nil
}

// Abort ends the copy and deletes what there is of the new file, once no I/O is under way.
func (f *CopyFile) Abort(cause error) error {
	state := f.state
	f.state, f.wait = copyFileEnded, nil
	switch state {
	case copyFileRoom, copyFileChunk, copyFileDrain:
		cause = f.copy.Abort(cause)
	case copyFileEnded:
		return cause
	}
	if f.copy.reads.plan != nil {
		f.copy.reads.close()
	}
	f.gone.ArmYield("an abandoned copy to be deleted")
	group := new(io.CompletionGroup)
	group.Start("writes of an abandoned copy")
	if !f.io.Idle() {
		f.io.Cancel()
		group.Add(&f.io)
	}
	if !f.try.Idle() {
		if state != copyFileLink {
			f.try.Cancel()
		} // a link goes on, so that it is known whether the name is ours to delete
		group.Add(f.try.Over())
	}
	var bufs [][]byte
	for i := range f.slots {
		if s := &f.slots[i]; s.bufs[0] != nil {
			s.io.Cancel()
			group.Add(&s.io)
			bufs = append(bufs, s.bufs[0])
		}
	}
	group.Build()
	group.Completion().OnRetire(func(*io.Completion) {
		f.p.forget(bufs)
		if state == copyFileOpen && errors.Is(f.io.Err(), fs.ErrExist) {
			f.temp = "" // not ours
		}
		f.linked = f.linked || state == copyFileLink && f.try.Err() == nil
		f.clean()
	})
	return cause
}

// Gone returns a completion that resolves when an abandoned copy has been deleted, as far as it can be. It is idle if there was
// nothing to delete.
func (f *CopyFile) Gone() *io.Completion { return &f.gone }

// clean closes and deletes.
func (f *CopyFile) clean() {
	remove := func(*io.Completion) {
		group := new(io.CompletionGroup)
		group.Start("an abandoned copy to be deleted")
		if f.temp != "" {
			c := new(io.Completion)
			f.p.io.Remove(c, f.temp)
			group.Add(c)
		}
		if f.linked {
			c := new(io.Completion)
			f.p.io.Remove(c, f.path)
			group.Add(c)
		}
		group.Build()
		group.Completion().OnRetire(func(*io.Completion) { f.gone.Finish(0, nil) })
	}
	if f.open.File == nil {
		remove(nil)
		return
	}
	closing := new(io.Completion)
	closing.OnDone(remove)
	f.open.File.Close(closing)
	f.open.File = nil
}
