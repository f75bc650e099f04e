package io

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens or creates a regular file.
func (s *system) Open(c *Completion, o *Opening) {
	o.File, o.Real, o.Size, o.ID = nil, "", 0, FileID{}
	s.submitName(c, KindOpen, opOpen, o.Path, "", o)
}

// Stat looks a name up.
func (s *system) Stat(c *Completion, l *Lookup) {
	l.Real, l.Size, l.ID = "", 0, FileID{}
	s.submitName(c, KindOpen, opStat, l.Path, "", l)
}

// Link gives a file an additional name.
func (s *system) Link(c *Completion, oldName, newName string) {
	s.submitName(c, KindLink, opLink, oldName, newName, nil)
}

// Rename gives a file another name, replacing what is there.
func (s *system) Rename(c *Completion, oldName, newName string) {
	s.submitName(c, KindLink, opRename, oldName, newName, nil)
}

// Remove deletes a name.
func (s *system) Remove(c *Completion, name string) {
	s.submitName(c, KindLink, opRemove, name, "", nil)
}

// SyncDir makes the names in the directory that holds name durable.
func (s *system) SyncDir(c *Completion, name string) {
	s.submitName(c, KindSyncDir, opSyncDir, name, "", nil)
}

// submitName submits an operation on names.
func (s *system) submitName(c *Completion, kind Kind, code uint8, name, newName string, arg any) {
	c.ArmSubmitted(kind, name)
	r := &c.Request
	r.Canceller, r.Op, r.Path, r.NewPath, r.Arg = s, code, name, newName, arg
	s.submit(c, nil)
}

// open does an Open.
func (s *system) open(o *Opening) error {
	if o.Flag&OpenCreate != 0 && o.Flag&OpenWrite == 0 || o.Flag&OpenExclusive != 0 && o.Flag&OpenCreate == 0 {
		return fs.ErrInvalid
	}
	final, err := resolve(o.Path)
	if err != nil {
		return err
	}
	var info fileInfo
	// What is there is looked at first: opening a pipe would wait for its other end, opening a device might do anything.
	err = repeat(func() error { info, err = s.calls.stat(final); return err })
	if err == nil && !info.regular {
		return ErrNotRegular
	}
	h := noHandle
	err = repeat(func() error { h, err = s.calls.open(final, o.Flag, o.Mode); return err })
	if err != nil {
		return err
	}
	err = repeat(func() error { info, err = s.calls.describe(h); return err })
	if err == nil && !info.regular {
		err = ErrNotRegular
	}
	if err != nil {
		s.calls.close(h)
		return err
	}
	f := &systemFile{s: s, h: h, name: final, id: info.id, writable: o.Flag&OpenWrite != 0}
	s.mu.Lock()
	s.files[f] = struct{}{}
	s.mu.Unlock()
	o.File, o.Real, o.Size, o.ID = f, final, info.size, info.id
	return nil
}

// stat does a Stat.
func (s *system) stat(l *Lookup) error {
	final, err := resolve(l.Path)
	if err != nil {
		return err
	}
	l.Real = final
	var info fileInfo
	err = repeat(func() error { info, err = s.calls.stat(final); return err })
	if err != nil {
		return err
	}
	l.Size, l.ID = info.size, info.id
	return nil
}

// mostLinks bounds how many links to missing names are followed.
const mostLinks = 40

// resolve returns the absolute path that a name leads to, links resolved. The last name may be missing.
func resolve(path string) (string, error) {
	if path == "" {
		return "", fs.ErrNotExist
	}
	const separator = string(os.PathSeparator)
	if !filepath.IsAbs(path) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		path = abs
	}
	for range mostLinks {
		final, err := filepath.EvalSymlinks(path)
		if err == nil {
			return final, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		// The last name is missing, or it is a link to a missing one.
		dir, base := filepath.Split(path)
		if base == "" {
			return "", err
		}
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return "", err
		}
		path = filepath.Join(dir, base)
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = dir + separator + target
		}
		path = target
	}
	return "", errors.New("io: too many symbolic links")
}
