package matrices

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"time"

	"lab/internal/lab"
)

// defaultMargin is the relative difference that does not matter unless a file says otherwise.
const defaultMargin = 0.03

// unset marks a number that the file did not write where 0 is a choice.
const unset = math.MinInt

// defaults fills in what a file leaves out, so that the record says everything.
func defaults(e *lab.Experiment) {
	s := &e.Server
	setDuration(&s.HangTimeout, time.Minute)
	if !e.Attached() {
		setDuration(&s.StartTimeout, 10*time.Minute)
		setDuration(&s.StopTimeout, 15*time.Second)
	}
	if s.Simulator != nil && s.Simulator.As == "" {
		s.Simulator.As = "0.32.0"
	}
	for i := range e.Phases {
		defaultLoad(&e.Phases[i].Load)
	}
}

func setDuration(d *lab.Duration, value time.Duration) {
	if *d == 0 {
		*d = lab.Duration(value)
	}
}

func defaultLoad(l *lab.Load) {
	if l.Open() && l.Burstiness == 0 {
		l.Burstiness = 1
	}
	if l.Warmup == unset { // enough to fill a batch once, and not a load of its own
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
		if d.Kind == "prompts" && startsWithMessages(d.File) {
			l.API = "chat"
		}
	}
}

// startsWithMessages says whether the first line of a prompts file is a conversation. A file that cannot be read is
// told of later, when the machine is checked.
func startsWithMessages(name string) bool {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var line struct {
		Messages json.RawMessage `json:"messages"`
	}
	const longest = 16 << 20
	err = json.NewDecoder(io.LimitReader(f, longest)).Decode(&line)
	return err == nil && line.Messages != nil
}
