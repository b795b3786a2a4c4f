package kit

import (
	"fmt"
	"math"
	"strings"
	"time"

	"lab/internal/lab"
)

// Definition names the definitions that Measure computes by: those of `vllm bench serve` of that release. A figure of
// this set compares only with figures of the same definition; docs/metrics.md has each formula.
const Definition = "vllm-0.32"

// Bench is what the kit's outputs say beyond the measurements.
type Bench struct {
	Date        time.Time // local end of the run
	Backend     string
	Label       string // empty: null
	Model       string
	Tokenizer   string
	Requests    int     // num_prompts as asked
	Metadata    []Pair  // further keys of the JSON
	Rate        float64 // requests a second; +Inf, and 0 as in lab.Load: "inf"
	Burstiness  float64 // +Inf: the bare token Infinity
	Concurrency int     // 0: none
	RampUp      *lab.RampUp
	RPSChanges  []RPSChange // with RampUp
	Metrics     []string    // ttft, tpot, itl, e2el, client_queue_time, e2el_including_client_queue; other words select nothing
	Percentiles []float64   // in percent
	Goodput     []lab.SLO   // empty: null
	Detailed    bool        // the lists are saved
	Spec        *SpecDecode // nil: the server did not speculate
}

// Pair is one key and value of --metadata.
type Pair struct{ Key, Value string }

// RPSChange says when a ramp-up reached a whole number of requests a second.
type RPSChange struct {
	RPS int
	At  time.Time
}

// SpecDecode is what the server's counters say of speculative decoding over the run.
type SpecDecode struct {
	AcceptanceRate   float64 // percent of draft tokens
	AcceptanceLength float64 // tokens a draft, the one that is always right included
	Drafts           int
	DraftTokens      int
	AcceptedTokens   int
	PerPosition      []float64 // share accepted of each position
}

// paced says whether requests arrive at a constant finite rate.
func (b Bench) paced() bool { return b.RampUp == nil && b.Rate > 0 && !math.IsInf(b.Rate, 1) }

// rateText is the request rate in words; a ramp-up has none of its own.
func (b Bench) rateText() string {
	if b.paced() {
		return pythonFloat(b.Rate)
	}
	return "inf"
}

// dateForm is the kit's way to write a moment.
const dateForm = "20060102-150405"

// FileName is what the kit calls the result file where the user does not.
func (b Bench) FileName() string {
	name := b.Label
	if name == "" {
		name = b.Backend
	}
	if up := b.RampUp; up != nil {
		name += fmt.Sprintf("-ramp-up-%s-%dqps-%dqps", up.Strategy, up.Start, up.End)
	} else {
		name += "-" + b.rateText() + "qps"
	}
	if b.Concurrency > 0 {
		name += fmt.Sprintf("-concurrency%d", b.Concurrency)
	}
	model := b.Model[strings.LastIndexByte(b.Model, '/')+1:]
	return name + "-" + model + "-" + b.Date.Format(dateForm) + ".json"
}

// RampEvents lists when a ramp-up reached its start rate and every whole rate above it. Sent are the moments at which
// the requests were due, in order.
func RampEvents(up lab.RampUp, began time.Time, sent []time.Time) []RPSChange {
	events := []RPSChange{{RPS: up.Start, At: began}}
	for i, at := range sent {
		rate := up.At(i, len(sent))
		for next := events[len(events)-1].RPS + 1; float64(next) <= rate; next++ {
			events = append(events, RPSChange{RPS: next, At: at})
		}
	}
	return events
}
