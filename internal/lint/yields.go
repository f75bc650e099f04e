package lint

import (
	"go/ast"
	"go/types"
	"slices"
)

// yields knows which functions of the engine submit I/O, by full name, and through what.
type yields map[string]string

// notSubmitting are the methods of io.File and io.Submitter that submit nothing.
var notSubmitting = []string{"Name", "Now", "Random"}

// learn adds the functions of a package that submit, themselves or through others that are known. Packages come lower
// layers first, so that those below are known.
func (y yields) learn(p typed) {
	for grown := true; grown; { // at most once for each function
		grown = false
		for _, f := range p.files {
			for _, decl := range f.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				name := p.info.Defs[fn.Name].(*types.Func).FullName()
				if y[name] != "" {
					continue
				}
				if what := y.within(p.info, fn.Body); what != "" {
					y[name], grown = what, true
				}
			}
		}
	}
}

// within returns what the body submits, or "". Function literals are left out: they run some other time.
func (y yields) within(info *types.Info, body *ast.BlockStmt) string {
	found := ""
	ast.Inspect(body, func(n ast.Node) bool {
		if _, literal := n.(*ast.FuncLit); literal || found != "" {
			return false
		}
		if call, ok := n.(*ast.CallExpr); ok {
			if fn := callee(info, call); fn != nil {
				found = y.submits(fn)
			}
		}
		return true
	})
	return found
}

// submits returns the method of package io through which a call of fn submits I/O, or "".
func (y yields) submits(fn *types.Func) string {
	recv := fn.Signature().Recv()
	if recv != nil && fn.Pkg() != nil && fn.Pkg().Path() == Module+"/io" && !slices.Contains(notSubmitting, fn.Name()) {
		if named, ok := recv.Type().(*types.Named); ok {
			if name := named.Obj().Name(); name == "File" || name == "Submitter" {
				return "io." + name + "." + fn.Name()
			}
		}
	}
	return y[fn.FullName()]
}

// reason returns why the call counts as a yield, or "".
func (y yields) reason(info *types.Info, call *ast.CallExpr) string {
	fn := callee(info, call)
	if fn == nil {
		return ""
	}
	if fn.Pkg() != nil && fn.Pkg().Path() == Module+"/types" && (fn.Name() == "Done" || fn.Name() == "Fail") {
		return "" // results that wait for nothing
	}
	if fn.Signature().Recv() != nil && fn.Name() == "Step" {
		return "steps a machine"
	}
	results := fn.Signature().Results()
	for i := range results.Len() {
		named, ok := types.Unalias(results.At(i).Type()).(*types.Named)
		if ok && named.Obj().Name() == "IOResult" && named.Obj().Pkg().Path() == Module+"/types" {
			return "calls " + fn.Name() + ", which may yield,"
		}
	}
	if through := y.submits(fn); through != "" {
		return "submits " + through
	}
	return ""
}

// callee returns the function or method that a call names, instantiated or not, or nil for a function value.
func callee(info *types.Info, call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	switch indexed := fun.(type) {
	case *ast.IndexExpr:
		fun = indexed.X
	case *ast.IndexListExpr:
		fun = indexed.X
	}
	var id *ast.Ident
	switch fun := fun.(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	default:
		return nil
	}
	fn, ok := info.Uses[id].(*types.Func)
	if !ok {
		return nil
	}
	return fn.Origin()
}
