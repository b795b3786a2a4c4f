// Package correlate joins what the hardware, the host and the engine did to what the requests of a run felt, on the one
// clock of the run. It is pure: the same records give the same answer.
package correlate

import (
	"time"

	"lab/internal/lab"
)

// Hardware is what was seen beside the load of one run, and what that says about its latencies. What could not be
// measured is absent; Findings says what was withheld and why.
type Hardware struct {
	Run          string        `json:"run"`
	Coverage     []Coverage    `json:"coverage,omitempty"`
	Phases       []Phase       `json:"phases,omitempty"`
	Requests     []RequestMean `json:"request_means,omitempty"`
	Energy       *Energy       `json:"energy,omitempty"` // over the whole sampled time
	Stalls       Stalls        `json:"stalls"`
	Slow         []Slow        `json:"slow,omitempty"`
	Bottlenecks  []Bottleneck  `json:"bottlenecks,omitempty"` // by share of time, largest first
	Associations []Association `json:"associations,omitempty"`
	Trends       []Trend       `json:"trends,omitempty"`
	Findings     []lab.Finding `json:"findings,omitempty"`
}

// Coverage says how well one series of one device was sampled.
type Coverage struct {
	Device string        `json:"device"`
	Value  string        `json:"value"`
	N      int           `json:"n"`
	Errors int           `json:"errors,omitempty"`
	Period time.Duration `json:"period"`  // median spacing
	MaxGap time.Duration `json:"max_gap"` // longest spacing
	Gaps   int           `json:"gaps,omitempty"`
}

// Phase is the hardware over one phase of the load: time-weighted means, shares and increases, each with its coverage.
type Phase struct {
	Name   string        `json:"name"`
	Start  time.Duration `json:"start"`
	End    time.Duration `json:"end"`
	Judged bool          `json:"judged"`
	Means  []Mean        `json:"means,omitempty"`
	Energy *PhaseEnergy  `json:"energy,omitempty"`
}

// Mean is a time-weighted mean of a gauge or the increase of a counter over a window.
type Mean struct {
	Device   string  `json:"device"`
	Value    string  `json:"value"`
	Mean     float64 `json:"mean"` // of a counter: its increase
	Min      float64 `json:"min,omitempty"`
	Max      float64 `json:"max,omitempty"`
	Counter  bool    `json:"counter,omitempty"`
	Coverage float64 `json:"coverage"` // share of the window that readings speak for, 0..1
	N        int     `json:"n"`
}

// Energy is the energy of all GPUs over the sampled time of a run, in joules, and where it went: what was given to
// requests, what ran without any (idle), and what could not be given (withheld, such as around a reset or a gap).
// Requests + Idle + Withheld = Counter within rounding.
type Energy struct {
	Counter    float64 `json:"counter_j"`    // increase of the counters
	Integrated float64 `json:"integrated_j"` // trapezoid of instant power where both are known; 0: no power was read
	Matched    float64 `json:"matched_j"`    // what the counters gained there: to be held against Integrated
	Requests   float64 `json:"requests_j"`
	Idle       float64 `json:"idle_j"`
	Withheld   float64 `json:"withheld_j"`
	IdlePowerW float64 `json:"idle_power_w,omitempty"` // median power while nothing was in flight

	PerRequest *Spread `json:"j_per_request,omitempty"` // of the successful ones, each by its tokens in flight
}

// Spread is how one figure lies over many.
type Spread struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	N   int     `json:"n"`
}

// RequestMean is how the time-weighted mean of a gauge over a part of each request lies over the requests of a phase.
// Requests whose part is shorter than twice the time over which the value itself is a mean, or that readings speak for
// less than four fifths of, are withheld.
type RequestMean struct {
	Phase    string `json:"phase"`
	Part     string `json:"part"` // "prefill": sent to first token; "decode": first token to last
	Device   string `json:"device"`
	Value    string `json:"value"`
	Spread          // of the means
	Withheld int    `json:"withheld,omitempty"`
}

// PhaseEnergy is the energy of one phase of the load. The token figures count tokens that arrived within it.
type PhaseEnergy struct {
	Joules            float64 `json:"joules"`
	Integrated        float64 `json:"integrated_j,omitempty"`
	PerOutputToken    float64 `json:"j_per_output_token,omitempty"`
	PerToken          float64 `json:"j_per_token,omitempty"`
	PerRequest        float64 `json:"j_per_request,omitempty"`
	AboveIdlePerToken float64 `json:"above_idle_j_per_output_token,omitempty"`
	Prefill           float64 `json:"prefill_j"` // while some request waited for its first token, by share of those in flight
	Decode            float64 `json:"decode_j"`
	Idle              float64 `json:"idle_j"` // while nothing was in flight
	Withheld          float64 `json:"withheld_j"`
	N                 int     `json:"n"` // output tokens
}

// Stalls are the gaps between chunks far above their neighbours, together where they hit several streams at once.
type Stalls struct {
	Gaps      int            `json:"gaps"`       // gaps looked at
	Count     int            `json:"count"`      // stalls, each an instant
	Streams   int            `json:"streams"`    // gaps that they are made of
	Threshold string         `json:"threshold"`  // the rule in words
	ByCause   map[string]int `json:"by_cause"`   // Cause -> stalls; "unattributed" where nothing was found
	Worst     []Stall        `json:"worst"`      // longest first, at most 20
	Lost      time.Duration  `json:"lost_total"` // sum over streams of time beyond the usual gap
}

// Stall is one instant at which streams stood still.
type Stall struct {
	Phase    string        `json:"phase"`
	From     time.Duration `json:"from"` // since the run's epoch
	To       time.Duration `json:"to"`
	Usual    time.Duration `json:"usual"` // median gap around it
	Streams  int           `json:"streams"`
	Flight   int           `json:"in_flight"`
	Cause    string        `json:"cause"` // one of the Cause constants
	Evidence string        `json:"evidence,omitempty"`
}

// The causes of a stall.
const (
	CausePreemption   = "preemption"
	CausePrefill      = "prefill burst"
	CausePowerCap     = "power cap"
	CauseThermal      = "thermal slowdown"
	CauseClock        = "clock drop"
	CauseClientGC     = "client GC"
	CauseClientSched  = "client scheduling" // lab itself did not get to run
	CauseHostSteal    = "host steal"
	CauseHostPressure = "host pressure"
	CauseGPULost      = "gpu lost"
	Unattributed      = "unattributed"
)

// Slow is the share of slow requests that met a throttle reason, beside that of the others.
type Slow struct {
	Reason  string  `json:"reason"`
	Slow    float64 `json:"slow_share"` // of requests above the 95th percentile of E2EL for their tokens, the share that overlapped the reason
	Others  float64 `json:"others_share"`
	N       int     `json:"n_slow"`
	NOthers int     `json:"n_others"`
}

// Bottleneck is one of the limits in docs/hardware.md that held in windows of 5 s.
type Bottleneck struct {
	Class    string  `json:"class"`
	Share    float64 `json:"share"` // of the windows
	Windows  int     `json:"windows"`
	Of       int     `json:"of"`
	Evidence string  `json:"evidence"`
}

// Association is a hardware series that goes with latency beyond what the load explains.
type Association struct {
	Device      string        `json:"device"`
	Value       string        `json:"value"`
	Metric      string        `json:"metric"` // what of the requests: "ttft", "itl"
	Lag         time.Duration `json:"lag"`    // hardware before latency: positive
	Correlation float64       `json:"correlation"`
	Low         float64       `json:"low"` // 95 % interval
	High        float64       `json:"high"`
	P           float64       `json:"p"`       // corrected for lags and series
	Shift       float64       `json:"p_shift"` // for comparison: by random rotations, corrected for lags only
	N           int           `json:"n"`       // bins
	Given       string        `json:"given"`
}

// Trend is a slope over the judged load of a run, where that took 10 minutes at least.
type Trend struct {
	What   string  `json:"what"` // "ttft", "itl", "errors", "server memory", "host memory", "gpu0 memory", "gpu0 temperature"
	Unit   string  `json:"unit"` // s/h, share/h, bytes/h, °C/h
	Slope  float64 `json:"slope"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	N      int     `json:"n"`
	Rising bool    `json:"rising,omitempty"` // the interval leaves out zero in the bad direction
}

// Difference is a run-level difference of the hardware between two arms.
type Difference struct {
	Value string   `json:"value"` // "power", "sm clock", "throttled", "energy per output token", …
	Unit  string   `json:"unit"`
	A     float64  `json:"a"`
	B     float64  `json:"b"`
	Delta float64  `json:"delta"`         // B - A
	Low   *float64 `json:"low,omitempty"` // 95 % interval of Delta over runs; nil where an arm has one run, which shows no noise
	High  *float64 `json:"high,omitempty"`
	NA    int      `json:"n_a"`
	NB    int      `json:"n_b"`
	DF    float64  `json:"df,omitempty"` // degrees of freedom of the interval
}
