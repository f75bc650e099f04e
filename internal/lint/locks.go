package lint

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
)

// checkLocks finds mutexes of the engine that are held across a yield. It follows each function body along its
// branches, and reports, while a sync.Mutex or sync.RWMutex may be locked, or is until a deferred unlock:
//
//   - a call of a Step method, of types.Wait, or of any function whose result is a types.IOResult
//   - a submission to an io.File or io.Submitter, directly or through functions of the engine
//   - a return without an unlock, since a caller could then yield unseen; TryLock and goto, which it does not follow
//
// Locks are told apart by how they are written: t.mu under another name is another lock. It does not look through
// function values and interfaces other than those named, nor into function literals beyond their own body.
func checkLocks(t *Tree) ([]Finding, error) {
	packages, err := t.typecheck()
	if err != nil {
		return nil, err
	}
	w := &lockWalk{tree: t, yields: make(yields), seen: make(map[Finding]bool)}
	for _, p := range packages {
		w.yields.learn(p)
		w.info = p.info
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Body != nil {
						w.function(n.Body)
					}
				case *ast.FuncLit:
					w.function(n.Body)
				}
				return true
			})
		}
	}
	return w.found, nil
}

// lockSet is the locks that may be held at a point, each with the place that locked it.
type lockSet map[string]token.Pos

// join adds the locks of other.
func (s lockSet) join(other lockSet) { maps.Copy(s, other) }

// lockWalk walks one function at a time.
type lockWalk struct {
	tree   *Tree
	info   *types.Info
	yields yields
	found  []Finding
	seen   map[Finding]bool // loops are walked twice

	// the function under way
	deferred map[string]bool // locks that a deferred call unlocks
	targets  []*jumpTarget   // enclosing statements that break and continue lead out of
}

// jumpTarget is a loop or switch on the way from the function's body to the statement under way.
type jumpTarget struct {
	label string
	loop  bool
	after lockSet // held at its breaks
	again lockSet // held at its continues
}

// report adds a finding once.
func (w *lockWalk) report(pos token.Pos, format string, args ...any) {
	f := w.tree.at(pos, "locks", format, args...)
	if !w.seen[f] {
		w.seen[f] = true
		w.found = append(w.found, f)
	}
}

// function walks a body from its start, where no lock is held.
func (w *lockWalk) function(body *ast.BlockStmt) {
	w.deferred, w.targets = make(map[string]bool), nil
	held, ends := w.list(body.List, lockSet{})
	if !ends {
		w.leave(body.Rbrace, held)
	}
}

// leave reports the locks that a return at pos leaves locked.
func (w *lockWalk) leave(pos token.Pos, held lockSet) {
	for _, name := range slices.Sorted(maps.Keys(held)) {
		if !w.deferred[name] {
			w.report(pos, "returns with %s locked", name)
		}
	}
}

// node goes through the calls of a statement or expression that has no branches; held changes in place.
func (w *lockWalk) node(n ast.Node, held lockSet) {
	if n == nil {
		return
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // walked on its own
		case *ast.CallExpr:
			w.call(n, held)
		}
		return true
	})
}

// call applies a lock or unlock to held, and reports a yield under a lock.
func (w *lockWalk) call(call *ast.CallExpr, held lockSet) {
	if name, op := w.lockOp(call); op != "" {
		switch op {
		case "Lock", "RLock":
			held[name] = call.Pos()
		case "Unlock", "RUnlock":
			delete(held, name)
		default:
			w.report(call.Pos(), "%s.%s is not followed by this check", name, op)
		}
		return
	}
	if len(held) == 0 {
		return
	}
	if reason := w.yields.reason(w.info, call); reason != "" {
		for _, name := range slices.Sorted(maps.Keys(held)) {
			w.report(call.Pos(), "%s while %s is locked", reason, name)
		}
	}
}

// lockOp returns the lock and the method if the call is one of a mutex.
func (w *lockWalk) lockOp(call *ast.CallExpr) (name, op string) {
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	fn := callee(w.info, call)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != "sync" {
		return "", ""
	}
	switch fn.Name() {
	case "Lock", "Unlock", "TryLock":
		return types.ExprString(sel.X), fn.Name()
	case "RLock", "RUnlock", "TryRLock":
		return types.ExprString(sel.X) + " (read)", fn.Name()
	}
	return "", ""
}

// deferCall notes what a deferred call unlocks, be it in a function literal; any other deferred call is taken as made
// here, since the locks that are held now may be held then.
func (w *lockWalk) deferCall(call *ast.CallExpr, held lockSet) {
	if name, op := w.lockOp(call); op == "Unlock" || op == "RUnlock" {
		w.deferred[name] = true
		return
	}
	literal, ok := call.Fun.(*ast.FuncLit)
	if !ok {
		w.node(call, held)
		return
	}
	ast.Inspect(literal.Body, func(n ast.Node) bool {
		if inner, ok := n.(*ast.CallExpr); ok {
			if name, op := w.lockOp(inner); op == "Unlock" || op == "RUnlock" {
				w.deferred[name] = true
			}
		}
		return true
	})
}
