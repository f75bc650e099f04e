package lint

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	stdio "io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// typed is a package of the engine with the types of its expressions, as this platform builds it.
type typed struct {
	path  string // import path
	files []*ast.File
	info  *types.Info
}

// typecheck returns the engine's packages of the tree, lower layers first. Packages of the tree see each other; what else
// they import comes from the build cache. A package that does not type-check is an error.
func (t *Tree) typecheck() ([]typed, error) {
	byDir := make(map[string][]*ast.File)
	for _, f := range t.files {
		if !f.isEngine() {
			continue
		}
		dir := filepath.Join(t.root, filepath.FromSlash(f.dir))
		built, err := build.Default.MatchFile(dir, filepath.Base(f.name))
		if err != nil {
			return nil, err
		}
		if built {
			byDir[f.dir] = append(byDir[f.dir], f.ast)
		}
	}
	var dirs []string
	for dir := range byDir {
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b string) int {
		first, _, _ := strings.Cut(a, "/")
		second, _, _ := strings.Cut(b, "/")
		return cmp.Or(cmp.Compare(layerOrder[first], layerOrder[second]), cmp.Compare(a, b))
	})
	imp, err := newTreeImporter(t, dirs, byDir)
	if err != nil {
		return nil, err
	}
	var packages []typed
	for _, dir := range dirs {
		p := typed{path: Module + "/" + dir, files: byDir[dir], info: &types.Info{
			Types:      make(map[ast.Expr]types.TypeAndValue),
			Uses:       make(map[*ast.Ident]types.Object),
			Defs:       make(map[*ast.Ident]types.Object),
			Selections: make(map[*ast.SelectorExpr]*types.Selection),
		}}
		config := types.Config{Importer: imp}
		checked, err := config.Check(p.path, t.fset, p.files, p.info)
		if err != nil {
			return nil, err
		}
		imp.checked[p.path] = checked
		packages = append(packages, p)
	}
	return packages, nil
}

// treeImporter finds packages in the tree first, then among the compiled ones.
type treeImporter struct {
	checked  map[string]*types.Package
	compiled types.Importer
}

// newTreeImporter asks the go command once where the compiled form of everything is that the tree's engine imports.
func newTreeImporter(t *Tree, dirs []string, byDir map[string][]*ast.File) (*treeImporter, error) {
	var wanted []string
	for _, dir := range dirs {
		for _, f := range byDir[dir] {
			for _, spec := range f.Imports {
				p := importPath(spec)
				inTree := slices.Contains(dirs, strings.TrimPrefix(p, Module+"/"))
				if !inTree && !slices.Contains(wanted, p) {
					wanted = append(wanted, p)
				}
			}
		}
	}
	exports := make(map[string]string)
	if len(wanted) > 0 {
		args := append([]string{"list", "-deps", "-export", "-f", "{{.ImportPath}}={{.Export}}"}, wanted...)
		out, err := goCommand(t.root, nil, args...)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(out) {
			p, export, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
			exports[p] = export
		}
	}
	lookup := func(p string) (stdio.ReadCloser, error) {
		if exports[p] == "" {
			return nil, fmt.Errorf("package %s has no compiled form", p)
		}
		return os.Open(exports[p])
	}
	return &treeImporter{
		checked:  make(map[string]*types.Package),
		compiled: importer.ForCompiler(token.NewFileSet(), "gc", lookup),
	}, nil
}

// Import implements types.Importer.
func (i *treeImporter) Import(p string) (*types.Package, error) {
	if checked := i.checked[p]; checked != nil {
		return checked, nil
	}
	return i.compiled.Import(p)
}
