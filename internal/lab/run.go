package lab

import (
	"time"
)

// Run is one execution of one experiment on one server process.
type Run struct {
	ID         string      `json:"id"`                 // sorts by time, see NewID
	Plan       *Plan       `json:"plan,omitempty"`     // the A/B this run belongs to
	Arm        string      `json:"arm,omitempty"`      // "A" or "B" within a plan
	Block      int         `json:"block,omitempty"`    // pair number within a plan, from 1; 0: a run that is not measured (burn-in)
	Try        int         `json:"try,omitempty"`      // of the block: 1 and 2 are repeats of it, because a run of it was invalid
	Slot       int         `json:"slot,omitempty"`     // position in the order of measured runs, from 0
	Sweep      *SweepPlace `json:"sweep,omitempty"`    // the sweep this run belongs to
	Baseline   *Capture    `json:"baseline,omitempty"` // the baseline this run belongs to
	Experiment Experiment  `json:"experiment"`
	Key        string      `json:"key"` // Experiment.Key()
	Host       Host        `json:"host"`
	Epoch      Epoch       `json:"epoch"`
	Command    string      `json:"command,omitempty"` // what the user typed
	Lab        string      `json:"lab"`               // version of this program
	Tags       []string    `json:"tags,omitempty"`
	Imported   *Import     `json:"imported,omitempty"` // nil: lab made it

	Profile *Profile `json:"profile,omitempty"` // nil: not profiled

	StartTemp *float64 `json:"start_temp_c,omitempty"` // of the hottest of its GPUs before its server was started; nil: not read

	Server   ServerFacts   `json:"server"`
	Outcome  Outcome       `json:"outcome"`
	Failure  *Failure      `json:"failure,omitempty"`
	Findings []Finding     `json:"findings,omitempty"`
	Ended    time.Duration `json:"ended,omitempty"` // since Epoch
}

// Capture is a baseline as it was taken at one time: several runs of one experiment.
type Capture struct {
	Name string `json:"name"`
	ID   string `json:"id"`   // sorts by time, like a run's
	Runs int    `json:"runs"` // that it is made of when it is whole
}

// Import says where a run comes from that was not made here. Such a run can be looked at and set beside others; no A/B
// judges it.
type Import struct {
	File   string `json:"file"`   // as it was named
	By     string `json:"by"`     // the program that measured
	SHA256 string `json:"sha256"` // of the result as it stands in the file
}

// Epoch is the only wall-clock reading of a run. Every other moment is an offset on CLOCK_MONOTONIC from it, in child
// processes too (same boot, same clock).
type Epoch struct {
	Wall      time.Time `json:"wall"`
	Monotonic int64     `json:"monotonic_ns"` // CLOCK_MONOTONIC at that moment
}

// Outcome says how a run ended.
type Outcome string

// The outcomes of a run.
const (
	Live        Outcome = "live"        // it still goes on, or its process was killed and nobody has looked yet
	Complete    Outcome = "complete"    // every phase ran to its end
	Failed      Outcome = "failed"      // the server did not start, died or hung; Failure says how
	Interrupted Outcome = "interrupted" // stopped by the user or by a kill; what was measured is kept
)

// Failure is why the server under test ended a run.
type Failure struct {
	Class  string   `json:"class"`           // one of the Fail constants
	Reason string   `json:"reason"`          // one line a person can act on
	Quote  []string `json:"quote,omitempty"` // the last telling lines of the server's log
	Exit   string   `json:"exit,omitempty"`  // "exit code 1", "killed by signal 9"; empty while it lives
	Phase  string   `json:"phase,omitempty"` // the start-up or load phase in which it happened
}

// The classes of failure.
const (
	FailArguments = "arguments"   // vllm refused a flag or a value while parsing
	FailConfig    = "config"      // vllm refused the combination of values
	FailModel     = "model"       // model folder, weights or hub entry missing or unreadable
	FailPort      = "port"        // the port was taken
	FailMemory    = "memory"      // no GPU or host memory for weights or KV cache
	FailEngine    = "engine"      // the engine or a worker died
	FailExit      = "exit"        // the server process ended unasked, cause unknown
	FailHang      = "hang"        // no token while requests were in flight
	FailTimeout   = "timeout"     // not ready within the start timeout
	FailIdentity  = "identity"    // somebody else answers on the port
	FailCanary    = "canary"      // ready by its own word, but it does not complete a request
	FailEnviron   = "environment" // no usable device, missing library, driver trouble
	FailUnknown   = "unknown"
)

// Finding is something that was noticed about a run or a verdict and belongs beside its numbers.
type Finding struct {
	Code   string `json:"code"` // stable word, such as "client-lag"
	Level  Level  `json:"level"`
	Phase  string `json:"phase,omitempty"` // of the load, where it is about one
	Detail string `json:"detail"`          // one sentence with the figures
}

// Level says what a finding means for the numbers it stands beside.
type Level string

// The levels of a finding.
const (
	Invalid Level = "invalid" // the numbers must not be judged
	Warning Level = "warning" // the numbers may be off, or the reader should know
	Note    Level = "note"
)

// Valid says whether a finished run's numbers may be judged. Those of a profiled run may not: the profiler slows what it watches.
func (r Run) Valid() bool {
	if r.Outcome != Complete || r.Profile != nil {
		return false
	}
	for _, f := range r.Findings {
		if f.Level == Invalid {
			return false
		}
	}
	return true
}

// ServerFacts is what the server under test said about itself.
type ServerFacts struct {
	Version    string            `json:"version,omitempty"` // GET /version
	Package    string            `json:"package,omitempty"` // version in the package metadata
	Executable string            `json:"executable,omitempty"`
	Argv       []string          `json:"argv,omitempty"`
	Env        map[string]string `json:"env,omitempty"` // what lab set or removed (empty value: removed), secrets left out
	ServedName string            `json:"served_name,omitempty"`
	Port       int               `json:"port,omitempty"`
	PID        int               `json:"pid,omitempty"`
	Resolved   map[string]string `json:"resolved,omitempty"` // values the server itself settled on (KV blocks, block size, …)
	Stages     []Stage           `json:"stages,omitempty"`   // the start-up, split
	Inert      []string          `json:"inert,omitempty"`    // keys passed that the engine ignores, each with why
	Stop       *Stop             `json:"stop,omitempty"`
	GPUs       []GPUUse          `json:"gpus,omitempty"` // memory of each GPU around the run, and whose it was
}

// Stage is one part of a server's start-up.
type Stage struct {
	Name string        `json:"name"`
	At   time.Duration `json:"at"`   // since Epoch
	Took time.Duration `json:"took"` // until the next stage
}

// Stop is how a server was stopped and what it left behind.
type Stop struct {
	Took      time.Duration `json:"took"`
	Exit      string        `json:"exit"`
	Signals   []string      `json:"signals"`             // what was sent, in order
	Leftovers []string      `json:"leftovers,omitempty"` // processes, ports, shared memory that had to be cleaned, each a sentence
}
