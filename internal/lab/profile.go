package lab

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ProfileWindow asks for one extra run with the server's profiler on: when the window opens, how long it is, what it records.
type ProfileWindow struct {
	Iterations int    `json:"iterations,omitempty"` // steps of the engine in the window
	Start      string `json:"start,omitempty"`      // see ParseProfileStart
	Stacks     bool   `json:"stacks,omitempty"`     // Python stacks: they make every step longer
	Shapes     bool   `json:"shapes,omitempty"`     // shapes of the operators' inputs
	Frontend   bool   `json:"frontend,omitempty"`   // a trace of the API server too
	Mechanism  string `json:"mechanism,omitempty"`  // "config" or "env"; empty: what the version has, the config where it has both
}

// The ways in which a server is told that it may be profiled.
const (
	ProfileByConfig = "config" // --profiler-config, vLLM 0.13 and later
	ProfileByEnv    = "env"    // VLLM_TORCH_PROFILER_DIR and its kin, vLLM 0.15 and before
	ProfileByServer = "server" // whoever started it told it: its traces are not lab's, and no file asks for it
)

// WithDefaults fills in what was left out.
func (w ProfileWindow) WithDefaults() ProfileWindow {
	if w.Iterations == 0 {
		w.Iterations = 32
	}
	if w.Start == "" {
		w.Start = "warm"
	}
	return w
}

// profile finds what cannot be profiled that way. Which mechanism the installed vllm has, the supervisor asks later.
func (v *validator) profile(s Server, w ProfileWindow) {
	if s.BaseURL != "" {
		v.fault("profile", "needs a server that lab starts: only such a one writes its traces into the run's folder (with base_url: lab bench --profile)")
	}
	if w.Iterations < 1 || w.Iterations > MaxProfileIterations {
		v.fault("profile.iterations", "%d is out of range: 1 to %d steps", w.Iterations, MaxProfileIterations)
	}
	if _, err := ParseProfileStart(w.Start); err != nil {
		v.fault("profile.start", "%v", err)
	}
	if m := w.Mechanism; m != "" && m != ProfileByConfig && m != ProfileByEnv {
		v.fault("profile.mechanism", "%q is not one of %s, %s", m, ProfileByConfig, ProfileByEnv)
	}
	if _, given := s.Env["VLLM_TORCH_PROFILER_DIR"]; given {
		v.fault("server.env.VLLM_TORCH_PROFILER_DIR", "is set by lab in the profiled run, to the run's folder: remove the line")
	}
	for name := range s.Args {
		if flag := strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-"); flag == "profiler-config" || strings.HasPrefix(flag, "profiler-config.") {
			v.fault("server.args."+name, "is set by lab in the profiled run: say what to record under profile")
		}
	}
}

// MaxProfileIterations bounds a window: what it holds is written to the disk in one piece while the server stands still.
const MaxProfileIterations = 10_000

// ProfileStart is when a window opens.
type ProfileStart struct {
	Kind   string  // "warm", "steady", "queue", or a latency: "ttft", "tpot", "e2el"
	Rank   float64 // of a latency, in percent
	Limit  time.Duration
	Depth  int // of the queue
	Source string
}

var latencyStart = regexp.MustCompile(`^(ttft|tpot|e2el)\.p(50|90|95|99)>(.+)$`)
var queueStart = regexp.MustCompile(`^queue=([0-9]{1,9})$`)

// ParseProfileStart reads when a window opens:
//
//	warm           with the first request after the warm-up
//	steady         when the batch has turned over and its size keeps still
//	queue=8        when so many requests wait in the engine
//	ttft.p99>500ms when the percentile over the last requests exceeds a limit; also tpot, e2el and p50, p90, p95
func ParseProfileStart(text string) (ProfileStart, error) {
	start := ProfileStart{Kind: text, Source: text}
	if text == "warm" || text == "steady" {
		return start, nil
	}
	if m := queueStart.FindStringSubmatch(text); m != nil {
		depth, err := strconv.Atoi(m[1])
		if err != nil || depth == 0 {
			return start, fmt.Errorf("%q waits for a queue of no requests: write for example queue=8", text)
		}
		start.Kind, start.Depth = "queue", depth
		return start, nil
	}
	if m := latencyStart.FindStringSubmatch(text); m != nil {
		limit, err := ParseDuration(m[3])
		if err != nil || limit == 0 {
			return start, fmt.Errorf("%q has no limit after the sign: write for example %s.p%s>500ms", text, m[1], m[2])
		}
		rank, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return start, fmt.Errorf("%q names no percentile: %w", text, err)
		}
		start.Kind, start.Rank, start.Limit = m[1], rank, time.Duration(limit)
		return start, nil
	}
	return start, fmt.Errorf("%q is none of warm, steady, queue=N, ttft.p99>500ms (also tpot and e2el; p50, p90, p95)", text)
}

// Profile is what became of the window of a profiled run. Such a run is never judged. Moments are offsets from the run's epoch.
type Profile struct {
	Mechanism string            `json:"mechanism"`           // ProfileByConfig, ProfileByEnv or ProfileByServer
	Settings  map[string]string `json:"settings"`            // as the server got them: flags and variables
	Bound     string            `json:"bound"`               // who ends the window: "server" by its own limit, "lab" by counting steps
	Condition string            `json:"condition"`           // as asked
	Met       string            `json:"met,omitempty"`       // what was seen when it held
	MetAt     time.Duration     `json:"met_at,omitempty"`    // when
	Start     *ProfileReply     `json:"start,omitempty"`     // absent: never asked
	Stop      *ProfileReply     `json:"stop,omitempty"`      // absent: never asked
	Steps     *int              `json:"steps,omitempty"`     // of the engine until the stop was asked for, by its own counter
	Workers   int               `json:"workers"`             // traces expected of workers
	FilesAt   time.Duration     `json:"files_at,omitempty"`  // when all files were found complete
	Files     []TraceFile       `json:"files"`               // below the run's folder
	Complete  bool              `json:"complete"`            // every file that was expected is there and whole
	Lost      string            `json:"lost,omitempty"`      // why it is not
	Overhead  *ProfileOverhead  `json:"overhead,omitempty"`  // absent: too little was seen inside or outside the window
	Remarks   []string          `json:"remarks,omitempty"`   // what was odd and did no harm
	Estimate  Bytes             `json:"estimate,omitempty"`  // room that was asked of the disk beforehand
	Took      time.Duration     `json:"dump_took,omitempty"` // from the stop request until the files were whole
}

// ProfileReply is one request to the profiler and what came back.
type ProfileReply struct {
	Asked  time.Duration `json:"asked"`
	Took   time.Duration `json:"took"`
	Status int           `json:"status,omitempty"` // of HTTP; 0: no answer came
	Text   string        `json:"text,omitempty"`   // the body, or why there was no answer
}

// OK says whether the server did what it was asked.
func (r *ProfileReply) OK() bool { return r != nil && r.Status >= 200 && r.Status < 300 }

// TraceFile is one file that a profiler left.
type TraceFile struct {
	Path     string `json:"path"` // relative to the run's folder
	Size     Bytes  `json:"size"`
	SHA256   string `json:"sha256"`
	Kind     string `json:"kind"`           // "worker", "frontend", "capture" (of CUDA graphs) or "table"
	Rank     *int   `json:"rank,omitempty"` // where the name says it
	Complete bool   `json:"complete"`
	Damage   string `json:"damage,omitempty"`
}

// ProfileOverhead compares how long clients waited for a further token (ITL, mean over tokens) inside and outside the window of one run.
type ProfileOverhead struct {
	Unprofiled       time.Duration `json:"unprofiled_itl"`
	UnprofiledTokens int           `json:"unprofiled_n"`
	Profiled         time.Duration `json:"profiled_itl"`
	ProfiledTokens   int           `json:"profiled_n"`
}

// Share is by how much profiling made the wait longer: 0.1 is 10 %.
func (o ProfileOverhead) Share() float64 { return float64(o.Profiled)/float64(o.Unprofiled) - 1 }

// Traces are the traces of the workers, or all traces where there is none of a worker.
func (p *Profile) Traces() []TraceFile {
	var workers, all []TraceFile
	for _, f := range p.Files {
		switch f.Kind {
		case "worker":
			workers, all = append(workers, f), append(all, f)
		case "frontend":
			all = append(all, f)
		}
	}
	if len(workers) > 0 {
		return workers
	}
	return all
}
