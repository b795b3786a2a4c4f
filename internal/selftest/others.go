package selftest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of the kernel's account of CPU times in /proc.
const tick = time.Second / 100

// crowded is the share of both cores from which on other programs are told of.
const crowded = 0.05

// occupied is how long two cores have been busy since the machine started, with whatever; the host's other guests count.
func occupied(text []byte, cores ...int) (time.Duration, error) {
	var busy time.Duration
	for _, core := range cores {
		_, rest, found := bytes.Cut(text, fmt.Appendf(nil, "\ncpu%d ", core))
		if !found {
			return 0, fmt.Errorf("read /proc/stat: there is no core %d", core)
		}
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		ticks, err := numbers(bytes.Fields(line))
		if err != nil || len(ticks) < 8 {
			return 0, fmt.Errorf("read /proc/stat: the line of core %d is %q", core, line)
		}
		const user, nice, system, irq, softIRQ, steal = 0, 1, 2, 5, 6, 7
		for _, i := range []int{user, nice, system, irq, softIRQ, steal} {
			busy += time.Duration(ticks[i]) * tick
		}
	}
	return busy, nil
}

// used is what a process that runs has used so far, by its line in /proc.
func used(text []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(text, ')') // of its name, which may hold anything
	fields := bytes.Fields(text[end+1:])
	const user, system = 11, 12
	if end < 0 || len(fields) <= system {
		return 0, fmt.Errorf("read the times of a process: %q", text)
	}
	ticks, err := numbers(fields[user : system+1])
	if err != nil {
		return 0, fmt.Errorf("read the times of a process: %w", err)
	}
	return time.Duration(ticks[0]+ticks[1]) * tick, nil
}

func numbers(fields [][]byte) ([]int64, error) {
	all := make([]int64, len(fields))
	for i, f := range fields {
		var err error
		if all[i], err = strconv.ParseInt(string(f), 10, 64); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// watcher says how much of the two cores went to programs that are not measured.
type watcher struct {
	places places
	began  time.Time
	busy   time.Duration
	failed error
}

func watchOthers(p places) *watcher {
	w := &watcher{places: p, began: time.Now()}
	w.busy, w.failed = w.read()
	return w
}

func (w *watcher) read() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return occupied(text, w.places.server, w.places.client)
}

// share is the part of both cores that others had since the start. There is none where nothing is pinned.
func (w *watcher) share(server int, client time.Duration) (value, bool) {
	if w.places.client < 0 || w.failed != nil {
		return value{}, false
	}
	whole := 2 * time.Since(w.began)
	busy, err := w.read()
	if err != nil {
		return value{}, false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server))
	if err != nil {
		return value{}, false
	}
	serving, err := used(text)
	if err != nil {
		return value{}, false
	}
	others := busy - w.busy - serving - client
	return value{max(0, others.Seconds()/whole.Seconds()), 1}, true
}
