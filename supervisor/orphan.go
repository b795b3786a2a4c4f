package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// record is the note about a running server that outlives a killed lab.
type record struct {
	RunID   string    `json:"run_id"`
	Boot    string    `json:"boot"`
	Lab     process   `json:"lab"`
	Root    process   `json:"root"`
	Members []process `json:"members,omitempty"` // seen in its group: they prove whose group it is after the root is gone
	Port    int       `json:"port"`
	Temp    string    `json:"temp"`
	Dir     string    `json:"dir"` // with the log files
	Since   time.Time `json:"since"`
}

const recordSuffix = ".server.json"

// note writes the record, with whoever belongs to the server by now; not any more once it is being stopped.
func (s *Server) note() error {
	s.noting.Lock()
	defer s.noting.Unlock()
	self, err := readProcess(os.Getpid())
	if err != nil {
		return fmt.Errorf("note server: %w", err)
	}
	r := record{RunID: s.o.RunID, Boot: bootID(), Lab: self, Root: s.root, Port: s.launch.Port, Temp: s.temp, Dir: s.o.Dir, Since: time.Now().UTC()}
	s.mu.Lock()
	for _, p := range s.members {
		r.Members = append(r.Members, p)
	}
	stopping := s.stopping
	s.mu.Unlock()
	if stopping {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("note server: %w", err)
	}
	s.state = filepath.Join(s.o.StateDir, fmt.Sprintf("%s-%d%s", s.o.RunID, s.root.PID, recordSuffix))
	if err := writeFile(s.state, text); err != nil {
		return fmt.Errorf("note server: %w", err)
	}
	return nil
}

// announce notes a server that is about to be started, so that a lab that is killed in between leaves a trace too. It
// gives back what takes the note away once the server has one of its own.
func (s *Server) announce() (withdraw func(), err error) {
	self, err := readProcess(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("note server: %w", err)
	}
	text, err := json.Marshal(record{RunID: s.o.RunID, Boot: bootID(), Lab: self, Port: s.launch.Port, Temp: s.temp, Dir: s.o.Dir, Since: time.Now().UTC()})
	if err != nil {
		return nil, fmt.Errorf("note server: %w", err)
	}
	name := filepath.Join(s.o.StateDir, fmt.Sprintf("%s-starting-%d%s", s.o.RunID, s.launch.Port, recordSuffix))
	if err := writeFile(name, text); err != nil {
		return nil, fmt.Errorf("note server: %w", err)
	}
	return func() { os.Remove(name) }, nil
}

// started finds the server of which only the announcement was written: the leader of a group that writes to its log, in
// a folder that no other run has.
func (r record) started() (process, bool) {
	log := filepath.Join(r.Dir, stdoutLog)
	for _, p := range processes() {
		if target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/1", p.PID)); err == nil && target == log && p.group == p.PID {
			return p, true
		}
	}
	return process{}, false
}

// Orphan is a server that a killed lab left, or only its files if none of its processes runs any more.
type Orphan struct {
	PID   int
	Group int
	RunID string
	Port  int
	Since time.Time
	Names []string // of the processes that still run, with pid

	file   string
	record record
}

// String names the run and what still runs of it.
func (o Orphan) String() string {
	what := "only files"
	if len(o.Names) > 0 {
		what = strings.Join(o.Names, ", ")
	}
	return fmt.Sprintf("the server of run %s on port %d: %s", o.RunID, o.Port, what)
}

// Orphans lists what killed labs left. A process is listed only if it is provably the one that was started: same boot,
// same pid and start time, or in the group of one that is. Nothing of a lab that still runs is listed.
func Orphans(stateDir string) ([]Orphan, error) {
	files, err := filepath.Glob(filepath.Join(stateDir, "*"+recordSuffix))
	if err != nil {
		return nil, fmt.Errorf("list orphans: %w", err)
	}
	var orphans []Orphan
	var bad []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // its lab has just stopped it
		}
		var r record
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("read %s: %w", file, err))
			continue
		}
		if r.Boot == bootID() && r.Lab.same() {
			continue
		}
		if r.Root.PID == 0 {
			r.Root, _ = r.started() // none: it was not started after all, and its files are left
		}
		o := Orphan{PID: r.Root.PID, Group: r.Root.PID, RunID: r.RunID, Port: r.Port, Since: r.Since, file: file, record: r}
		for _, p := range o.living() {
			o.Names = append(o.Names, p.String())
		}
		orphans = append(orphans, o)
	}
	return orphans, errors.Join(bad...)
}

// living lists the processes that are provably the server's.
func (o Orphan) living() []process {
	if o.record.Boot != bootID() || o.PID == 0 {
		return nil
	}
	all := processes()
	var proven []process
	for _, p := range all {
		isOne := func(q process) bool { return q.PID == p.PID && q.Start == p.Start }
		if !p.gone() && (isOne(o.record.Root) || slices.ContainsFunc(o.record.Members, isOne)) {
			proven = append(proven, p)
		}
	}
	if !slices.ContainsFunc(proven, func(p process) bool { return p.group == o.Group }) {
		return proven // the group's number may be somebody else's by now
	}
	for _, p := range family(all, o.Group, o.record.Root.Start) {
		if !slices.ContainsFunc(proven, func(q process) bool { return q.PID == p.PID }) {
			proven = append(proven, p)
		}
	}
	return proven
}

// Clean ends what is left of the orphan and removes its files. If ctx ends, it kills at once.
func (o Orphan) Clean(ctx context.Context) error {
	used := map[uint64]bool{}
	for _, p := range o.living() {
		for _, inode := range p.sharedMemory() {
			used[inode] = true
		}
	}
	if o.record.Boot == bootID() && o.record.Root.same() {
		syscall.Kill(o.PID, syscall.SIGTERM)
		until(killStarting, func() bool { return ctx.Err() != nil || !o.record.Root.same() })
	}
	until(childrenTime, func() bool { return ctx.Err() != nil || len(o.living()) == 0 || o.record.Root.same() })
	if o.PID != 0 && !until(killedTime, func() bool { return killAll(o.Group, o.living()) }) {
		return fmt.Errorf("clean up after run %s: %v does not die", o.RunID, o.living())
	}
	removeSeen(used)
	for _, dir := range []string{o.record.Temp, o.record.Dir} {
		if !ownTemp(dir) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clean up after run %s: %w", o.RunID, err)
		}
	}
	if err := os.Remove(o.file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clean up after run %s: %w", o.RunID, err)
	}
	return nil
}

// ownTemp says whether a path is one that lab makes for a server's temporary files; a damaged record must not name
// another.
func ownTemp(path string) bool {
	name := filepath.Base(path)
	return filepath.IsAbs(path) && (name == "tmp" && strings.Count(path, "/") > 1 || strings.HasPrefix(name, "lab-"))
}
