package gpu

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"lab/internal/lab"
)

// tree samples a server's processes: the root, its descendants, and whoever else is in the process group or the session
// that it leads.
type tree struct {
	root    int
	start   uint64 // of the root
	lists   bool   // the kernel lists children
	group   int    // 0: the root leads none, so that its group holds others too
	session int    // 0: the root leads none
	known   map[int]*member
	cpu     map[string]float64 // CPU seconds by part, of processes that have ended too: a sum never falls
	titles  titles
	reads   int
}

// member is one process; a pid that comes back is told by its start.
type member struct {
	start   uint64
	process *process.Process
	cpu     float64 // counted so far
	part    string
}

func newTree(root int) *tree {
	t := &tree{root: root, known: map[int]*member{}, cpu: map[string]float64{}, titles: "/proc"}
	if s, ok := readStat(root); ok {
		t.start = s.start
		if s.group == root {
			t.group = root
		}
		if s.session == root {
			t.session = root
		}
	}
	_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	t.lists = err == nil
	return t
}

// stat is what the kernel says of a process's place.
type stat struct {
	parent, group, session int
	start                  uint64 // clock ticks since boot
}

// readStat reads /proc/PID/stat; fields are counted behind the name, which may hold spaces and brackets.
func readStat(pid int) (stat, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, false
	}
	return parseStat(string(text))
}

func parseStat(text string) (s stat, ok bool) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const parent, group, session, start = 1, 2, 3, 19 // fields 4, 5, 6 and 22 of proc(5)
	if len(fields) <= start {
		return stat{}, false
	}
	var errs [4]error
	s.parent, errs[0] = strconv.Atoi(fields[parent])
	s.group, errs[1] = strconv.Atoi(fields[group])
	s.session, errs[2] = strconv.Atoi(fields[session])
	s.start, errs[3] = strconv.ParseUint(fields[start], 10, 64)
	if errs != [4]error{} {
		return stat{}, false
	}
	return s, true
}

// scanEvery is how many readings use the kernel's own lists of children for one that looks at all of /proc, which costs
// a hundred times as much and also finds members of the group whose parents have died.
const scanEvery = 5

// pids finds the members.
func (t *tree) pids() map[int]stat {
	var from []int
	seed := func(pid int, start uint64) {
		if s, ok := readStat(pid); ok && s.start == start {
			from = append(from, pid)
		}
	}
	seed(t.root, t.start)
	for pid, m := range t.known { // also one that has lost its parent
		seed(pid, m.start)
	}
	children := childrenOf
	if t.reads%scanEvery == 0 || !t.lists {
		below := map[int][]int{}
		for pid, s := range scan() {
			below[s.parent] = append(below[s.parent], pid)
			if t.leads(s) {
				from = append(from, pid)
			}
		}
		children = func(pid int) []int { return below[pid] }
	}
	t.reads++
	all := map[int]stat{}
	for len(from) > 0 {
		pid := from[0]
		from = from[1:]
		if _, seen := all[pid]; seen {
			continue
		}
		if s, ok := readStat(pid); ok {
			all[pid] = s
			from = append(from, children(pid)...)
		}
	}
	return all
}

// childrenOf reads the kernel's lists, one for each thread.
func childrenOf(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// scan reads the place of every process.
func scan() map[int]stat {
	all := map[int]stat{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if s, ok := readStat(pid); ok {
				all[pid] = s
			}
		}
	}
	return all
}

// leads says whether a process is in the group or the session that the root leads.
func (t *tree) leads(s stat) bool {
	return t.group != 0 && s.group == t.group || t.session != 0 && s.session == t.session
}

// read gives the sum over the tree and the parts that a vLLM server has.
func (t *tree) read(at func() time.Duration) []lab.Sample {
	if t.root == 0 {
		return nil
	}
	before := at()
	places := t.pids()
	rss, count := map[string]float64{}, map[string]float64{}
	for pid, s := range places {
		m := t.member(pid, s.start)
		if m == nil {
			continue
		}
		times, err := m.process.Times()
		if err != nil {
			continue
		}
		m.part = t.partOf(pid, places)
		now := times.User + times.System
		t.cpu[m.part] += max(0, now-m.cpu)
		m.cpu = max(now, m.cpu)
		count[m.part]++
		if info, err := m.process.MemoryInfo(); err == nil {
			rss[m.part] += float64(info.RSS)
		}
	}
	for pid, m := range t.known {
		if s, alive := places[pid]; !alive || s.start != m.start {
			delete(t.known, pid)
		}
	}
	after := at()
	if len(count) == 0 {
		return nil
	}
	whole := map[string]float64{lab.ProcCPU: 0, lab.ProcRSS: 0, lab.ProcCount: 0}
	samples := []lab.Sample{{At: (before + after) / 2, Took: after - before, Device: "server", Values: whole}}
	for _, part := range serverParts {
		cpu, ran := t.cpu[part]
		if !ran {
			continue
		}
		samples = append(samples, lab.Sample{At: (before + after) / 2, Took: after - before, Device: part, Values: map[string]float64{
			lab.ProcCPU: cpu, lab.ProcRSS: rss[part], lab.ProcCount: count[part],
		}})
		whole[lab.ProcCPU] += cpu
		whole[lab.ProcRSS] += rss[part]
		whole[lab.ProcCount] += count[part]
	}
	return samples
}

func (t *tree) member(pid int, start uint64) *member {
	old := t.known[pid]
	if old != nil && old.start == start {
		return old
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil
	}
	m := &member{start: start, process: p}
	t.known[pid] = m
	return m
}

// holds says whether a process is the server's, by its group or its line of parents. Not known: nobody here has that
// number, or the line broke while it was followed.
func (t *tree) holds(pid int) (ours, known bool) {
	for pid > 0 {
		s, ok := readStat(pid)
		if !ok {
			return false, false
		}
		if pid == t.root && s.start == t.start || t.leads(s) {
			return true, true
		}
		pid = s.parent
	}
	return false, true
}
