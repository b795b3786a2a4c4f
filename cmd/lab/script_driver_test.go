package main

import (
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"
)

// fakedriver TRACE builds the stand-in for the driver's library that the tests of gpu use, and lets lab load it for the
// rest of the script.
func fakeDriver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fakedriver TRACE")
	}
	sources, err := filepath.Glob("../../gpu/testdata/fakenvml/*.c")
	ts.Check(err)
	sources = slices.DeleteFunc(sources, func(name string) bool { return filepath.Base(name) == "abi.c" }) // compiled only, to check its structures
	lib := ts.MkAbs("libnvidia-ml.so.1")
	options := []string{"-shared", "-fPIC", "-O2", "-Wl,-soname,libnvidia-ml.so.1", "-o", lib}
	out, err := exec.Command("gcc", slices.Concat(options, sources, []string{"-lm", "-lpthread"})...).CombinedOutput()
	if err != nil {
		ts.Fatalf("build the fake driver (gcc is needed): %v\n%s", err, out)
	}
	ts.Setenv("LAB_NVML_LIB", lib)
	ts.Setenv("FAKENVML_TRACE", ts.MkAbs(args[0]))
}
