package main

import (
	"encoding/json"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lab/internal/correlate"
)

// halt TIME PIDFILE stops the process whose pid the file holds for a time.
func halt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: halt TIME PIDFILE")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGSTOP))
	time.Sleep(d)
	ts.Check(syscall.Kill(pid, syscall.SIGCONT))
}

// fakedriver TRACE builds the stand-in for the driver's library and lets lab load it for the rest of the script. The
// trace begins now, for every process.
func fakeDriver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fakedriver TRACE")
	}
	lib := ts.MkAbs("libnvidia-ml.so.1")
	sources, err := filepath.Abs("../../gpu/testdata/fakenvml")
	ts.Check(err)
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wl,-soname,libnvidia-ml.so.1", "-o", lib,
		filepath.Join(sources, "nvml.c"), filepath.Join(sources, "trace.c"), "-lm", "-lpthread").CombinedOutput()
	if err != nil {
		ts.Fatalf("build the fake driver (gcc is needed): %v\n%s", err, out)
	}
	ts.Setenv("LAB_NVML_LIB", lib)
	ts.Setenv("FAKENVML_TRACE", ts.MkAbs(args[0]))
	ts.Setenv("FAKENVML_EPOCH_US", strconv.FormatInt(time.Now().UnixMicro(), 10))
}

func hardwareDocument(ts *testscript.TestScript, name string) correlate.Hardware {
	var h correlate.Hardware
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(name)), &h))
	return h
}

// findings FILE CODE... wants exactly these findings in a hardware document, each once.
func findings(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: findings FILE [CODE...]")
	}
	var got []string
	for _, f := range hardwareDocument(ts, args[0]).Findings {
		got = append(got, f.Code)
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(got, want) {
		ts.Fatalf("the findings are %q, want %q", got, want)
	}
}

// balanced FILE wants the parts of the energy in a hardware document to add up to the counter within 1 %.
func balanced(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: balanced FILE")
	}
	e := hardwareDocument(ts, args[0]).Energy
	if e == nil || e.Counter <= 0 {
		ts.Fatalf("there is no energy")
	}
	if sum := e.Requests + e.Idle + e.Withheld; math.Abs(sum-e.Counter) > 0.01*e.Counter {
		ts.Fatalf("requests %g J + idle %g J + withheld %g J is %g J, the counter says %g J", e.Requests, e.Idle, e.Withheld, sum, e.Counter)
	}
}
