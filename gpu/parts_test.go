package gpu

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"lab/internal/lab"
)

// call gives a process its command line and name in a stand-in for /proc.
func call(t *testing.T, proc titles, pid int, comm, line string) {
	t.Helper()
	dir := filepath.Join(string(proc), strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"comm": comm + "\n", "cmdline": line + "\x00"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThePartsOfEveryRecordedServerAreTold(t *testing.T) {
	const root, tracker = "/opt/vllm/bin/python\x00/opt/vllm/bin/vllm\x00serve\x00/models/tiny", "/opt/vllm/bin/python -c from multiprocessing.resource_tracker import main;main(31)"
	const spawned = "/opt/vllm/bin/python\x00-c\x00from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=16, pipe_handle=18)\x00--multiprocessing-fork"
	type process struct {
		parent     int
		comm, line string
		want       string
	}
	for version, processes := range map[string]map[int]process{
		"0.32.0": {1: {0, "vllm", root, partAPI}, 2: {1, "python", tracker, partAPI}, 3: {1, "VLLM::EngineCor", "VLLM::EngineCore", partEngine}, 4: {3, "VLLM::Worker", "VLLM::Worker", partWorkers}},
		"0.17.1": {1: {0, "vllm", root, partAPI}, 2: {1, "python", tracker, partAPI}, 3: {1, "VLLM::EngineCor", "VLLM::EngineCore", partEngine}},
		"0.8.5":  {1: {0, "python", root, partAPI}, 2: {1, "python", tracker, partAPI}, 3: {1, "python", spawned, partEngine}, 4: {3, "python", spawned, partWorkers}, 5: {3, "ninja", "ninja -v", partEngine}},
		"two API servers, two engines, two GPUs each": {
			1: {0, "vllm", root, partAPI}, 2: {1, "VLLM::APIServer", "VLLM::APIServer_1", partAPI}, 3: {1, "VLLM::DPCoordin", "VLLM::DPCoordinator", partAPI},
			4: {1, "VLLM::EngineCor", "VLLM::EngineCore_DP0", partEngine}, 5: {4, "VLLM::Worker_TP", "VLLM::Worker_TP1", partWorkers},
			6: {9, "ray::RayWorkerW", "ray::RayWorkerWrapper.execute_method", partWorkers}},
	} {
		tree := &tree{root: 1, titles: titles(t.TempDir()), known: map[int]*member{}}
		places := map[int]stat{}
		for pid, p := range processes {
			call(t, tree.titles, pid, p.comm, p.line)
			places[pid] = stat{parent: p.parent, start: uint64(pid)}
		}
		for pid, p := range processes {
			if got := tree.partOf(pid, places); got != p.want {
				t.Errorf("%s, process %d (%s): %s, want %s", version, pid, p.line, got, p.want)
			}
		}
	}
}

func TestTimeStaysWithThePartThatSpentItWhenAProcessTakesItsTitle(t *testing.T) {
	root := sleeper(t, "while :; do :; done")
	tree := newTree(root)
	tree.titles = titles(t.TempDir())
	call(t, tree.titles, root, "python", "vllm serve")
	at := func() time.Duration { return 0 }
	cpu := func(samples []lab.Sample, device string) (float64, bool) {
		for _, s := range samples {
			if s.Device == device {
				return s.Values[lab.ProcCPU], true
			}
		}
		return 0, false
	}
	spent := 0.0
	for spent == 0 {
		spent, _ = cpu(tree.read(at), partAPI)
	}
	call(t, tree.titles, root, "VLLM::Worker", "VLLM::Worker")
	engine := 0.0
	var samples []lab.Sample
	for engine == 0 {
		samples = tree.read(at)
		engine, _ = cpu(samples, partWorkers)
	}
	api, ok := cpu(samples, partAPI)
	whole, _ := cpu(samples, "server")
	if !ok || api != spent || whole != api+engine {
		t.Errorf("API server %g s (was %g s), workers %g s, together %g s", api, spent, engine, whole)
	}
	if _, ok := cpu(samples, partEngine); ok {
		t.Error("a part that never was is reported")
	}
}
