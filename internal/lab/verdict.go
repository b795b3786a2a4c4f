package lab

import "time"

// Plan is how an A/B will be run, fixed before its first run and stored with every run of it.
type Plan struct {
	ID      string     `json:"id"` // sorts by time, like a run's
	Made    time.Time  `json:"made"`
	Name    string     `json:"name"` // "quick", "standard" …
	Pairs   int        `json:"pairs"`
	Order   string     `json:"order"`   // arms of the measured runs, such as "ABBAAB"
	Seed    uint64     `json:"seed"`    // of the coin that chose the first arm
	Phase   string     `json:"phase"`   // the phase whose figure decides
	Primary string     `json:"primary"` // the deciding metric
	Margin  float64    `json:"margin"`  // relative
	Alpha   float64    `json:"alpha"`   // two-sided
	Fresh   bool       `json:"fresh"`   // a fresh server per run; false: one running server for all
	A       Experiment `json:"a"`
	B       Experiment `json:"b"`
}

// Call is the word of a verdict.
type Call string

// The calls.
const (
	Better       Call = "better"
	NoDifference Call = "no-difference"
	Worse        Call = "worse"
	Inconclusive Call = "inconclusive"
	InvalidCall  Call = "invalid"
	Historical   Call = "historical" // a comparison that cannot carry a verdict: servers not fresh, or stored numbers
)

// Verdict answers an A/B. It is computed from stored runs and can be computed again at any time; it is never stored.
type Verdict struct {
	Plan        Plan         `json:"plan"`
	Call        Call         `json:"call"`
	Qualifier   string       `json:"qualifier,omitempty"` // "at least 3 %", "size uncertain"
	Primary     Row          `json:"primary"`
	Rows        []Row        `json:"rows"` // informing metrics
	Warnings    []Finding    `json:"warnings,omitempty"`
	Different   []Difference `json:"different"` // what the two configurations differ in, resolved values included
	Runs        []RunRef     `json:"runs"`
	MDE         *float64     `json:"mde,omitempty"`          // relative difference this plan could see with 80 % power
	PairsNeeded int          `json:"pairs_needed,omitempty"` // for the margin, at the seen noise; 0 = unknown
}

// Row compares one metric. Delta, Low and High are relative (0.05 = B is 5 % above A) except for shares (Absolute),
// where they are differences in the metric's own unit.
type Row struct {
	Phase    string   `json:"phase"`
	Metric   string   `json:"metric"`
	Unit     string   `json:"unit"`
	Higher   bool     `json:"higher_is_better"`
	Absolute bool     `json:"absolute,omitempty"`
	A        float64  `json:"a"` // geometric mean over runs; shares: mean
	B        float64  `json:"b"`
	Delta    float64  `json:"delta"`
	Low      *float64 `json:"low,omitempty"` // interval at Level; absent where no interval exists
	High     *float64 `json:"high,omitempty"`
	P        *float64 `json:"p,omitempty"`
	Level    float64  `json:"level"`            // 0.95
	CV       *float64 `json:"run_cv,omitempty"` // residual sd on the log scale
	Drift    *float64 `json:"drift,omitempty"`  // relative, per 10 slots; removed from Delta
	N        int      `json:"n"`                // runs an arm
	Call     Call     `json:"call"`
	Reason   string   `json:"reason,omitempty"`
}

// SingleRun is the Reason of a row that compares two single runs.
const SingleRun = "one run a side shows no noise from run to run"

// RunRef names a run in a verdict and says whether it counted.
type RunRef struct {
	ID    string `json:"id"`
	Arm   string `json:"arm"`
	Block int    `json:"block"`
	Valid bool   `json:"valid"`
	Why   string `json:"why,omitempty"` // of an invalid one
}

// Difference is one value in which two configurations differ. Empty: not set.
type Difference struct {
	Path string `json:"path"` // "server.max_num_seqs", "resolved.num_gpu_blocks"
	A    string `json:"a"`
	B    string `json:"b"`
}
