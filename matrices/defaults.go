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
	if e.Profile != nil {
		w := e.Profile.WithDefaults()
		e.Profile = &w
	}
}

func setDuration(d *lab.Duration, value time.Duration) { fill(d, lab.Duration(value)) }

// fill sets what was left out.
func fill[T comparable](v *T, value T) {
	var none T
	if *v == none {
		*v = value
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
	defaultDataset(d)
	if l.API == "" {
		l.API = "completions"
		if d.Kind == "random-mm" || d.Kind == "prompts" && startsWithMessages(d.File) {
			l.API = "chat"
		}
	}
}

// defaultDataset fills in the sizes of a data set: lab's own for random prompts, those of `vllm bench serve` for the kinds
// that are its own. A trace is read as Mooncake's are written, where vLLM's defaults would shrink it 32 times.
func defaultDataset(d *lab.Dataset) {
	switch d.Kind {
	case "random":
		fill(&d.InputTokens, 512)
		fill(&d.OutputTokens, 128)
	case "random-mm":
		fill(&d.InputTokens, 512)
		fill(&d.OutputTokens, 128)
		if d.Images == nil {
			d.Images = &lab.Images{}
		}
		fill(&d.Images.Items, 1)
		fill(&d.Images.Limit, 255)
		if d.Images.Buckets == nil {
			d.Images.Buckets = []lab.ImageBucket{{Width: 256, Height: 256, Share: 0.5}, {Width: 1280, Height: 720, Share: 0.5}}
		}
	case "prefix_repetition":
		fill(&d.Prefixes, 10)
		fill(&d.PrefixTokens, 256)
		fill(&d.InputTokens, 256)
		fill(&d.OutputTokens, 128)
	case "timed_trace":
		if d.Trace == nil {
			d.Trace = &lab.Trace{}
		}
		fill(&d.Trace.BlockTokens, 512)
		fill(&d.Trace.SecondsUnit, 0.001)
		fill(&d.Trace.Timestamp, "timestamp")
		fill(&d.Trace.InputLength, "input_length")
		fill(&d.Trace.OutputLen, "output_length")
		fill(&d.Trace.HashIDs, "hash_ids")
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
