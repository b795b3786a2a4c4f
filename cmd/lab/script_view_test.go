package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// answers CODE URLFILE PATH wants an HTTP status of a page; redirects are followed with their cookies.
func answersPage(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: answers CODE URLFILE PATH")
	}
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	client := &http.Client{Jar: jar}
	answer, err := client.Get(strings.TrimSpace(ts.ReadFile(args[1])) + args[2])
	ts.Check(err)
	answer.Body.Close()
	if got := strconv.Itoa(answer.StatusCode); (got == args[0]) == neg {
		ts.Fatalf("%s answers %s", answer.Request.URL.Path, got)
	}
}

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
