package kit

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"lab/internal/lab"
)

// phase is what the one phase of a kit's result is called.
const phase = "load"

// vllmResult takes over what the kit and lab call by the same name; docs/metrics.md lists what it measures differently,
// and Summary.Definitions stays 0, so that nobody takes the figures for lab's own.
func vllmResult(fields map[string]json.RawMessage) Result {
	t := tally(fields)
	r := Result{Source: "vllm", Name: describe(fields), Summary: lab.Summary{Phases: []lab.Tally{t}}}
	if date, ok := word(fields["date"]); ok {
		r.When, _ = time.ParseInLocation("20060102-150405", date, time.Local) // the client's own clock, no zone is written
	}
	add := func(metric, unit string, value float64, n int) {
		r.Summary.Figures = append(r.Summary.Figures, lab.Figure{Phase: phase, Metric: metric, Value: value, Unit: unit, N: n})
	}
	if t.OK > 0 {
		latencies(fields, t.OK, add)
		for _, m := range []struct{ name, unit, key string }{
			{"output_throughput", "tok/s", "output_throughput"},
			{"total_throughput", "tok/s", "total_token_throughput"},
			{"request_throughput", "req/s", "request_throughput"},
		} {
			if v, ok := number(fields, m.key); ok {
				add(m.name, m.unit, v, t.OK)
			}
		}
	}
	if t.Offered == 0 {
		return r
	}
	// The kit's goodput is good requests a second; with its duration that is a share of what was offered.
	good, ok := number(fields, "request_goodput", "request_goodput:")
	seconds, timed := number(fields, "duration")
	if ok && timed {
		share := good * seconds / float64(t.Offered)
		add("goodput", "share", min(max(share, 0), 1), t.Offered) // the division and back may end a hair above 1
	}
	add("error_share", "share", float64(t.Offered-t.OK)/float64(t.Offered), t.Offered)
	return r
}

// latencies: a zero is what the kit writes where there was nothing to measure, so it is no figure.
func latencies(fields map[string]json.RawMessage, completed int, add func(string, string, float64, int)) {
	for _, q := range []string{"ttft", "tpot", "itl", "e2el"} {
		n := completed
		if q == "itl" {
			n = 0 // the kit does not say how many gaps there were
		}
		for _, s := range []struct {
			name string
			keys []string
		}{
			{"mean", []string{"mean_" + q + "_ms"}},
			{"p50", []string{"median_" + q + "_ms", "p50_" + q + "_ms"}},
			{"p90", []string{"p90_" + q + "_ms"}},
			{"p95", []string{"p95_" + q + "_ms"}},
			{"p99", []string{"p99_" + q + "_ms"}},
		} {
			if v, ok := number(fields, s.keys...); ok && v > 0 {
				add(q+"."+s.name, "s", v/1e3, n)
			}
		}
	}
}

// tally counts requests. Older clients write no number of failed ones: there the prompts that were to be sent tell.
func tally(fields map[string]json.RawMessage) lab.Tally {
	t := lab.Tally{Phase: phase, Judged: true, OK: count(fields, "completed")}
	t.Input, t.Output = count(fields, "total_input_tokens"), count(fields, "total_output_tokens")
	failed := count(fields, "failed")
	if _, said := number(fields, "failed"); !said {
		failed = max(0, count(fields, "num_prompts")-t.OK)
	}
	t.Offered = t.OK + failed
	_, paced := number(fields, "request_rate")
	t.Open = paced || count(fields, "max_concurrency") == 0
	return t
}

// describe names the model and the load.
func describe(fields map[string]json.RawMessage) string {
	var parts []string
	if model, ok := word(fields["model_id"]); ok {
		parts = append(parts, model)
	}
	if rate, ok := number(fields, "request_rate"); ok {
		parts = append(parts, fmt.Sprintf("%g requests/s", rate))
	} else if text, ok := word(fields["request_rate"]); ok && text == "inf" {
		parts = append(parts, "all requests at once")
	}
	if n := count(fields, "max_concurrency"); n > 0 {
		parts = append(parts, fmt.Sprintf("at most %d in flight", n))
	}
	return strings.Join(parts, ", ")
}

// number reads the first of the keys that holds one.
func number(fields map[string]json.RawMessage, keys ...string) (float64, bool) {
	for _, key := range keys {
		var v *float64
		if json.Unmarshal(fields[key], &v) == nil && v != nil {
			return *v, true
		}
	}
	return 0, false
}

// count reads a number of things; 0 where there is none that makes sense.
func count(fields map[string]json.RawMessage, key string) int {
	v, _ := number(fields, key)
	if v < 0 || v > math.MaxInt32 {
		return 0
	}
	return int(v)
}

func word(raw json.RawMessage) (string, bool) {
	var text *string
	if json.Unmarshal(raw, &text) != nil || text == nil {
		return "", false
	}
	return *text, true
}
