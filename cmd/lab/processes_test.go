package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is what /proc says of one process.
type process struct {
	pid, comm, line, env string
	zombie               bool
}

func processes() []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []process
	for _, dir := range dirs {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has ended since
		}
		comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		all = append(all, process{
			pid: filepath.Base(dir), comm: strings.TrimSpace(string(comm)),
			line: strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " "), env: string(env),
			zombie: strings.Contains(string(stat), ") Z "),
		})
	}
	return all
}

// serversUnder lists servers and samplers that were started with the records folder of a script.
func serversUnder(work string) []string {
	var left []string
	for _, p := range processes() {
		ours := strings.Contains(p.env, "LAB_DIR="+work+"/") && (strings.Contains(p.line, "serve") || strings.Contains(p.line, "sampler"))
		if ours && !p.zombie {
			left = append(left, fmt.Sprintf("%s: %s", p.pid, p.line))
		}
	}
	return left
}

// leftByVLLM lists what a vLLM server may leave: its engine and workers, which overwrite their command line, and
// Python's resource trackers.
func leftByVLLM() []string {
	var left []string
	for _, p := range processes() {
		if !p.zombie && (strings.HasPrefix(p.comm, "VLLM::") || strings.Contains(p.line, "vllm serve") || strings.Contains(p.line, "multiprocessing.resource_tracker")) {
			left = append(left, fmt.Sprintf("%s: %s %s", p.pid, p.comm, p.line))
		}
	}
	return left
}

// sharedMemory lists the segments and semaphores that Python and torch leave in /dev/shm.
func sharedMemory() map[string]bool {
	found := map[string]bool{}
	for _, pattern := range []string{"psm_*", "sem.*", "torch_*"} {
		names, _ := filepath.Glob(filepath.Join("/dev/shm", pattern))
		for _, name := range names {
			found[name] = true
		}
	}
	return found
}

// noServer wants that nothing of this script's servers is left: no process, no shared memory.
func noServer(ts *testscript.TestScript, neg bool, _ []string) {
	before := ts.Value(sharedMemoryKey).(map[string]bool)
	look := func() []string {
		left := serversUnder(ts.Getenv("WORK"))
		if os.Getenv("LAB_TEST_VLLM") != "" {
			left = append(left, leftByVLLM()...)
			for name := range sharedMemory() {
				if !before[name] {
					left = append(left, name)
				}
			}
		}
		return left
	}
	left := look()
	if neg {
		if len(left) == 0 {
			ts.Fatalf("no server runs, want one")
		}
		return
	}
	for end := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		left = look()
	}
	if len(left) > 0 {
		ts.Fatalf("left behind: %s", strings.Join(left, "; "))
	}
}

const sharedMemoryKey = "shared memory before the script"

// engine FILE writes the pid of the running vLLM engine process into a file.
func engine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: engine FILE")
	}
	for _, p := range processes() {
		if !p.zombie && strings.HasPrefix(p.comm, "VLLM::EngineCor") {
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(p.pid), 0o644))
			return
		}
	}
	ts.Fatalf("no vLLM engine runs")
}
