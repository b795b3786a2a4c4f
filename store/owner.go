package store

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// owner is the process that records a run.
type owner struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // in clock ticks since boot: a pid may be used again
	Boot  string `json:"boot"`
	Space string `json:"pid_namespace,omitempty"` // where the pid holds: a container has one of its own
}

func self() owner {
	return owner{PID: os.Getpid(), Start: startTime(os.Getpid()), Boot: bootID(), Space: pidSpace()}
}

// unseen is how long after its last write a process of another container counts as alive: it cannot be seen from here.
const unseen = time.Hour

// alive says whether that very process still runs. name is the file that it writes.
func (o owner) alive(name string) bool {
	if o.PID == 0 || o.Start == "" || o.Boot != bootID() {
		return false
	}
	if o.Space != pidSpace() {
		info, err := os.Stat(name)
		return err == nil && time.Since(info.ModTime()) < unseen
	}
	return o.Start == startTime(o.PID)
}

// pidSpace names the PID namespace of this process; empty where the kernel does not say.
func pidSpace() string {
	name, _ := os.Readlink("/proc/self/ns/pid")
	return name
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// startTime is empty for a process that is gone or dead.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return parseStartTime(stat)
}

// parseStartTime takes field 22 of /proc/PID/stat. Fields are counted from the last parenthesis, since the name before it
// may hold anything.
func parseStartTime(stat []byte) string {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, start = 3 - 3, 22 - 3
	if len(fields) <= start || bytes.ContainsAny(fields[state], "ZX") {
		return ""
	}
	return string(fields[start])
}
