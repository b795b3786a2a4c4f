//go:build ui

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What the live view looks like in a real terminal: tmux, whose screen is read back.
func TestTerminals(t *testing.T) {
	p := scriptParams("testdata/terminal")
	golden, err := filepath.Abs("testdata/terminal/golden")
	if err != nil {
		t.Fatal(err)
	}
	statuses, err := filepath.Abs("../../internal/live/testdata/status")
	if err != nil {
		t.Fatal(err)
	}
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("STATUS", statuses)
		return setup(env)
	}
	p.Cmds["terminal"] = startTerminal
	p.Cmds["keys"] = func(ts *testscript.TestScript, _ bool, args []string) {
		tmux(ts, append([]string{"send-keys", "-t", "lab"}, args...)...)
	}
	p.Cmds["resize"] = func(ts *testscript.TestScript, _ bool, args []string) {
		columns, rows, _ := strings.Cut(args[0], "x")
		tmux(ts, "resize-window", "-t", "lab", "-x", columns, "-y", rows)
	}
	p.Cmds["screen"] = screenShows
	p.Cmds["coloured"] = func(ts *testscript.TestScript, neg bool, _ []string) {
		if got := capture(ts, "-e"); strings.Contains(got, "\x1b[") == neg {
			ts.Fatalf("coloured is %v:\n%q", !neg, got)
		}
	}
	p.Cmds["golden"] = func(ts *testscript.TestScript, _ bool, args []string) {
		screenIs(ts, filepath.Join(golden, args[0]+".txt"))
	}
	testscript.Run(t, p)
}

// terminal COLUMNSxROWS COMMAND... runs a command in a new terminal of that size, which stays when it has ended, until the
// next one or the end of the script.
func startTerminal(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: terminal COLUMNSxROWS COMMAND...")
	}
	if last := ts.Getenv(socketKey); last != "" {
		terminalCommand(ts, "kill-server").Run()
	}
	ts.Setenv(socketKey, fmt.Sprintf("tmux%d", time.Now().UnixNano())) // a server needs a while to end
	columns, rows, _ := strings.Cut(args[0], "x")
	shell := strings.Join(args[1:], " ") + "; echo ended: $?; exec sleep 600"
	tmux(ts, "-f", "/dev/null", "new-session", "-d", "-s", "lab", "-x", columns, "-y", rows, shell)
	ts.Defer(func() { terminalCommand(ts, "kill-server").Run() })
}

// socketKey is where a script keeps the name of its terminal's socket.
const socketKey = "TERMINAL"

func terminalCommand(ts *testscript.TestScript, args ...string) *exec.Cmd {
	cmd := exec.Command("tmux", append([]string{"-u", "-S", ts.MkAbs(ts.Getenv(socketKey))}, args...)...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = append(scriptEnv(ts), "STATUS="+ts.Getenv("STATUS"), "TERM=xterm-256color", "LANG=C.UTF-8")
	return cmd
}

func tmux(ts *testscript.TestScript, args ...string) string {
	out, err := terminalCommand(ts, args...).CombinedOutput()
	if err != nil {
		ts.Fatalf("tmux %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// capture is what the screen shows, without blanks at the ends of lines.
func capture(ts *testscript.TestScript, more ...string) string {
	lines := strings.Split(tmux(ts, append([]string{"capture-pane", "-p", "-t", "lab"}, more...)...), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

// screen REGEXP waits until the screen, or what was scrolled off it, matches; with ! it must not match now.
func screenShows(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	var got string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		got = capture(ts, "-S", "-200")
		switch matches := want.MatchString(got); {
		case matches && neg:
			ts.Fatalf("the screen shows %s:\n%s", args[0], got)
		case matches || neg:
			return
		case strings.Contains(got, "ended: "):
			end = time.Now() // nothing more comes
		}
	}
	ts.Fatalf("the screen never showed %s; it shows:\n%s", args[0], got)
}

// screenIs waits until the screen is that of a golden file.
func screenIs(ts *testscript.TestScript, file string) {
	took := regexp.MustCompile(`took \d+:\d\d`)
	read := func() string { return took.ReplaceAllString(capture(ts), "took M:SS") }
	if *update {
		time.Sleep(2 * time.Second)
		ts.Check(os.WriteFile(file, []byte(read()), 0o644))
	}
	want, err := os.ReadFile(file)
	ts.Check(err)
	var got string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = read(); got == string(want) {
			return
		}
	}
	ts.Fatalf("%s (-update writes it):\n%s", file, cmp.Diff(string(want), got))
}
