package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lab/internal/sim"
)

// The test binary is the program, and also the stand-in for vllm.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lab":  func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"vllm": func() { os.Exit(sim.Main(os.Args[1:], os.Stdout, os.Stderr)) },
		"burn": burn,

		"replay": replay,
	})
}

func TestScripts(t *testing.T) { testscript.Run(t, scriptParams("testdata/script")) }

func scriptParams(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Condition:           scriptCondition,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("LAB_DIR", filepath.Join(env.WorkDir, "records"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("LAB_LOCK_DIR", filepath.Join(env.WorkDir, "locks")) // a box of its own
			env.Values[sharedMemoryKey] = sharedMemory()
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"stranger":  stranger,
			"await":     await,
			"signal":    sendSignal,
			"noserver":  noServer,
			"json":      checkJSON,
			"engine":    engine,
			"simulate":  simulate,
			"measures":  measures,
			"starved":   starved,
			"counted":   counted,
			"talks":     talks,
			"benchstat": benchstat,
			"fetch":     fetchPage,
			"answers":   answersPage,

			"halt":       halt,
			"fakedriver": fakeDriver,
			"findings":   findings,
			"balanced":   balanced,

			"envfrom":     envFrom,
			"benchboth":   benchBoth,
			"samecounts":  sameCounts,
			"sametraces":  sameTraces,
			"sameverdict": sameVerdict,
			"smalldisk":   smallDisk,
			"started":     started,
		},
	}
}

// exits CODE COMMAND... runs a command and wants its exit code; its output is left in the files out and err.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCodeOf(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// exitCodeOf runs a command and leaves its output in the files out and err.
func exitCodeOf(ts *testscript.TestScript, args []string) int {
	cmd := scriptCommand(ts, args)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	runErr := cmd.Run()
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(errOut.String()), 0o644))
	ts.Logf("%s%s", out.String(), errOut.String())
	if cmd.ProcessState == nil {
		ts.Fatalf("%v", runErr)
	}
	return cmd.ProcessState.ExitCode()
}

// scriptCommand is a command of the script's own PATH, folder and environment.
func scriptCommand(ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = scriptEnv(ts)
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if name := filepath.Join(dir, args[0]); isFile(name) {
			cmd.Path, cmd.Err = name, nil
			break
		}
	}
	return cmd
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func scriptEnv(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "LAB_DIR", "LAB_KEY", "LAB_NVML_LIB", "FAKENVML_TRACE", "FAKENVML_EPOCH_US", "XDG_CACHE_HOME", "LAB_LOCK_DIR", "NO_COLOR", "OPENAI_API_KEY", "URL"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// await FILE REGEXP waits until the file matches, for as long as a busy machine may need.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	var text []byte
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		_, ended := os.Stat(ts.MkAbs("code")) // where a script keeps the exit code of what it waits for
		text, _ = os.ReadFile(ts.MkAbs(args[0]))
		if want.Match(text) {
			return
		}
		if ended == nil {
			break
		}
	}
	ts.Fatalf("%s never matched %s; it holds:\n%s", args[0], args[1], text)
}

// signal SIGNAL PIDFILE sends a signal to the process whose pid the file holds.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal SIGNAL PIDFILE")
	}
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, signals[args[0]]))
}

// json FILE PATH VALUE wants a value in a JSON document; PATH is keys and indices separated by dots.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json FILE PATH VALUE")
	}
	var node any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &node); err != nil {
		ts.Fatalf("%s is not one JSON document: %v", args[0], err)
	}
	for _, key := range strings.Split(args[1], ".") {
		switch n := node.(type) {
		case map[string]any:
			node = n[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(n) {
				ts.Fatalf("%s: no element %s", args[1], key)
			}
			node = n[i]
		default:
			node = nil
		}
	}
	if got := fmt.Sprint(node); (got == args[2]) == neg {
		ts.Fatalf("%s is %s, want (neg=%v) %s", args[1], got, neg, args[2])
	}
}
