package world

import (
	"errors"
	"io/fs"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/testing/simulator/disk"
	"github.com/pawldb/pawl/testing/simulator/oracle"
	"github.com/pawldb/pawl/testing/simulator/plan"
)

// files is what the database's files held at a moment when nobody used them, and what an open of them had to find.
type files struct {
	content map[string][]byte // by name; what is not there was not there
	hist    *oracle.History
	lies    int // places in which they may be damaged
}

// tampering is what was done to the files behind the database's back, until an open has succeeded or was refused.
type tampering struct {
	before *files   // what was there, to be put back
	may    []*files // an open that succeeds must find a state of one of these
}

// logPath is the name of the database's log.
const logPath = path + "-wal"

// keepFiles notes the files for eras that bring them back, if the plan has such.
func (w *World) keepFiles() {
	if w.plan.Tampers() && w.tampered == nil {
		w.older = append(w.older, w.filesNow())
	}
}

// filesNow returns the files as they are.
func (w *World) filesNow() *files {
	f := &files{content: map[string][]byte{}, hist: w.hist.Clone(), lies: w.disk.Lies()}
	for _, name := range []string{path, logPath} {
		if content, err := w.disk.Bytes(name); err == nil {
			f.content[name] = content
		}
	}
	return f
}

// tamper does to the files what an operator or another program might do between two opens.
func (w *World) tamper(t *plan.Tamper) {
	if t == nil || w.tampered != nil {
		return
	}
	now := w.filesNow()
	w.tampered = &tampering{before: now, may: []*files{now}}
	names := map[plan.TamperFile][]string{plan.TamperDB: {path}, plan.TamperLog: {logPath}, plan.TamperBoth: {path, logPath}}[t.File]
	w.say("tamper: %s %s", t.Kind, t.File)
	w.counts.Tampered++
	switch t.Kind {
	case plan.TamperMissing:
		for _, name := range names {
			w.disk.Delete(name)
		}
		if t.File != plan.TamperLog {
			w.tampered.may = []*files{{hist: oracle.NewHistory()}} // a new database, unless a log that is left holds a commit
		}
	case plan.TamperOlder:
		old := w.older[max(0, len(w.older)-2-t.Back)]
		for _, name := range names {
			if content, was := old.content[name]; was {
				w.disk.Replace(name, content)
			} else {
				w.disk.Delete(name)
			}
		}
		w.disk.SetLies(now.lies + old.lies)
		w.tampered.may = append(w.tampered.may, old)
		if len(names) == 2 {
			w.tampered.may = []*files{old}
		}
	case plan.TamperForeign:
		if len(w.made) == 0 {
			return
		}
		other := w.made[t.Back%len(w.made)]
		w.disk.Replace(path, other.content[path])
		w.disk.SetLies(now.lies + other.lies)
		w.tampered.may = []*files{other}
	case plan.TamperGarbage:
		for _, name := range names {
			w.disk.Replace(name, []byte(w.plan.Value(t.Back, t.Size)))
		}
	}
	if lies := w.disk.Lies(); lies > 0 { // one file may have lost what would tell of the damage in the other
		w.disk.SetLies(lies + 1)
	}
}

// put puts the files back as they were before they were tampered with.
func (f *files) putBack(d *disk.Disk) {
	d.SetLies(f.lies)
	for _, name := range []string{path, logPath} {
		if content, was := f.content[name]; was {
			d.Replace(name, content)
		} else {
			d.Delete(name)
		}
	}
}

// refusal reports whether an open has refused files for what they are. They are put back then, by which all must be as it was.
func (w *World) refusal(err error) bool {
	t := w.tampered
	if t == nil || !named(err) && !errors.Is(err, fs.ErrNotExist) && !(w.era.ReadOnly && errors.Is(err, pawl.ErrReadOnly)) {
		return false
	}
	w.counts.Refused++
	w.say("  refused   %v", err)
	t.before.putBack(w.disk)
	w.tampered = nil
	return true
}

// named reports whether an error is one of those that say what is wrong with a file.
func named(err error) bool {
	for _, is := range []error{pawl.ErrCorrupt, pawl.ErrNotDatabase, pawl.ErrVersion, pawl.ErrLogMissing, pawl.ErrLogMismatch} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// timeline sets the history to the one that an open has found: of those that the files may have had, the first to which what is
// there belongs. An older log is one that lacks commits of which the file does not know yet, so less of the newer history is promised.
func (w *World) timeline(tx *pawl.Tx) (least uint64) {
	least = w.hist.Alive()
	t := w.tampered
	if t == nil {
		return least
	}
	for _, f := range t.may {
		least = min(least, f.hist.Alive())
	}
	for _, f := range t.may {
		state := f.hist.At(tx.Seq())
		if state == nil || tx.Seq() < least {
			continue
		}
		err := same(tx.Root(), state)
		if err != nil && named(err) { // parts that don't fit together, and reads say so
			w.disk.Damaged()
			err = nil
		}
		if err == nil {
			w.hist, w.tampered = f.hist.Clone(), nil
			return least
		}
	}
	w.tampered = nil
	return w.hist.Last() + 1 // there is no such state, unless the disk has lied as well
}

// powerCut notes that less is promised now.
func (t *tampering) powerCut() {
	if t == nil {
		return
	}
	t.before.hist.PowerCut()
	for _, f := range t.may {
		f.hist.PowerCut()
	}
}
