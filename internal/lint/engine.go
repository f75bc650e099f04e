package lint

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// engineBanned are the packages that the engine must not import; one that ends in / bans what lies below it.
var engineBanned = []string{
	"os", "os/", "syscall", "time", "math/rand", "math/rand/v2", "crypto/rand", "runtime", "runtime/",
	"golang.org/x/sys/", "net", "net/", "log", "log/", "path/filepath", "plugin",
}

// unsafeAllowed are the engine's files that may import unsafe. Each needs a reason beside its name.
var unsafeAllowed = []string{}

// syncBanned are the names of package sync that block, or whose effect depends on the collector or on chance.
var syncBanned = []string{"Cond", "NewCond", "WaitGroup", "Pool", "Map"}

// checkEngine keeps clocks, dice, goroutines and channels out of the engine.
func checkEngine(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		if !f.isEngine() {
			continue
		}
		for _, spec := range f.ast.Imports {
			target := importPath(spec)
			switch {
			case spec.Name != nil && spec.Name.Name == ".":
				found = append(found, t.at(spec.Pos(), "engine", "dot import of %s hides its names from these rules", target))
			case target == "unsafe" && !slices.Contains(unsafeAllowed, f.name):
				found = append(found, t.at(spec.Pos(), "engine", "unsafe is allowed in listed files only"))
			case isBanned(target):
				found = append(found, t.at(spec.Pos(), "engine", "must not import %s", target))
			}
		}
		syncName := f.nameOf("sync")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if what := blocking(n, syncName); what != "" {
				found = append(found, t.at(n.Pos(), "engine", "%s", what))
			}
			return true
		})
	}
	return found
}

// isBanned reports whether the engine must not import the package.
func isBanned(target string) bool {
	for _, banned := range engineBanned {
		if target == banned || strings.HasSuffix(banned, "/") && strings.HasPrefix(target, banned) {
			return true
		}
	}
	return false
}

// blocking returns what is wrong with a node that starts a goroutine or may block one, else "".
func blocking(n ast.Node, syncName string) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "starts a goroutine"
	case *ast.SelectStmt:
		return "select may block"
	case *ast.SendStmt:
		return "sending on a channel may block"
	case *ast.ChanType:
		return "a channel is for goroutines, and there are none here"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "receiving from a channel may block"
		}
	case *ast.SelectorExpr:
		for _, name := range syncBanned {
			if isSelector(n, syncName, name) {
				return "must not use sync." + name
			}
		}
	}
	return ""
}

// loopMethods are the methods of the event loop. A name of a package, as types.Wait, is none.
var loopMethods = []string{"Wait", "Poll", "Park"}

// checkLoop keeps the event loop out of sight of the engine, so that hidden blocking can't be written.
func checkLoop(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		if !f.isEngine() {
			continue
		}
		ioName := f.nameOf(Module + "/io")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			switch {
			case !ok:
			case isSelector(sel, ioName, "IO"):
				found = append(found, t.at(sel.Pos(), "loop", "must not see io.IO, the event loop; take an io.Submitter"))
			case slices.Contains(loopMethods, sel.Sel.Name) && !f.isPackageName(sel.X):
				found = append(found, t.at(sel.Sel.Pos(), "loop", "must not run the event loop with %s", sel.Sel.Name))
			}
			return true
		})
	}
	return found
}
