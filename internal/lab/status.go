package lab

import "time"

// Status is what a measurement is doing right now: for the live view, never for a figure. It is a plain value that nobody
// changes once it was handed on. It says nothing of how the arms of an A/B compare, so that nobody stops a plan because of
// what they saw. What is not known is 0, empty, or not in a map.
type Status struct {
	Run   string        // run ID
	Title string        // "A seqs-4", or the experiment's name
	Model string        // that the server has
	Step  string        // "burn-in A", "pair 2 of 4", …; empty for a single run
	Stage string        // "starting", "warm-up", "load", "stopping" …; empty: the run is over
	Phase string        // of the load
	Load  Load          // that phase's
	Doing string        // more of the stage, such as how much of a trace is written
	Since time.Duration // since the stage began
	Whole time.Duration // how long the stage will take
	Left  time.Duration // how long the series of runs will take from now, at most
	Legs  []Leg         // the run's stretches, in order

	Sent, OK, Errors, InFlight, Want int            // requests of the phase; Want 0 = bounded by time
	Tokens                           int            // output tokens of the phase so far
	Failed                           map[string]int // its errors by class
	LastError                        string

	Figures   string    // the phase, or warm-up, that the figures here are of; empty: there are none
	Latencies []Latency // TTFT, ITL and E2EL
	Output    Rate      // tokens a second
	Requests  Rate      // that succeeded, a second
	Goodput   *Goodput  // nil: no limits are set

	GPUs   []Gauges
	Engine Gauges
	Host   Gauges
	Client Gauges // of lab itself
	Alerts []Alert

	Outcome Outcome // of the run, once it is over

	Plan  *PlanStatus  // nil: no A/B
	Sweep *SweepStatus // nil: no sweep
}

// Leg is one stretch of a run: the start of the server, a warm-up, a phase of load.
type Leg struct {
	Name  string
	State LegState
	Took  time.Duration // of one that is over
	Whole time.Duration // how long one that is still to come will take

	OK, Errors int // requests of one that is over, but for those that lab itself ended
}

// LegState says where a leg, a pair of an A/B or a cell of a sweep stands.
type LegState int

// The states.
const (
	LegTodo   LegState = iota
	LegNow             // goes on
	LegDone            // is over, and counts
	LegSpoilt          // is over and was invalid
	LegFailed          // its server failed
	LegReused          // was made earlier, before the command that runs now
	LegLeft            // left out
)

// Latency is a latency of the last ten seconds and of the phase so far.
type Latency struct {
	Name          string
	Recent, Phase Spread
	Trend         []time.Duration // medians of the last seconds, the oldest first; 0: nothing came in that second
}

// Rate is how much a second, over the last ten seconds and over the phase so far; 0: nothing yet.
type Rate struct{ Recent, Phase float64 }

// Goodput counts the requests of the phase that ended, and those within every limit.
type Goodput struct {
	Limits        []SLO
	Recent, Phase GoodShare
}

// GoodShare is Good of Of requests.
type GoodShare struct{ Good, Of int }

// Gauges are the last readings of one thing, under the names that samples have.
type Gauges struct {
	Device string // as in samples
	Name   string // of a GPU: the product's
	Memory Bytes  // of a GPU: all it has
	Values map[string]float64
}

// What gauges hold beyond the values of samples; all are of the last seconds.
const (
	GaugePerToken = "energy_per_token_j" // of a GPU: its energy / output tokens, over the last ten seconds
	GaugeCPU      = "cpu_cores"          // of the client: cores it used
	GaugeRunWait  = "run_wait_threads"   // of the client: its threads that waited for a core, on average
)

// Alert is something that spoils the run or may, seen while it goes on, with what mends it.
type Alert struct {
	Code  string // as a finding of the sealed run has it, where there is one
	Of    string // what it is about, where several things may be so: a device, a phase
	Level Level
	Text  string
	Fix   string
	Ago   time.Duration // since it was last so; 0: it is so now
}

// PlanStatus is how far an A/B is.
type PlanStatus struct {
	ID    string
	Name  string // of the plan: "standard" …
	A, B  string // names of the arms
	Pairs []PairStatus
	Looks []int  // counts of pairs after which it may be decided
	Arm   string // that is measured now; empty: none of a pair
}

// PairStatus is one pair of runs of an A/B.
type PairStatus struct {
	Arms   string // "AB" or "BA"
	State  LegState
	Spoilt int // how often it was made in vain
}

// SweepStatus is how far a sweep is.
type SweepStatus struct {
	ID      string
	Name    string
	Repeats int
	Cells   []CellStatus
}

// CellStatus is one cell of a sweep. Made counts its runs, of SweepStatus.Repeats.
type CellStatus struct {
	Name   string
	Values []Setting
	State  LegState
	Made   int
}
