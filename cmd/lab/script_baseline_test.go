package main

import (
	"encoding/json"
	"regexp"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// started RUNS MANY ONE wants as many servers with a batch of 32, and of one, to have been started as there are runs of
// both arms in a list of runs, and at least so many: a run that the box spoilt is made again.
func started(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: started RUNS MANY ONE")
	}
	var list struct {
		Runs []struct {
			Name string `json:"name"`
		} `json:"runs"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &list))
	made := map[string]int{}
	for _, r := range list.Runs {
		made[r.Name]++
	}
	starts := ts.ReadFile("starts")
	for i, arm := range []struct{ name, batch string }{{"seqs-32", "32"}, {"seqs-1", "1"}} {
		least, err := strconv.Atoi(args[i+1])
		ts.Check(err)
		n := len(regexp.MustCompile(`(?m)^serve .*--max-num-seqs[ =]`+arm.batch+`( |$)`).FindAllString(starts, -1))
		ts.Logf("%s: %d servers started for %d runs", arm.name, n, made[arm.name])
		if n != made[arm.name] || n < least {
			ts.Fatalf("%s: %d servers were started for %d runs, want one each and at least %d:\n%s", arm.name, n, made[arm.name], least, starts)
		}
	}
}
