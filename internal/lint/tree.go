package lint

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path of the root package.
const Module = "github.com/pawldb/pawl"

// Finding is one place that breaks a rule.
type Finding struct {
	File    string // path below the tree's root, with slashes; empty when the place is no file
	Line    int    // from 1
	Rule    string
	Message string
}

// String is the finding as compilers print theirs.
func (f Finding) String() string {
	if f.File == "" {
		return fmt.Sprintf("%s: %s", f.Rule, f.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Message)
}

// Tree is the parsed source of a module, or of a part of one that stands for a module.
type Tree struct {
	root  string
	fset  *token.FileSet
	files []*file // by name
}

// file is one source file.
type file struct {
	name  string // path below the tree's root, with slashes
	dir   string // folder of the same, "." for the root
	test  bool   // its name ends in _test.go
	lines int
	text  string
	ast   *ast.File
}

// Load parses the Go files below root. A file that does not parse is an error.
func Load(root string) (*Tree, error) {
	t := &Tree{root: root, fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && skipDir(name, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return t.add(name, filepath.ToSlash(rel))
	})
	return t, err
}

// skipDir tells the folders that are not part of the module's code.
func skipDir(dir, base string) bool {
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// add parses the file at name and puts it into the tree as rel.
func (t *Tree) add(name, rel string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(t.fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.files = append(t.files, &file{
		name:  rel,
		dir:   path.Dir(rel),
		test:  strings.HasSuffix(rel, "_test.go"),
		lines: strings.Count(string(text), "\n"),
		text:  string(text),
		ast:   parsed,
	})
	return nil
}

// Check applies every rule that looks at source to the tree and returns the findings by file and line. A package of the
// engine that does not type-check is an error; the findings of the other rules than locks come with it.
func (t *Tree) Check() ([]Finding, error) {
	locks, err := checkLocks(t)
	return sorted(append(t.checkSource(), locks...)), err
}

// checkSource applies the rules that need syntax alone.
func (t *Tree) checkSource() []Finding {
	var found []Finding
	rules := []func(*Tree) []Finding{checkLayers, checkEngine, checkLoop, checkStdio, checkSize, checkDoc, checkWords}
	for _, rule := range rules {
		found = append(found, rule(t)...)
	}
	return sorted(found)
}

// sorted orders findings by file and line.
func sorted(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return found
}

// at makes a finding for the place of a node.
func (t *Tree) at(pos token.Pos, rule, format string, args ...any) Finding {
	p := t.fset.Position(pos)
	return Finding{File: p.Filename, Line: p.Line, Rule: rule, Message: fmt.Sprintf(format, args...)}
}

// engineDirs are the layers between the files and the driver, lowest first.
var engineDirs = []string{"types", "wal", "pager", "btree"}

// layer returns the first element of the file's folder, "." for the root package.
func (f *file) layer() string {
	first, _, _ := strings.Cut(f.dir, "/")
	return first
}

// isEngine tells the files that the rules for machines are about.
func (f *file) isEngine() bool { return !f.test && slices.Contains(engineDirs, f.layer()) }

// importPath returns what an import spec imports.
func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value // the parser has seen it: can't happen
	}
	return p
}

// nameOf returns the name under which the file knows the package at importPath, or "" if it does not import it.
func (f *file) nameOf(pkg string) string {
	for _, spec := range f.ast.Imports {
		if importPath(spec) != pkg {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(pkg)
	}
	return ""
}

// isPackageName reports whether e is the name of a package that the file imports.
func (f *file) isPackageName(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	for _, spec := range f.ast.Imports {
		if f.nameOf(importPath(spec)) == id.Name {
			return true
		}
	}
	return false
}

// isSelector reports whether e is pkg.name for a package name of the file.
func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || pkg == "" || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}
