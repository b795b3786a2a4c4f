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
	names, err := filepath.Glob("/proc/self/task/*/schedstat")
	if err != nil || len(names) == 0 {
		return 0, false
	}
	if t.known == nil {
		t.known = map[string]time.Duration{}
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if wait, ok := runDelay(text); ok {
			t.sum += max(0, wait-t.known[name])
			t.known[name] = wait
		}
	}
	return t.sum, true
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
