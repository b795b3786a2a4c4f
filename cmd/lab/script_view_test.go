package main

import (
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// fetch URLFILE PATH gets a page below the URL that a file holds into the file page.
func fetchPage(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: fetch URLFILE PATH")
	}
	answer, err := http.Get(strings.TrimSpace(ts.ReadFile(args[0])) + args[1])
	if neg {
		if err == nil {
			answer.Body.Close()
			ts.Fatalf("%s is served still", args[1])
		}
		return
	}
	ts.Check(err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", args[1], answer.Status)
	}
	ts.Check(os.WriteFile(ts.MkAbs("page"), page, 0o644))
}
