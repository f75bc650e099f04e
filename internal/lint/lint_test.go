package lint

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pawldb/pawl/internal/golden"
)

// moduleRoot is the root of the module, seen from this package.
const moduleRoot = "../.."

// TestModule applies the rules to the module itself.
func TestModule(t *testing.T) {
	tree, err := Load(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(tree.files, func(f *file) bool { return f.name == "internal/lint/lint_test.go" }) {
		t.Fatal("the tree is not the module: this file is not in it")
	}
	found, err := tree.Check()
	for _, f := range found {
		t.Error(f)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestModuleDependencies looks at what users of the module get, on every system that it is built for.
func TestModuleDependencies(t *testing.T) {
	var packages []string
	tree, err := Load(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tree.files {
		p := "./" + f.dir
		layer := f.layer()
		forUsers := !f.test && layer != "internal" && layer != "testing" && layer != "cmd" && !slices.Contains(forTests, path.Join(Module, f.dir))
		if forUsers && !slices.Contains(packages, p) {
			packages = append(packages, p)
		}
	}
	if !slices.Contains(packages, "./io") {
		t.Fatalf("packages are %q", packages)
	}
	for _, goos := range []string{"linux", "darwin", "windows", "freebsd"} {
		deps, err := Dependencies(moduleRoot, goos, packages...)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(deps, Module+"/io") {
			t.Errorf("%s: dependencies lack %s/io: %q", goos, Module, deps)
		}
		for _, f := range CheckDependencies(deps) {
			t.Errorf("%s: %v", goos, f)
		}
	}
}

// TestFindings runs the rules on trees that break one rule each, and on one that breaks none.
func TestFindings(t *testing.T) {
	tested := make(map[string]bool)
	golden.Run(t, "testdata/findings.txt", func(t *testing.T, cmd golden.Command) string {
		if cmd.Name != "check" {
			t.Fatalf("%s: unknown command %s", cmd.Pos, cmd.Name)
		}
		name := cmd.String(t, "tree")
		tested[name] = true
		tree, err := Load(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if len(tree.files) == 0 {
			t.Fatalf("%s: no files in tree %s", cmd.Pos, name)
		}
		found, err := checkTree(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, f := range found {
			out.WriteString(f.String() + "\n")
		}
		return out.String()
	})
	dirs, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if d.IsDir() && !tested[d.Name()] {
			t.Errorf("no test looks at tree %s", d.Name())
		}
	}
}

// checkTree applies all rules, except that locks needs code that compiles, which some trees can't be.
func checkTree(tree *Tree, name string) ([]Finding, error) {
	if name == "layers" || name == "engine" {
		return tree.checkSource(), nil
	}
	return tree.Check()
}

// A tree that the rules can't read must not pass for a good one.
func TestUnreadableTreeIsAnError(t *testing.T) {
	if _, err := Load(filepath.Join("testdata", "absent")); err == nil {
		t.Error("a missing root passes")
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "wal"), 0o755); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(root, "wal", "doc.go")
	if err := os.WriteFile(source, []byte("// Package wal is broken.\npackage wal\n\nvar x int = \"\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Check(); err == nil || !strings.Contains(err.Error(), "wal/doc.go:4") {
		t.Errorf("a package that does not type-check: error %v", err)
	}
	if err := os.WriteFile(source, []byte("package wal\n\nfunc {\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root); err == nil || !strings.Contains(err.Error(), "wal/doc.go:3") {
		t.Errorf("a file that does not parse: error %v", err)
	}
}

func TestCheckDependencies(t *testing.T) {
	allowed := []string{
		Module, Module + "/wal", "github.com/cespare/xxhash/v2", "golang.org/x/sys/unix", "golang.org/x/sys/cpu",
	}
	if found := CheckDependencies(allowed); len(found) != 0 {
		t.Errorf("findings %v", found)
	}
	refused := []string{Module + "x", "github.com/stretchr/testify/require", "golang.org/x/system", "golang.org/x/tools"}
	found := CheckDependencies(append(refused, allowed...))
	if len(found) != len(refused) {
		t.Fatalf("findings %v, want %d", found, len(refused))
	}
	for i, f := range found {
		if want := "deps: must not depend on " + refused[i]; f.String() != want {
			t.Errorf("finding %q, want %q", f, want)
		}
	}
}
