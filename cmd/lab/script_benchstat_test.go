package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
)

// benchstat FILE N reads an export as `benchstat -col /arm` does, and wants N samples of arm A and of arm B in every table:
// one table for each unit, not split by anything that differs between runs.
func benchstat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: benchstat FILE N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	var parser benchproc.ProjectionParser
	table, _, err := parser.ParseWithUnit(".config", nil)
	ts.Check(err)
	row, err := parser.Parse(".fullname", nil)
	ts.Check(err)
	col, err := parser.Parse("/arm", nil)
	ts.Check(err)
	samples := map[[3]string][]float64{}
	var tables []string
	r := benchfmt.NewReader(strings.NewReader(ts.ReadFile(args[0])), args[0])
	for r.Scan() {
		result, ok := r.Result().(*benchfmt.Result)
		if !ok {
			if fault, bad := r.Result().(*benchfmt.SyntaxError); bad {
				ts.Fatalf("%v", fault)
			}
			continue
		}
		arm, name := col.Project(result).String(), row.Project(result).String()
		for i, key := range table.ProjectValues(result) {
			if !slices.Contains(tables, key.String()) {
				tables = append(tables, key.String())
			}
			at := [3]string{key.String(), name, arm}
			samples[at] = append(samples[at], result.Values[i].Value)
		}
	}
	ts.Check(r.Err())
	if len(tables) == 0 {
		ts.Fatalf("%s holds no result", args[0])
	}
	units := map[string]bool{}
	for at, values := range samples {
		if len(values) != want || !strings.Contains(at[2], "A") && !strings.Contains(at[2], "B") {
			ts.Fatalf("%q: %d samples, want %d", at, len(values), want)
		}
		units[at[0]] = true
	}
	if len(samples) != 2*len(tables) {
		ts.Fatalf("%d tables have %d cells, want one of each arm", len(tables), len(samples))
	}
}
