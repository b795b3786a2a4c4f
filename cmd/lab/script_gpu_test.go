package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"
)

// fakegpu builds the stand-in for the NVIDIA driver library that the tests of gpu use, and has lab load it. The GPU it
// shows is used by a program that is nobody's server.
func fakeGPU(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: fakegpu")
	}
	sources, err := filepath.Glob(filepath.Join(ts.Getenv("SOURCE"), "gpu/testdata/fakenvml/*.c"))
	ts.Check(err)
	sources = slices.DeleteFunc(sources, func(name string) bool { return filepath.Base(name) == "abi.c" }) // compiled only, to check its structures
	lib := ts.MkAbs("libnvidia-ml.so.1")
	out, err := exec.Command("gcc", append([]string{"-shared", "-fPIC", "-O2", "-Wl,-soname,libnvidia-ml.so.1", "-o", lib}, append(sources, "-lm", "-lpthread")...)...).CombinedOutput()
	if err != nil {
		ts.Fatalf("build the fake driver (gcc is needed): %v\n%s", err, out)
	}
	stranger := exec.Command("sleep", "300")
	ts.Check(stranger.Start())
	ts.Defer(func() {
		stranger.Process.Kill()
		stranger.Wait()
	})
	trace := ts.MkAbs("gpu.trace")
	text := fmt.Sprintf("0 50 40 300000 20000000000 50 1980 2619 0\nproc 0 9999999 %d %d\n", stranger.Process.Pid, 11<<30)
	ts.Check(os.WriteFile(trace, []byte(text), 0o644))
	ts.Setenv("LAB_NVML_LIB", lib)
	ts.Setenv("FAKENVML_TRACE", trace)
}
