package house

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// Package variables may be tables and sentinels, set once where they are declared; nothing may change them afterwards.
func TestNoPackageVariableHoldsState(t *testing.T) {
	packages := map[string][]file{}
	for _, f := range files(t) {
		if !f.test {
			packages[f.dir] = append(packages[f.dir], f)
		}
	}
	for dir, fs := range packages {
		vars := packageVars(t, dir, fs)
		for _, f := range fs {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
					reportWrites(t, f.name, fn, vars)
				}
			}
		}
	}
}

// packageVars names the package-level variables and refuses those that can only be state.
func packageVars(t *testing.T, dir string, fs []file) map[string]*ast.ValueSpec {
	vars := map[string]*ast.ValueSpec{}
	for _, f := range fs {
		for _, d := range f.ast.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				spec := s.(*ast.ValueSpec)
				embedded := gen.Doc != nil && strings.Contains(gen.Doc.Text(), "go:embed") || hasEmbed(gen)
				if len(spec.Values) == 0 && !embedded {
					t.Errorf("%s: package variable %s has no value where it is declared", f.name, spec.Names[0].Name)
				}
				for _, name := range spec.Names {
					if name.Name != "_" {
						vars[name.Name] = spec
					}
				}
			}
		}
	}
	return vars
}

func hasEmbed(gen *ast.GenDecl) bool {
	if gen.Doc == nil {
		return false
	}
	for _, c := range gen.Doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

func reportWrites(t *testing.T, name string, fn *ast.FuncDecl, vars map[string]*ast.ValueSpec) {
	check := func(e ast.Expr) {
		id := root(e)
		if id == nil {
			return
		}
		spec, global := vars[id.Name]
		// The parser resolves names within a file: a local name has a declaration of its own.
		if global && (id.Obj == nil || id.Obj.Decl == spec) {
			t.Errorf("%s: %s changes package variable %s", name, fn.Name.Name, id.Name)
		}
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, left := range n.Lhs {
					check(left)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		}
		return true
	})
}

// root finds the variable that an assignment such as x.a[i].b = … changes.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
