package lint

import (
	"slices"
	"strings"
)

// layerOrder is the table of section "Layers" in CONTRIBUTING.md: a package may import those of its own first folder and
// those of smaller numbers.
var layerOrder = map[string]int{
	"io":       0,
	"types":    1,
	"wal":      2,
	"pager":    3,
	"btree":    4,
	".":        5, // the root package
	"pawltest": 6,
	"cmd":      7,
	"docs":     7, // compiled examples of the manual
	"testing":  7,
}

// Packages of the module that stand beside the layers.
const backends = Module + "/io/iotest" // conformance suite of the backends

// anywhere are the packages that every other one may import.
var anywhere = []string{Module + "/internal/invariant", Module + "/internal/prefetch"}

// forRoot is what only the root package may import: the engine below asks nothing of the operating system.
const forRoot = Module + "/internal/hugepage"

// forTests are the packages that only tests, and the programs under testing, may import.
var forTests = []string{Module + "/internal/effort", Module + "/internal/golden", Module + "/internal/lint", backends}

// checkLayers keeps imports between the module's packages going down.
func checkLayers(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		for _, spec := range f.ast.Imports {
			target := importPath(spec)
			if target == "C" {
				found = append(found, t.at(spec.Pos(), "layers", "cgo is not used here"))
			}
			if target != Module && !strings.HasPrefix(target, Module+"/") {
				continue
			}
			if message := whyNot(f, target); message != "" {
				found = append(found, t.at(spec.Pos(), "layers", "%s", message))
			}
		}
	}
	return found
}

// whyNot returns why the file must not import the module's package target, or "".
func whyNot(f *file, target string) string {
	if slices.Contains(anywhere, target) {
		return ""
	}
	if target == forRoot {
		if f.layer() == "." || Module+"/"+f.dir == target {
			return ""
		}
		return target + " is for the root package"
	}
	if slices.Contains(forTests, target) {
		if f.test || f.layer() == "testing" || Module+"/"+f.dir == target {
			return ""
		}
		return target + " is for tests"
	}
	own := f.layer()
	if own == "internal" {
		return "internal/ packages import none of the layers"
	}
	rank, known := layerOrder[own]
	if !known {
		return own + " has no layer: give it one in internal/lint/layers.go"
	}
	first := "."
	if target != Module {
		first, _, _ = strings.Cut(strings.TrimPrefix(target, Module+"/"), "/")
	}
	targetRank, known := layerOrder[first]
	switch {
	case !known:
		return target + " has no layer: give it one in internal/lint/layers.go"
	case first == own || targetRank < rank:
		return ""
	case own == ".":
		return "the root package must not import " + target
	}
	return own + " must not import " + target
}
