package main

import (
	"os"
	"regexp"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

var batchOfOne = regexp.MustCompile(`(?m)^serve .*--max-num-seqs[ =]1( |$)`)

// started WHAT MANY ONE wants so many servers with a batch of 32, and of one, to have been started since it was asked
// last, by the file in which they are noted.
func started(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: started WHAT MANY ONE")
	}
	text := ts.ReadFile("starts")
	ts.Check(os.Remove(ts.MkAbs("starts")))
	one := len(batchOfOne.FindAllString(text, -1))
	all := len(regexp.MustCompile(`(?m)^serve `).FindAllString(text, -1))
	ts.Logf("%s: %d servers started, %d of them with max_num_seqs 1", args[0], all, one)
	if strconv.Itoa(all-one) != args[1] || strconv.Itoa(one) != args[2] {
		ts.Fatalf("%s: %d servers with a batch of 32 and %d with one were started, want %s and %s:\n%s", args[0], all-one, one, args[1], args[2], text)
	}
}
