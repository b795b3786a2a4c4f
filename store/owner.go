package store

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// owner is the process that records a run.
type owner struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // in clock ticks since boot: a pid may be used again
	Boot  string `json:"boot"`
}

func self() owner {
	return owner{PID: os.Getpid(), Start: startTime(os.Getpid()), Boot: bootID()}
}

// alive says whether that very process still runs.
func (o owner) alive() bool {
	return o.PID != 0 && o.Start != "" && o.Start == startTime(o.PID) && o.Boot == bootID()
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
