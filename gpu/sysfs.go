package gpu

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// sysfs is the folder that /proc and /sys are in.
type sysfs string

// text is one file, trimmed; "" where it is not there.
func (s sysfs) text(name string) string {
	text, _ := os.ReadFile(filepath.Join(string(s), name))
	return strings.TrimSpace(string(text))
}

// all are the different contents of the files that a pattern matches, sorted.
func (s sysfs) all(pattern string) []string {
	names, _ := filepath.Glob(filepath.Join(string(s), pattern))
	var values []string
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			values = append(values, strings.TrimSpace(string(text)))
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// describe reads what of the kernel's settings changes how fast the machine is.
func (s sysfs) describe(h *lab.Host) {
	const cpus = "sys/devices/system/cpu/"
	h.BootID = s.text("proc/sys/kernel/random/boot_id")
	h.Governor = strings.Join(s.all(cpus+"cpu[0-9]*/cpufreq/scaling_governor"), ",")
	h.Turbo = s.turbo(cpus)
	h.ThreadsPerCore = siblings(s.text(cpus + "cpu0/topology/thread_siblings_list"))
	nodes, _ := filepath.Glob(filepath.Join(string(s), "sys/devices/system/node/node[0-9]*"))
	h.NUMANodes = len(nodes)
	h.ClockSource = s.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
	h.HugePages = chosen(s.text("sys/kernel/mm/transparent_hugepage/enabled"))
}

// turbo is told by intel_pstate, or by cpufreq for the others.
func (s sysfs) turbo(cpus string) *bool {
	for name, on := range map[string]string{"intel_pstate/no_turbo": "0", "cpufreq/boost": "1"} {
		if text := s.text(cpus + name); text == "0" || text == "1" {
			yes := text == on
			return &yes
		}
	}
	return nil
}

// siblings counts a list of the kernel's such as "0-1" or "0,64".
func siblings(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			return 0
		}
		to := from
		if isRange {
			if to, err = strconv.Atoi(last); err != nil || to < from || to > from+1<<16 {
				return 0
			}
		}
		n += to - from + 1
	}
	return n
}

// chosen is the word in brackets of "always [madvise] never".
func chosen(text string) string {
	_, after, _ := strings.Cut(text, "[")
	word, _, found := strings.Cut(after, "]")
	if !found {
		return ""
	}
	return word
}

// limits are what the control groups of this process allow: cores and memory, the least of all groups above it; 0 is no
// limit. In a container the groups above are hidden, and its own is the root of what can be seen.
func (s sysfs) limits() (cores float64, memory lab.Bytes) {
	least := func(v float64) {
		if v > 0 && (cores == 0 || v < cores) {
			cores = v
		}
	}
	leastMemory := func(text string) {
		if v, err := strconv.ParseUint(text, 10, 64); err == nil && v > 0 && (memory == 0 || lab.Bytes(v) < memory) {
			memory = lab.Bytes(v)
		}
	}
	for line := range strings.Lines(s.text("proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		controllers := strings.Split(parts[1], ",")
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			switch {
			case parts[1] == "": // version 2
				quota, period, _ := strings.Cut(s.text("sys/fs/cgroup"+dir+"/cpu.max"), " ")
				least(ratio(quota, period))
				leastMemory(s.text("sys/fs/cgroup" + dir + "/memory.max"))
			case slices.Contains(controllers, "cpu"):
				group := "sys/fs/cgroup/" + parts[1] + dir
				least(ratio(s.text(group+"/cpu.cfs_quota_us"), s.text(group+"/cpu.cfs_period_us")))
			case slices.Contains(controllers, "memory"):
				leastMemory(s.text("sys/fs/cgroup/" + parts[1] + dir + "/memory.limit_in_bytes"))
			}
			if dir == "/" {
				break
			}
		}
	}
	return cores, memory
}

// ratio of two numbers; 0 where one of them is none ("max", or -1: no limit).
func ratio(of, by string) float64 {
	a, errA := strconv.ParseFloat(of, 64)
	b, errB := strconv.ParseFloat(by, 64)
	if r := a / b; errA == nil && errB == nil && r > 0 && !math.IsInf(r, 0) {
		return r
	}
	return 0
}
