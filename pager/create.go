package pager

import (
	"encoding/hex"
	"errors"
	"io/fs"

	"github.com/pawldb/pawl/internal/invariant"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

// createFile is a machine that makes an empty, clean database. It comes to be under a name of its own, and gets the
// database's name, which nobody else may have taken meanwhile, once it is whole and durable.
//
//	step                  temporary file      NAME              after a cut
//	create, write         parts               -                 a file that nothing names; it may be deleted
//	sync                  whole               -                 same
//	link NAME             whole               whole, not sure   no database, or an empty one
//	remove temporary      -                   whole             same
//	sync directory        -                   whole             an empty database
type createFile struct {
	p     *Pager
	state createState
	temp  string
	open  io.Opening
	io    io.Completion
	try   io.Attempt // the link, then the remove: the failure of either can be an answer
	bufs  [1][]byte
	made  bool // by us: nobody else was faster
	named bool // the temporary name is there
}

type createState uint8

const (
	createOpen   createState = iota // work
	createOpens                     // await
	createSize                      // await
	createWrite                     // await
	createSync                      // await
	createClose                     // await
	createLink                      // await
	createRemove                    // await
	createDir                       // await
	createEnded                     // end
)

// newCreateFile returns the machine.
func newCreateFile(p *Pager) *createFile { return &createFile{p: p} }

// Step goes on with the creation.
func (c *createFile) Step() (types.IOResult[struct{}], error) {
	for {
		if c.state != createOpen && c.state != createLink && c.state != createRemove {
			if !c.io.Done() {
				return types.Wait[struct{}](&c.io)
			}
			if err := c.io.Err(); err != nil {
				return types.Fail[struct{}](c.Abort(err))
			}
			c.io.Reset()
		}
		p := c.p
		switch c.state {
		case createOpen:
			var id [8]byte
			p.io.Random(id[:])
			c.temp = p.cfg.Path + ".new-" + hex.EncodeToString(id[:])
			c.open = io.Opening{Path: c.temp, Flag: io.OpenWrite | io.OpenCreate | io.OpenExclusive, Mode: p.cfg.FileMode}
			c.state = createOpens
			p.io.Open(&c.io, &c.open)
		case createOpens:
			c.named = true
			c.bufs[0] = newDatabase(p)
			c.state = createSize
			c.open.File.Truncate(&c.io, int64(len(c.bufs[0])))
		case createSize:
			c.state = createWrite
			c.open.File.Write(&c.io, c.bufs[:], 0)
		case createWrite:
			c.state = createSync
			c.open.File.Sync(&c.io)
		case createSync:
			f := c.open.File
			c.open.File = nil
			c.state = createClose
			f.Close(&c.io)
		case createClose:
			c.state = createLink
			p.io.Link(c.try.Begin("the new database to get its name"), c.temp, p.cfg.Path)
		case createLink:
			if o := c.try.Over(); !o.Done() {
				return types.Wait[struct{}](o)
			}
			err := c.try.Err()
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return types.Fail[struct{}](c.Abort(err))
			}
			c.made = err == nil
			c.state = createRemove
			c.try.Reset()
			p.io.Remove(c.try.Begin("the temporary name to go"), c.temp)
		case createRemove:
			if o := c.try.Over(); !o.Done() {
				return types.Wait[struct{}](o)
			}
			// A file system without links has renamed: the temporary name is gone already.
			if err := c.try.Err(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return types.Fail[struct{}](c.Abort(err))
			}
			c.named = false
			c.state = createDir
			p.io.SyncDir(&c.io, p.cfg.Path)
		case createDir:
			c.state = createEnded
			return types.Done(struct{}{})
		default:
			panic(invariant.Failf("pager: createFile stepped in state %d", c.state))
		}
	}
}

// newDatabase returns the bytes of an empty database: meta block 1 in its slot, the homes of the first group, some free blocks.
func newDatabase(p *Pager) []byte {
	pageSize := p.cfg.PageSize
	if pageSize == 0 {
		pageSize = 4096
	}
	g := geometryOf(pageSize)
	blocks, _ := g.longer(g.shortest(), growMin)
	used := newBlockSet(pageSize).edit()
	used.resize(blocks)
	for _, run := range g.homesIn(0, blocks) {
		used.set(run)
	}
	set := used.freeze()
	tree, writes := newBitmapTree(pageSize).next(newBlockSet(pageSize), set, 1)
	m := metaBlock{PageSize: pageSize, Clean: true, Write: 1, Generation: 1, Blocks: blocks, Globals: Globals{NextPage: 1}}
	p.io.Random(m.Database[:])
	m.BitmapRoot, m.BitmapSum, m.BitmapHeight = tree.root()
	buf := make([]byte, int(blocks)*pageSize)
	for _, w := range writes {
		copy(buf[int(w.block)*pageSize:], w.data)
	}
	// The other slot gets the block that this one follows, so that a damaged one is told from a file that is no database.
	before := m
	before.Write = 2
	copy(buf[m.slot()*metaSlotSize:], m.encode())
	copy(buf[before.slot()*metaSlotSize:], before.encode())
	return buf
}

// Abort deletes the temporary file, as far as that can be.
func (c *createFile) Abort(cause error) error {
	opening := c.state == createOpens
	c.state = createEnded
	clean := func(*io.Completion) {
		if opening && errors.Is(c.io.Err(), io.ErrCancelled) {
			c.named = true // the open may have gone on, and have made it
		}
		if c.open.File != nil {
			c.open.File.Close(new(io.Completion))
			c.open.File = nil
		}
		if c.named {
			c.p.io.Remove(new(io.Completion), c.temp)
		}
	}
	if !c.try.Idle() && !c.try.Over().Done() {
		c.try.Cancel()
		c.try.OnRetire(clean)
		return cause
	}
	if c.io.Idle() {
		clean(nil)
		return cause
	}
	c.io.Cancel()
	c.io.OnRetire(clean)
	return cause
}
