package house

import (
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
	"testing"
)

// floors is the whole import rule: a package imports only packages of a lower number.
var floors = map[string]int{
	"internal/lab": 0, "internal/tokenizer": 0,

	"supervisor": 1, "gpu": 1, "loadgen": 1, "profiling": 1, "store": 1, "matrices": 1,
	"internal/metric": 1, "internal/sim": 1, "internal/dataset": 1,
	"internal/report/chart": 1,

	"internal/compare": 2, "internal/correlate": 2, "internal/kit": 2, "internal/box": 2,

	"internal/runner": 3, "internal/live": 3, "internal/report": 3, "internal/selftest": 3,

	"internal/readout": 4,

	"internal/report/page": 5,

	"internal/web": 6,

	"cmd/lab": 7,

	"internal/house": 8, // tests only; nothing may import it
}

// owners names the only packages that may import a heavy dependency (a prefix of the import path).
var owners = map[string][]string{
	"go.etcd.io/bbolt":           {"store"},
	"github.com/parquet-go/":     {"store", "internal/dataset"},
	"github.com/NVIDIA/go-nvml":  {"gpu"},
	"github.com/shirou/gopsutil": {"gpu"},
	"github.com/prometheus/":     {"gpu"},
	"github.com/goccy/go-yaml":   {"matrices"},
	"github.com/spf13/cobra":     {"cmd/lab"},
	"github.com/google/pprof":    {"profiling"},
	"github.com/klauspost/":      {"profiling"},
	"charm.land/":                {"internal/report", "internal/live"},
	"gonum.org/":                 {"internal/compare", "internal/correlate"},
	"os/exec":                    {"supervisor", "gpu", "internal/selftest"},
	"golang.org/x/term":          {"cmd/lab"},
	"golang.org/x/text":          {"internal/tokenizer"},
	"golang.org/x/image":         {"internal/report/chart"},
}

type file struct {
	name string // slash path from the root of the module
	dir  string
	test bool
	ast  *ast.File
	size int // lines
}

func files(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var all []file
	set := token.NewFileSet()
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && (base == "testdata" || base != "." && strings.HasPrefix(base, ".") && name != root) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(base, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(set, name, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		all = append(all, file{
			name: rel, dir: path.Dir(rel), test: strings.HasSuffix(base, "_test.go"),
			ast: parsed, size: strings.Count(string(src), "\n"),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d Go files from %s: the rules would hold for nothing", len(all), root)
	}
	return all
}

func imports(f file) []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

func TestAPackageImportsOnlyLowerFloors(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range files(t) {
		floor, known := floors[f.dir]
		seen[f.dir] = true
		if !known {
			t.Errorf("%s: package %s has no floor; give it one here and in docs/architecture.md", f.name, f.dir)
			continue
		}
		for _, p := range imports(f) {
			room, ours := strings.CutPrefix(p, "lab/")
			if !ours || room == f.dir { // an external test imports its own package
				continue
			}
			if below, known := floors[room]; !known || below >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d): only lower floors may be imported", f.name, floor, room, below)
			}
		}
	}
	for room := range floors {
		if !seen[room] {
			t.Errorf("package %s has a floor but does not exist", room)
		}
	}
}

func TestTheNounsUseTheStandardLibraryOnly(t *testing.T) {
	for _, f := range files(t) {
		if f.dir != "internal/lab" || f.test {
			continue
		}
		for _, p := range imports(f) {
			if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s", f.name, p)
			}
		}
	}
}

func TestEachHeavyDependencyHasOneOwner(t *testing.T) {
	used := map[string]bool{}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		for _, p := range imports(f) {
			for prefix, rooms := range owners {
				if !strings.HasPrefix(p, prefix) {
					continue
				}
				used[prefix] = true
				if !slices.Contains(rooms, f.dir) {
					t.Errorf("%s imports %s, which belongs to %s", f.name, p, strings.Join(rooms, ", "))
				}
			}
		}
	}
	for prefix := range owners {
		if !used[prefix] {
			t.Errorf("nobody uses %s: take it out of the table", prefix)
		}
	}
}

func TestEachPackageSaysWhatItIsFor(t *testing.T) {
	comments := map[string]int{}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		comments[f.dir] += 0
		if f.ast.Doc != nil {
			comments[f.dir]++
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("package %s has %d package comments, want 1", dir, n)
		}
	}
}

func TestNoPackageIsADrawer(t *testing.T) {
	drawers := []string{"util", "utils", "common", "types", "helpers", "helper", "api", "pkg", "misc", "base"}
	for _, f := range files(t) {
		if slices.Contains(drawers, path.Base(f.dir)) || slices.Contains(drawers, strings.TrimSuffix(path.Base(f.name), ".go")) {
			t.Errorf("%s: name it for its subject", f.name)
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", f.name)
			}
		}
	}
}

func TestAFileHasOneSubject(t *testing.T) {
	for _, f := range files(t) {
		if limit := 500; !f.test && f.size > limit {
			t.Errorf("%s has %d lines: past some 400, ask whether it has two subjects; past %d it has", f.name, f.size, limit)
		}
	}
}

func TestNothingReadsOutsideTheRepository(t *testing.T) {
	for _, f := range files(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if ok && lit.Kind == token.STRING && strings.Contains(lit.Value, "../"+"shared") {
				t.Errorf("%s names a folder outside the repository: %s", f.name, lit.Value)
			}
			return true
		})
	}
}
