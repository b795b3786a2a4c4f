package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Plan is how an A/B will be run, fixed before its first run and stored with every run of it.
type Plan struct {
	ID      string     `json:"id"` // sorts by time, like a run's
	Made    time.Time  `json:"made"`
	Name    string     `json:"name"`            // "quick", "standard" …
	Pairs   int        `json:"pairs"`           // at most
	Looks   []int      `json:"looks,omitempty"` // counts of valid pairs after which the runs are judged; empty: after Pairs
	Order   string     `json:"order"`           // arms of the measured runs, such as "ABBAAB"
	Seed    uint64     `json:"seed"`            // of the coin that chose the first arm
	Phase   string     `json:"phase"`           // the phase whose figure decides
	Primary string     `json:"primary"`         // the deciding metric
	Margin  float64    `json:"margin"`          // relative
	Alpha   float64    `json:"alpha"`           // two-sided, nominal: of each look
	Strict  bool       `json:"strict,omitempty"`
	Fresh   bool       `json:"fresh"` // a fresh server per run; false: one running server for all
	A       Experiment `json:"a"`
	B       Experiment `json:"b"`

	Guardrails []Guardrail `json:"guardrails,omitempty"` // what must not become worse
	Calibrates bool        `json:"calibrates,omitempty"` // both arms are the same on purpose, to learn the noise of the box
	Baseline   string      `json:"baseline,omitempty"`   // A is the configuration of this baseline, and the A/B its check
	Cut        int         `json:"cut,omitempty"`        // pairs after which a time limit ended it; 0: none did
}

// Guardrail is a metric of a phase that must not become worse by more than Margin (relative, of shares absolute).
type Guardrail struct {
	Phase  string  `json:"phase"`
	Metric string  `json:"metric"`
	Margin float64 `json:"margin"`
}

// Hash identifies what was laid down before the first run: all of the plan but its ID, its date, and where a time limit
// cut it. 16 hexadecimal digits.
func (p Plan) Hash() string {
	p.ID, p.Made, p.Cut = "", time.Time{}, 0
	text, err := json.Marshal(p)
	if err != nil {
		panic("hash plan: " + err.Error()) // see Experiment.Key
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// LookAt lists the counts of valid pairs after which the runs are judged.
func (p Plan) LookAt() []int {
	if len(p.Looks) == 0 {
		return []int{p.Pairs}
	}
	return p.Looks
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
	TradeOff     Call = "trade-off"  // the primary is better, a guardrail worse
	Historical   Call = "historical" // a comparison that cannot carry a verdict: servers not fresh, or stored numbers
)

// Verdict answers an A/B. It is computed from stored runs and can be computed again at any time; it is never stored.
type Verdict struct {
	Plan        Plan         `json:"plan"`
	Hash        string       `json:"plan_hash"` // Plan.Hash()
	Call        Call         `json:"call"`
	Qualifier   string       `json:"qualifier,omitempty"` // "at least 3 %", "size uncertain"
	Fragile     bool         `json:"fragile,omitempty"`   // without one of the pairs the call would be another
	Look        Look         `json:"look"`
	Scope       *Scope       `json:"scope,omitempty"` // where it was found; absent where no pair counts
	Primary     Row          `json:"primary"`
	Guardrails  []Row        `json:"guardrails,omitempty"`
	Rows        []Row        `json:"rows"` // exploratory metrics
	Sensitivity *Sensitivity `json:"sensitivity,omitempty"`
	Warnings    []Finding    `json:"warnings,omitempty"`
	Unchecked   []Finding    `json:"unchecked,omitempty"` // checks that are off, and what turned them off
	Different   []Difference `json:"different"`           // what the two configurations differ in, resolved values included
	Runs        []RunRef     `json:"runs"`
	Answers     *Answers     `json:"answers,omitempty"`      // absent: not comparable, or not known
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
	A        float64  `json:"a"` // geometric mean over runs, drift taken out as it is of Delta; shares: mean
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

	Harm    *float64 `json:"p_harm,omitempty"`  // of a guardrail: one-sided p for being worse, adjusted by Holm
	Margin  float64  `json:"margin,omitempty"`  // of a guardrail
	Flagged bool     `json:"flagged,omitempty"` // of an exploratory metric: differs, by Benjamini and Hochberg over all of them
}

// MarshalJSON writes a row that compares no runs without figures: what is missing is absent, not 0.
func (r Row) MarshalJSON() ([]byte, error) {
	type row Row
	if r.N > 0 {
		return json.Marshal(row(r))
	}
	return json.Marshal(struct {
		row
		A     *float64 `json:"a,omitempty"`
		B     *float64 `json:"b,omitempty"`
		Delta *float64 `json:"delta,omitempty"`
	}{row: row(r)})
}

// Look says at which of its planned looks an A/B was judged.
type Look struct {
	Number int  `json:"number"` // from 1; 0: the first was not reached
	Of     int  `json:"of"`
	Pairs  int  `json:"pairs"` // valid pairs judged
	Final  bool `json:"final"` // nothing more is to be measured
}

// Sensitivity is the primary difference by other tests; they do not decide.
type Sensitivity struct {
	Paired      *float64 `json:"paired_t_p,omitempty"`
	Welch       *float64 `json:"welch_p,omitempty"`
	LeaveOneOut *float64 `json:"leave_one_pair_out_p,omitempty"` // the largest p without one of the pairs
}

// SingleRun is the Reason of a row that compares two single runs.
const SingleRun = "one run a side shows no noise from run to run"

// Answers says how often two runs gave the same requests other answers: another text, or another number of tokens.
type Answers struct {
	Between  float64 `json:"between_arms_share"`         // a run of A and one of B, mean over all such pairs
	Within   float64 `json:"within_arms_share"`          // two runs of one arm, likewise
	Lengths  float64 `json:"between_arms_lengths_share"` // of Between, where the number of tokens differs
	P        float64 `json:"p"`                          // that the arms come so far apart by chance: a permutation test over runs
	RunsA    int     `json:"runs_a"`
	RunsB    int     `json:"runs_b"`
	Requests int     `json:"requests"` // that two runs have in common, at least
}

// RunRef names a run in a verdict and says whether it counted.
type RunRef struct {
	ID     string `json:"id"`
	Arm    string `json:"arm"`
	Block  int    `json:"block"`
	Try    int    `json:"try,omitempty"` // 1, 2: a repeat of the block, because a run of it was invalid
	Valid  bool   `json:"valid"`
	Judged bool   `json:"judged"`        // the answer rests on it: its pair is whole, and was there at the look
	Why    string `json:"why,omitempty"` // of an invalid one
}

// Difference is one value in which two configurations differ. Empty: not set.
type Difference struct {
	Path string `json:"path"` // "server.max_num_seqs", "resolved.num_gpu_blocks"
	A    string `json:"a"`
	B    string `json:"b"`
}
