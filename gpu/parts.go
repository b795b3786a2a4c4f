package gpu

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The parts of a vLLM server, as samples name them.
const (
	partAPI     = "server.api"
	partEngine  = "server.engine"
	partWorkers = "server.workers"
)

var serverParts = []string{partAPI, partEngine, partWorkers}

// partOf says which part of the server a process is: by the title that vLLM has given itself since 0.10, else by its
// place. A process that Python's multiprocessing has spawned below the API server is the engine, one below the engine a
// worker (0.8 and before, and any version until it has set its title); whatever else there is, such as the resource
// tracker or a compiler, counts as its parent does.
func (t *tree) partOf(pid int, places map[int]stat) string {
	if part, ok := titled(t.titles.of(pid)); ok {
		return part
	}
	parent, below := places[places[pid].parent]
	switch {
	case pid == t.root:
		return partAPI
	case below && parent.start <= places[pid].start:
	case t.known[pid] != nil && t.known[pid].part != "":
		return t.known[pid].part // it keeps its part when its parent has gone
	default:
		return partAPI
	}
	above := t.partOf(places[pid].parent, places)
	switch {
	case !spawned(t.titles.commandLine(pid)):
		return above
	case above == partAPI:
		return partEngine
	}
	return partWorkers
}

// titled reads the titles of vLLM's processes: VLLM::EngineCore, VLLM::EngineCore_DP0, VLLM::Worker_TP1, VLLM::APIServer_0,
// VLLM::DPCoordinator; the kernel's own name for a process has their first 15 bytes.
func titled(text string) (part string, ok bool) {
	name, ok := strings.CutPrefix(text, "VLLM::")
	switch {
	case !ok:
		// Ray names the actors of the workers after their class.
		return partWorkers, strings.HasPrefix(text, "ray::") && strings.Contains(text, "Worker")
	case strings.HasPrefix(name, "EngineCor"):
		return partEngine, true
	case strings.HasPrefix(name, "Worker"):
		return partWorkers, true
	}
	return partAPI, true
}

// spawned says whether a command line is that of a child that Python's multiprocessing runs a function in.
func spawned(line string) bool { return strings.Contains(line, "multiprocessing.spawn") }

// titles reads what processes are called below a folder such as /proc.
type titles string

// of is what a process calls itself: its command line where it has overwritten that, else the kernel's name for it.
func (t titles) of(pid int) string {
	if line := t.commandLine(pid); strings.HasPrefix(line, "VLLM::") || strings.HasPrefix(line, "ray::") {
		return line
	}
	text, _ := os.ReadFile(filepath.Join(string(t), strconv.Itoa(pid), "comm"))
	return strings.TrimSpace(string(text))
}

func (t titles) commandLine(pid int) string {
	text, _ := os.ReadFile(filepath.Join(string(t), strconv.Itoa(pid), "cmdline"))
	return strings.TrimRight(strings.ReplaceAll(string(text), "\x00", " "), " ")
}
