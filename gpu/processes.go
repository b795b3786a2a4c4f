package gpu

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"lab/internal/lab"
)

// tree samples a server's processes: the root, its descendants, and whoever else is in its process group.
type tree struct {
	root  int
	known map[int]*member
	gone  float64 // CPU seconds of processes that have ended, as last seen: the sum never falls
}

// member is one process; a pid that comes back is told by its start.
type member struct {
	process *process.Process
	cpu     float64
}

func newTree(root int) *tree { return &tree{root: root, known: map[int]*member{}} }

// pids finds the members by the kernel's own lists of children: walking all of /proc costs a hundred times as much.
func (t *tree) pids() []int {
	var all []int
	seen := map[int]bool{}
	var walk func(pid int)
	walk = func(pid int) {
		if seen[pid] {
			return
		}
		seen[pid] = true
		all = append(all, pid)
		lists, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			for _, word := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(word); err == nil {
					walk(child)
				}
			}
		}
	}
	walk(t.root)
	return all
}

func (t *tree) read(at func() time.Duration) (lab.Sample, bool) {
	if t.root == 0 {
		return lab.Sample{}, false
	}
	before := at()
	alive := map[int]bool{}
	var rss, cpu float64
	for _, pid := range t.pids() {
		m := t.member(pid)
		if m == nil {
			continue
		}
		times, err := m.process.Times()
		if err != nil {
			continue
		}
		alive[pid] = true
		m.cpu = times.User + times.System
		if info, err := m.process.MemoryInfo(); err == nil {
			rss += float64(info.RSS)
		}
	}
	for pid, m := range t.known {
		if !alive[pid] {
			t.gone += m.cpu
			delete(t.known, pid)
			continue
		}
		cpu += m.cpu
	}
	after := at()
	if len(alive) == 0 {
		return lab.Sample{}, false
	}
	return lab.Sample{At: (before + after) / 2, Took: after - before, Device: "server", Values: map[string]float64{
		lab.ProcCPU: cpu + t.gone, lab.ProcRSS: rss, lab.ProcCount: float64(len(alive)),
	}}, true
}

func (t *tree) member(pid int) *member {
	if m, ok := t.known[pid]; ok {
		return m
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil
	}
	m := &member{process: p}
	t.known[pid] = m
	return m
}

// holds says whether a process belongs to the server.
func (t *tree) holds(pid int) bool {
	for _, member := range t.pids() {
		if member == pid {
			return true
		}
	}
	return false
}
