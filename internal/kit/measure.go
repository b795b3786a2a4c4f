package kit

import (
	"maps"
	"math"
	"slices"
	"time"

	"lab/internal/lab"
)

// Report is every number of a result of the kit.
type Report struct {
	Bench    Bench
	Lists    Lists
	Duration float64 // seconds

	Completed, Failed         int
	InputTokens, OutputTokens int // of successful requests

	RequestThroughput float64 // successful requests a second
	Goodput           float64 // requests a second within every limit; only with Bench.Goodput
	OutputThroughput  float64 // tokens a second
	TotalThroughput   float64 // tokens a second
	PeakOutput        float64 // messages in the fullest second
	PeakConcurrent    int     // requests that touch the fullest second

	Statistics []Statistic // of Bench.Metrics, in the kit's order
}

// quantities are the metrics that --percentile-metrics can select, in the order of the outputs.
var quantities = []struct{ name, label, title string }{
	{"ttft", "TTFT", "Time to First Token"},
	{"tpot", "TPOT", "Time per Output Token (excl. 1st token)"},
	{"itl", "ITL", "Inter-token Latency"},
	{"e2el", "E2EL", "End-to-end Latency"},
	{"client_queue_time", "Client Queue Time", "Client-side Queueing"},
	{"e2el_including_client_queue", "E2EL incl. Client Queue", "Queue-inclusive End-to-end Latency"},
}

// shows says whether a metric is in the outputs: asked for, and defined for this load. Without a bound on requests in
// flight nobody queues in the client; without a rate all requests arrive at once and their queueing says nothing.
func (b Bench) shows(metric string) bool {
	switch metric {
	case "client_queue_time":
		return b.Concurrency > 0 && slices.Contains(b.Metrics, metric)
	case "e2el_including_client_queue":
		return b.Concurrency > 0 && b.paced() && slices.Contains(b.Metrics, metric)
	}
	return slices.Contains(b.Metrics, metric)
}

// Measure computes what `vllm bench serve` computes; duration is in seconds, from before the first scheduled gap to the
// last response. Of failed requests only the number enters.
func Measure(b Bench, l Lists, duration float64) Report {
	l = l.filled()
	r := Report{Bench: b, Lists: l, Duration: duration}
	values := map[string][]float64{}
	add := func(metric string, v ...float64) { values[metric] = append(values[metric], v...) }
	good := 0
	for i, fault := range l.Errors {
		if fault != "" {
			r.Failed++
			continue
		}
		r.Completed++
		r.InputTokens += l.InputLens[i]
		r.OutputTokens += l.OutputLens[i]
		tpot := 0.0
		if n := l.OutputLens[i]; n > 1 {
			tpot = (l.Latencies[i] - l.TTFTs[i]) / float64(n-1)
			add("tpot", tpot)
		}
		add("ttft", l.TTFTs[i])
		add("itl", l.ITLs[i]...)
		add("e2el", l.Latencies[i])
		add("client_queue_time", l.QueueTimes[i])
		add("e2el_including_client_queue", l.Latencies[i]+l.QueueTimes[i])
		if within(b.Goodput, l.TTFTs[i], tpot, l.Latencies[i]) {
			good++
		}
	}
	r.RequestThroughput = float64(r.Completed) / duration
	r.OutputThroughput = float64(r.OutputTokens) / duration
	r.TotalThroughput = float64(r.InputTokens+r.OutputTokens) / duration
	if len(b.Goodput) > 0 {
		r.Goodput = float64(good) / duration
	}
	r.PeakOutput, r.PeakConcurrent = peaks(l)
	for _, q := range quantities {
		if b.shows(q.name) {
			r.Statistics = append(r.Statistics, statistic(q.name, values[q.name], b.Percentiles))
		}
	}
	return r
}

// within says whether a successful request keeps every limit. One of a single token has a TPOT of 0 here.
func within(limits []lab.SLO, ttft, tpot, e2el float64) bool {
	for _, limit := range limits {
		v := math.Inf(1)
		switch limit.Metric {
		case "ttft":
			v = ttft
		case "tpot":
			v = tpot
		case "e2el":
			v = e2el
		}
		const ms, second = float64(time.Millisecond), 1000
		if v > float64(limit.Limit)/ms/second { // divided as the kit divides: it takes the limit in milliseconds
			return false
		}
	}
	return true
}

// peaks counts by whole seconds from the first start. A message counts in the second of its arrival; a request counts in
// every second that it touches, so that many more can seem in flight at once than ever were.
func peaks(l Lists) (output float64, concurrent int) {
	first := math.Inf(1)
	for i, fault := range l.Errors {
		if fault == "" {
			first = min(first, l.StartTimes[i])
		}
	}
	bucket := func(at float64) int64 { return int64(at - first) }
	arrivals, change := map[int64]int{}, map[int64]int{}
	for i, fault := range l.Errors {
		if fault != "" {
			continue
		}
		start := l.StartTimes[i]
		at := start + l.TTFTs[i]
		arrivals[bucket(at)]++
		for _, gap := range l.ITLs[i] {
			at += gap
			arrivals[bucket(at)]++
		}
		change[bucket(start)]++
		change[bucket(start+l.Latencies[i])+1]--
	}
	most := 0
	for _, n := range arrivals {
		most = max(most, n)
	}
	now := 0
	for _, second := range slices.Sorted(maps.Keys(change)) {
		now += change[second]
		concurrent = max(concurrent, now)
	}
	return float64(most), concurrent
}
