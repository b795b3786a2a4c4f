package runner

import (
	"fmt"
	"sync"
	"time"

	"lab/internal/lab"
	"lab/loadgen"
)

// status keeps what the live line shows of a run and hands it on. Several goroutines feed it.
type status struct {
	mu    sync.Mutex
	emit  func(lab.Status)
	clock lab.Clock
	began time.Duration // of the stage
	base  loadgen.Snapshot
	now   lab.Status
}

func (s *status) stage(name string, whole time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Stage, s.now.Whole, s.now.Phase, s.now.Doing, s.began = name, whole, "", "", s.clock.Now()
	s.send()
}

// phase begins a stage of load; so is what had been counted in the run before it.
func (s *status) phase(p lab.Phase, stage string, so loadgen.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Stage, s.now.Phase, s.began = stage, p.Name, s.clock.Now()
	s.now.Whole, s.now.Want = time.Duration(p.Load.Duration), p.Load.Requests
	if stage == "warm-up" {
		s.now.Whole, s.now.Want = 0, p.Load.Warmup
	}
	s.base = so
	s.now.Sent, s.now.OK, s.now.Errors, s.now.Tokens = 0, 0, 0, 0
	s.send()
}

// progress takes the counts since the run began and shows those of the stage.
func (s *status) progress(p loadgen.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Sent, s.now.OK, s.now.Errors = p.Sent-s.base.Sent, p.OK-s.base.OK, p.Errors-s.base.Errors
	s.now.Tokens, s.now.InFlight = p.Tokens-s.base.Tokens, p.InFlight
	s.now.TTFT, s.now.ITL = p.TTFT, p.ITL
	s.send()
}

// detail says more of the stage; empty: nothing.
func (s *status) detail(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Doing = text
	s.send()
}

// sample keeps the last reading of the first GPU as one line.
func (s *status) sample(sample lab.Sample) {
	power, ok := sample.Values[lab.GPUPower]
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.GPU = fmt.Sprintf("%s %.0f W", sample.Device, power)
}

func (s *status) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Stage = ""
	s.send()
}

// send is called with the lock held.
func (s *status) send() {
	s.now.Since = s.clock.Now() - s.began
	s.emit(s.now)
}
