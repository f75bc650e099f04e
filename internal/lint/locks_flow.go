package lint

import (
	"go/ast"
	"go/token"
	"maps"
)

// list walks statements in order and returns what may be held behind them, and whether control never gets there.
func (w *lockWalk) list(stmts []ast.Stmt, held lockSet) (out lockSet, ends bool) {
	for _, s := range stmts {
		if held, ends = w.stmt(s, "", held); ends {
			// What follows is reached by a label only, and a goto is reported under a lock.
			held = lockSet{}
		}
	}
	return held, ends
}

// stmt walks one statement. label is the one in front of it, or "".
func (w *lockWalk) stmt(s ast.Stmt, label string, held lockSet) (out lockSet, ends bool) {
	switch s := s.(type) {
	case nil:
		return held, false
	case *ast.BlockStmt:
		return w.list(s.List, held)
	case *ast.LabeledStmt:
		return w.stmt(s.Stmt, s.Label.Name, held)
	case *ast.ReturnStmt:
		w.node(s, held)
		w.leave(s.Pos(), held)
		return held, true
	case *ast.DeferStmt:
		w.deferCall(s.Call, held)
		return held, false
	case *ast.ExprStmt:
		w.node(s, held)
		return held, isPanic(s.X)
	case *ast.BranchStmt:
		return w.branch(s, held)
	case *ast.IfStmt:
		return w.ifStmt(s, held)
	case *ast.ForStmt:
		held, _ = w.stmt(s.Init, "", held)
		return w.loop(label, s.Cond, s.Cond != nil, s.Body, s.Post, held)
	case *ast.RangeStmt:
		w.node(s.X, held)
		return w.loop(label, nil, true, s.Body, nil, held)
	case *ast.SwitchStmt:
		held, _ = w.stmt(s.Init, "", held)
		if s.Tag != nil {
			w.node(s.Tag, held)
		}
		return w.clauses(label, s.Body, held)
	case *ast.TypeSwitchStmt:
		held, _ = w.stmt(s.Init, "", held)
		w.node(s.Assign, held)
		return w.clauses(label, s.Body, held)
	}
	w.node(s, held)
	return held, false
}

// isPanic reports whether e is a call of panic, behind which nothing runs.
func isPanic(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "panic"
}

// ifStmt joins the two ways through an if.
func (w *lockWalk) ifStmt(s *ast.IfStmt, held lockSet) (out lockSet, ends bool) {
	held, _ = w.stmt(s.Init, "", held)
	w.node(s.Cond, held)
	out, thenEnds := w.list(s.Body.List, maps.Clone(held))
	other, elseEnds := held, false
	if s.Else != nil {
		other, elseEnds = w.stmt(s.Else, "", maps.Clone(held))
	}
	switch {
	case thenEnds:
		return other, elseEnds
	case !elseEnds:
		out.join(other)
	}
	return out, false
}

// loop walks a body twice, the second time with what the first may have left held. exits says that the loop can end
// other than by a break.
func (w *lockWalk) loop(
	label string, cond ast.Expr, exits bool, body *ast.BlockStmt, post ast.Stmt, held lockSet,
) (out lockSet, ends bool) {
	target := &jumpTarget{label: label, loop: true, after: lockSet{}, again: lockSet{}}
	broken := countBreaks(body, label)
	w.targets = append(w.targets, target)
	top := maps.Clone(held)
	for range 2 {
		if cond != nil {
			w.node(cond, top)
		}
		end, bodyEnds := w.list(body.List, maps.Clone(top))
		next := maps.Clone(target.again)
		if !bodyEnds {
			next.join(end)
		}
		next, _ = w.stmt(post, "", next)
		top.join(next)
	}
	w.targets = w.targets[:len(w.targets)-1]
	out = target.after
	if exits {
		out.join(top)
	}
	return out, !exits && broken == 0
}

// clauses walks the cases of a switch.
func (w *lockWalk) clauses(label string, body *ast.BlockStmt, held lockSet) (out lockSet, ends bool) {
	target := &jumpTarget{label: label, after: lockSet{}}
	w.targets = append(w.targets, target)
	out, ends = lockSet{}, countBreaks(body, label) == 0
	hasDefault := false
	var through lockSet // held where a fallthrough enters the next case
	for _, s := range body.List {
		clause := s.(*ast.CaseClause)
		hasDefault = hasDefault || clause.List == nil
		for _, e := range clause.List {
			w.node(e, held)
		}
		in := maps.Clone(held)
		in.join(through)
		end, clauseEnds := w.list(clause.Body, in)
		through = nil
		switch {
		case fallsThrough(clause):
			through = end
		case !clauseEnds:
			out.join(end)
			ends = false
		}
	}
	w.targets = w.targets[:len(w.targets)-1]
	out.join(target.after)
	if !hasDefault {
		out.join(held)
		ends = false
	}
	return out, ends
}

// fallsThrough reports whether control goes from the end of the clause into the next one.
func fallsThrough(clause *ast.CaseClause) bool {
	if len(clause.Body) == 0 {
		return false
	}
	b, ok := clause.Body[len(clause.Body)-1].(*ast.BranchStmt)
	return ok && b.Tok == token.FALLTHROUGH
}

// branch takes what is held to the place that the statement jumps to.
func (w *lockWalk) branch(s *ast.BranchStmt, held lockSet) (out lockSet, ends bool) {
	switch s.Tok {
	case token.FALLTHROUGH:
		return held, false
	case token.GOTO:
		if len(held) > 0 {
			w.report(s.Pos(), "goto under a lock is not followed by this check")
		}
		return held, true
	}
	for i := len(w.targets) - 1; i >= 0; i-- {
		target := w.targets[i]
		switch {
		case s.Label != nil && s.Label.Name != target.label:
		case s.Label == nil && s.Tok == token.CONTINUE && !target.loop:
		case s.Tok == token.CONTINUE:
			target.again.join(held)
			return held, true
		default:
			target.after.join(held)
			return held, true
		}
	}
	return held, true
}

// countBreaks counts the breaks that lead out of the statement with this body and label.
func countBreaks(body *ast.BlockStmt, label string) int {
	count := 0
	var visit func(n ast.Node, inner bool)
	visit = func(root ast.Node, inner bool) {
		ast.Inspect(root, func(n ast.Node) bool {
			if n == root {
				return true
			}
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt:
				visit(n, true)
				return false
			case *ast.BranchStmt:
				if n.Tok == token.BREAK && (n.Label == nil && !inner || n.Label != nil && n.Label.Name == label) {
					count++
				}
			}
			return true
		})
	}
	visit(body, false)
	return count
}
