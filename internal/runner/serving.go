package runner

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"lab/gpu"
	"lab/internal/lab"
	"lab/supervisor"
)

// serving is a server that was started for a run. A sweep makes several runs on one; what the server says and what
// happens to it then goes to the run that is on.
type serving struct {
	server  *supervisor.Server // set once a run leaves it to the next
	facts   lab.ServerFacts
	began   lab.Epoch // of the run that started it: its clock dates the log
	first   string    // that run's ID
	scratch string
	before  gpu.Found // what was on the GPUs before its start
	runs    int       // made on it

	mu   sync.Mutex
	job  *job          // nil between two runs
	kept []lab.LogLine // said between two runs
}

// log dates a line by the epoch of the run that is on.
func (s *serving) log(line lab.LogLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == nil {
		s.kept = append(s.kept, line)
		return
	}
	s.write(line)
}

// write is called with the lock held. What was said before the run began is dated at its beginning.
func (s *serving) write(line lab.LogLine) {
	line.At = max(0, line.At+time.Duration(s.began.Monotonic-s.job.run.Epoch.Monotonic))
	s.job.writer.Log(line)
}

func (s *serving) event(kind lab.EventKind, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != nil { // what happens between two runs is seen by the next: it finds the server down
		s.job.event(kind, detail)
	}
}

// to gives the server to a run; nil: to nobody.
func (s *serving) to(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.job = j
	if j == nil {
		return
	}
	for _, line := range s.kept {
		s.write(line)
	}
	s.kept = nil
}

// leave lets the server run on for the next run.
func (j *job) leave(server *supervisor.Server) {
	s := j.serving
	if s.server == nil {
		s.server, s.facts, s.first = server, j.run.Server, j.run.ID
	}
	s.runs++
	s.to(nil)
}

// takeOver makes the run on a server that an earlier one has left.
func (j *job) takeOver(s *serving) (target, *supervisor.Server, error) {
	j.serving, j.scratch, j.before = s, s.scratch, s.before
	s.to(j)
	facts := s.facts
	facts.Stages, facts.GPUs = nil, nil // the start-up was in the first run
	j.keepFacts(facts)
	f := lab.Finding{Code: "shared-server", Level: lab.Note,
		Detail: fmt.Sprintf("run %d on one server: its start-up is recorded with run %s", s.runs+1, s.first)}
	for _, p := range j.run.Experiment.Phases {
		if d := p.Load.Dataset; d.Sampled() || d.Kind == "prompts" {
			f.Level = lab.Warning
			f.Detail += "; the prompts come from a file, so its prefix cache may know them"
			break
		}
	}
	j.run.Findings = append(j.run.Findings, f)
	return target{j.target(s.server.URL(), facts.ServedName), s.server.PID()}, s.server, nil
}

// end stops a server that no run will take over.
func (s *serving) end(ctx context.Context) {
	s.server.Stop(context.WithoutCancel(ctx))
	os.RemoveAll(s.scratch)
}
