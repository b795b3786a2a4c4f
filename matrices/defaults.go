package matrices

import (
	"math"
	"time"

	"lab/internal/lab"
)

// defaultMargin is the relative difference that does not matter unless a file says otherwise.
const defaultMargin = 0.03

// defaults fills in what a file leaves out, so that the record says everything.
func (r *reader) defaults(e *lab.Experiment) {
	s := &e.Server
	set(&s.HangTimeout, time.Minute)
	if !e.Attached() {
		set(&s.StartTimeout, 10*time.Minute)
		set(&s.StopTimeout, 15*time.Second)
	}
	if s.Simulator != nil && s.Simulator.As == "" {
		s.Simulator.As = "0.32.0"
	}
	for i := range e.Phases {
		defaultLoad(&e.Phases[i].Load)
	}
}

func set(d *lab.Duration, value time.Duration) {
	if *d == 0 {
		*d = lab.Duration(value)
	}
}

func defaultLoad(l *lab.Load) {
	if l.Open() && l.Burstiness == 0 {
		l.Burstiness = 1
	}
	if l.Warmup == unset { // not written: enough to fill a batch once, and not a load of its own
		l.Warmup = min(max(l.Concurrency, 8), 32)
	}
	d := &l.Dataset
	if d.Kind == "" {
		d.Kind = "random"
		if d.File != "" {
			d.Kind = "prompts"
		}
	}
	if d.Kind == "random" {
		if d.InputTokens == 0 {
			d.InputTokens = 512
		}
		if d.OutputTokens == 0 {
			d.OutputTokens = 128
		}
	}
	if l.API == "" {
		l.API = "completions"
	}
}

// unset marks a number that the file did not write where 0 is a choice.
const unset = math.MinInt
