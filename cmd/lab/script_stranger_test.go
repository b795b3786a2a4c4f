package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// stranger TRACE starts a program that is nobody's server, and writes a trace of a GPU that it uses.
func stranger(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stranger TRACE")
	}
	program := exec.Command("sleep", "300")
	ts.Check(program.Start())
	ts.Defer(func() {
		program.Process.Kill()
		program.Wait()
	})
	text := fmt.Sprintf("0 50 40 300000 20000000000 50 1980 2619 0\nproc 0 9999999 %d %d\n", program.Process.Pid, 11<<30)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}
