package bugs

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/pawldb/pawl/internal/invariant"
)

//go:embed *.patch
var files embed.FS

// Patch is one deliberate bug.
type Patch struct {
	Name   string // of the file, without the ending: NN-name
	Layer  string // io, wal, pager, btree or pawl
	Bug    string // what is wrong
	Effect string // what breaks, and when
	Seen   string // which test of the package's own notices it
	// Elsewhere says, of a bug that no simulation on one goroutine can meet, why; else it is empty.
	Elsewhere string
	Bytes     []byte // of the whole file, which git apply takes as it is
}

// Layers are the values of Patch.Layer.
func Layers() []string { return []string{"io", "wal", "pager", "btree", "pawl"} }

// All returns every patch, by number. The caller owns what it gets.
func All() []Patch {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(invariant.Failf("bugs: %v", err))
	}
	var all []Patch
	for _, e := range entries {
		data, err := files.ReadFile(e.Name())
		if err != nil {
			panic(invariant.Failf("bugs: %v", err))
		}
		p, err := parse(strings.TrimSuffix(e.Name(), ".patch"), data)
		if err != nil {
			panic(invariant.Failf("bugs: %v", err))
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b Patch) int { return cmp.Compare(len(a.number()), len(b.number())) })
	return all
}

// number returns the number that the patch's name begins with.
func (p *Patch) number() string {
	number, _, _ := strings.Cut(p.Name, "-")
	return number
}

// diffStart is how the first line behind the header begins.
const diffStart = "diff --git "

// parse reads the header of a patch. Each field is there once, with a text.
func parse(name string, data []byte) (Patch, error) {
	p := Patch{Name: name, Bytes: data}
	fields := map[string]*string{"Layer": &p.Layer, "Bug": &p.Bug, "Effect": &p.Effect, "Seen": &p.Seen, "Elsewhere": &p.Elsewhere}
	header, _, found := strings.Cut(string(data), "\n"+diffStart)
	if !found {
		return Patch{}, fmt.Errorf("%s: no diff", name)
	}
	var last *string
	for line := range strings.SplitSeq(strings.TrimSpace(header), "\n") {
		if more, ok := strings.CutPrefix(line, "  "); ok && last != nil {
			*last += " " + more
			continue
		}
		key, text, _ := strings.Cut(line, ": ")
		if last = fields[key]; last == nil || text == "" {
			return Patch{}, fmt.Errorf("%s: unknown, empty or second field in %q", name, line)
		}
		*last = text
		delete(fields, key)
	}
	delete(fields, "Elsewhere") // only some have it
	for key := range fields {
		return Patch{}, fmt.Errorf("%s: no field %s", name, key)
	}
	return p, nil
}
