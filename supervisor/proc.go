package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one line of /proc/PID/stat.
type process struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"start"` // clock ticks since boot: with the pid it names one process for ever
	Name   string `json:"name"`  // at most 15 bytes: VLLM::EngineCor
	parent int
	group  int
	state  byte
}

// gone says that nothing is left of it but its exit status.
func (p process) gone() bool { return p.state == 'Z' || p.state == 'X' }

func (p process) String() string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }

func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	return parseStat(text)
}

// parseStat reads a stat line. The name stands in parentheses and may contain any byte, so the fields after it are
// counted from the last one.
func parseStat(text []byte) (process, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return process{}, fmt.Errorf("read process status: no name in %q", text)
	}
	fields := strings.Fields(string(text[end+1:]))
	const startField = 19 // field 22 of the line; fields[0] is field 3
	if len(fields) <= startField || len(fields[0]) != 1 {
		return process{}, fmt.Errorf("read process status: %q is too short", text)
	}
	p := process{Name: string(text[open+1 : end]), state: fields[0][0]}
	numbers := []struct {
		field string
		into  *int
	}{{strings.TrimSpace(string(text[:open])), &p.PID}, {fields[1], &p.parent}, {fields[2], &p.group}}
	for _, n := range numbers {
		v, err := strconv.Atoi(n.field)
		if err != nil {
			return process{}, fmt.Errorf("read process status: %w", err)
		}
		*n.into = v
	}
	start, err := strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return process{}, fmt.Errorf("read process status: %w", err)
	}
	p.Start = start
	return p, nil
}

// processes lists what runs now. Processes that end while it reads are left out.
func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// family keeps those that share the group of the leader, and their descendants: a child that made a group or a session of
// its own still belongs to the server.
func family(all []process, leader int, start uint64) []process {
	ours := map[int]bool{}
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if ours[p.PID] || p.Start < start || !(p.group == leader || ours[p.parent]) {
				continue
			}
			ours[p.PID], grew = true, true
		}
	}
	var members []process
	for _, p := range all {
		if ours[p.PID] && !p.gone() {
			members = append(members, p)
		}
	}
	return members
}

// same says whether the process still runs and is the one that was meant, not a later one with its number.
func (p process) same() bool {
	now, err := readProcess(p.PID)
	return err == nil && now.Start == p.Start && !now.gone()
}

// sharedMemory lists the files of /dev/shm that a process has mapped or open, by inode: a semaphore is mapped under a
// temporary name and linked to its own later, so names would not tell.
func (p process) sharedMemory() []uint64 {
	var inodes []uint64
	if maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.PID)); err == nil {
		for line := range strings.Lines(string(maps)) {
			if fields := strings.Fields(line); len(fields) > 5 && strings.HasPrefix(fields[5], shmDir+"/") {
				if inode, err := strconv.ParseUint(fields[4], 10, 64); err == nil {
					inodes = append(inodes, inode)
				}
			}
		}
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID))
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, shmDir+"/") {
			if inode, ok := inodeOf(link); ok {
				inodes = append(inodes, inode)
			}
		}
	}
	return inodes
}

// bootID tells two boots of the machine apart, since pids and start times begin again with each.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
