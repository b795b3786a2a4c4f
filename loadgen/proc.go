package loadgen

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// threads adds up how long the threads of this process could run and had no core, as the kernel's scheduler counts it. A
// thread that has ended keeps what it had waited.
type threads struct {
	known map[string]time.Duration
	sum   time.Duration
}

// waited is false where the kernel does not say.
func (t *threads) waited() (time.Duration, bool) {
	const folder = "/proc/self/task"
	tasks, err := os.ReadDir(folder) // a pattern with a star in the middle would list each task's own files too
	if err != nil {
		return 0, false
	}
	if t.known == nil {
		t.known = map[string]time.Duration{}
	}
	told := false
	for _, task := range tasks {
		name := task.Name()
		text, err := os.ReadFile(filepath.Join(folder, name, "schedstat"))
		if err != nil {
			continue // it has ended
		}
		if wait, ok := runDelay(text); ok {
			told = true
			t.sum += max(0, wait-t.known[name])
			t.known[name] = wait
		}
	}
	return t.sum, told
}

// runDelay reads the second of the three numbers in a schedstat.
func runDelay(text []byte) (time.Duration, bool) {
	fields := bytes.Fields(text)
	if len(fields) != 3 {
		return 0, false
	}
	wait, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return time.Duration(wait), err == nil && wait >= 0
}

// resident is how much memory this process has in use.
func resident() (int, bool) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.Atoi(string(fields[1]))
	return pages * os.Getpagesize(), err == nil
}
