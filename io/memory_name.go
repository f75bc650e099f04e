package io

import (
	"io/fs"
	"path"
	"slices"
)

// nameChange is one change of the directory that is not durable. It is all or nothing: a rename does not leave both
// names or neither.
type nameChange struct {
	stamp   uint64
	code    uint8 // opOpen (creation), opLink, opRename, opRemove
	name    string
	newName string   // of a link or rename
	node    *memNode // what the new name leads to; nil for a remove
}

// apply does the change to names.
func (ch nameChange) apply(names map[string]*memNode) {
	switch ch.code {
	case opOpen:
		names[ch.name] = ch.node
	case opLink:
		names[ch.newName] = ch.node
	case opRename:
		delete(names, ch.name)
		names[ch.newName] = ch.node
	case opRemove:
		delete(names, ch.name)
	}
}

// in reports whether the change concerns the directory.
func (ch nameChange) in(dir string) bool {
	return path.Dir(ch.name) == dir || ch.newName != "" && path.Dir(ch.newName) == dir
}

// change applies ch to what opens see and notes that it is not durable. The caller holds m.mu.
func (m *Memory) change(ch nameChange) {
	m.stamp++
	ch.stamp = m.stamp
	ch.apply(m.names)
	if m.config.Volatile {
		ch.apply(m.durable)
		return
	}
	m.journal = append(m.journal, ch)
}

// syncDir makes the changes of dir up to the stamp since durable. The caller holds m.mu.
func (m *Memory) syncDir(dir string, since uint64) {
	m.journal = slices.DeleteFunc(m.journal, func(ch nameChange) bool {
		if ch.stamp > since || !ch.in(dir) {
			return false
		}
		ch.apply(m.durable)
		return true
	})
}

// open does an Open. The caller holds m.mu.
func (m *Memory) open(o *Opening, name string) error {
	if o.Flag&OpenCreate != 0 && o.Flag&OpenWrite == 0 || o.Flag&OpenExclusive != 0 && o.Flag&OpenCreate == 0 {
		return fs.ErrInvalid
	}
	if m.readOnly && o.Flag&OpenWrite != 0 {
		return ErrReadOnly
	}
	node := m.names[name]
	switch {
	case node == nil && o.Flag&OpenCreate == 0:
		return fs.ErrNotExist
	case node != nil && o.Flag&OpenExclusive != 0:
		return fs.ErrExist
	case node == nil:
		node = m.newNode(name)
		node.links = 1
		m.change(nameChange{code: opOpen, name: name, node: node})
	}
	f := &memFile{m: m, node: node, name: name, writable: o.Flag&OpenWrite != 0}
	node.opens++
	m.files[f] = struct{}{}
	o.File, o.Real, o.Size, o.ID = f, name, node.size, node.id()
	return nil
}

// stat does a Stat. The caller holds m.mu.
func (m *Memory) stat(l *Lookup, name string) error {
	l.Real = name
	node := m.names[name]
	if node == nil {
		return fs.ErrNotExist
	}
	l.Size, l.ID = node.size, node.id()
	return nil
}

// changeName does a Link, Rename or Remove. The caller holds m.mu.
func (m *Memory) changeName(op *Op) error {
	node, old := m.names[op.File], m.names[op.NewName]
	switch {
	case m.readOnly:
		return ErrReadOnly
	case node == nil:
		return fs.ErrNotExist
	case op.code == opLink && old != nil:
		return fs.ErrExist
	case op.code == opRename && old == node:
		return nil // two names of one file: a rename leaves both
	}
	m.change(nameChange{code: op.code, name: op.File, newName: op.NewName, node: node})
	switch op.code {
	case opLink:
		node.links++
	case opRename:
		if old != nil {
			old.links--
			m.reclaim(old)
		}
	case opRemove:
		node.links--
		m.reclaim(node)
	}
	return nil
}
