package runner

import (
	"time"

	"lab/internal/lab"
	"lab/loadgen"
)

// What the live view calls recent, and how often it is moved on.
const (
	recentSpan = 10 * time.Second
	windowStep = time.Second
	trendSteps = 30
)

// reading is what has been counted at one moment, since the run began.
type reading struct {
	at          time.Duration
	counts      loadgen.Snapshot
	latencies   *loadgen.Latencies
	joules      map[string]float64 // by GPU
	ended, good int                // requests of the phases
}

// window keeps readings of the last seconds of a stage: what came in between is the difference of two, so that nothing has
// to be kept of a request.
type window struct {
	start  reading   // when the stage began
	kept   []reading // one a second, the oldest first
	trends [3][]time.Duration
}

func (w *window) begin(r reading) { *w = window{start: r, kept: []reading{r}} }

// add takes a reading, and keeps it where a second has gone by since the last.
func (w *window) add(r reading) {
	last := w.kept[len(w.kept)-1]
	if r.at-last.at < windowStep {
		return
	}
	for i, l := range latencyKinds() {
		since := l.of(r.latencies).Since(l.of(last.latencies))
		w.trends[i] = append(w.trends[i], since.Spread().P50)
		w.trends[i] = w.trends[i][max(0, len(w.trends[i])-trendSteps):]
	}
	w.kept = append(w.kept, r)
	for len(w.kept) > 1 && r.at-w.kept[1].at >= recentSpan {
		w.kept = w.kept[1:]
	}
}

// recent is the reading of ten seconds before, or that of the stage's begin.
func (w *window) recent(r reading) reading { return w.since(r)[0] }

// since are the readings from then on.
func (w *window) since(r reading) []reading {
	for i := len(w.kept) - 1; i >= 0; i-- {
		if r.at-w.kept[i].at >= recentSpan {
			return w.kept[i:]
		}
	}
	return w.kept
}

type latencyKind struct {
	name string
	of   func(*loadgen.Latencies) *lab.Histogram
}

func latencyKinds() [3]latencyKind {
	return [3]latencyKind{
		{"TTFT", func(l *loadgen.Latencies) *lab.Histogram { return &l.TTFT }},
		{"ITL", func(l *loadgen.Latencies) *lab.Histogram { return &l.ITL }},
		{"E2EL", func(l *loadgen.Latencies) *lab.Histogram { return &l.E2EL }},
	}
}

func (w *window) latencies(r reading) []lab.Latency {
	before := w.recent(r)
	var all []lab.Latency
	for i, l := range latencyKinds() {
		recent := l.of(r.latencies).Since(l.of(before.latencies))
		phase := l.of(r.latencies).Since(l.of(w.start.latencies))
		all = append(all, lab.Latency{Name: l.name, Recent: recent.Spread(), Phase: phase.Spread(), Trend: append([]time.Duration(nil), w.trends[i]...)})
	}
	return all
}

// rates are output tokens and successful requests a second.
func (w *window) rates(r reading) (output, requests lab.Rate) {
	before := w.recent(r)
	per := func(from reading, n int) float64 {
		if span := (r.at - from.at).Seconds(); span > 0 {
			return float64(n) / span
		}
		return 0
	}
	output = lab.Rate{Recent: per(before, r.counts.Tokens-before.counts.Tokens), Phase: per(w.start, r.counts.Tokens-w.start.counts.Tokens)}
	requests = lab.Rate{Recent: per(before, r.counts.OK-before.counts.OK), Phase: per(w.start, r.counts.OK-w.start.counts.OK)}
	return output, requests
}

func (w *window) goodput(r reading, limits []lab.SLO) *lab.Goodput {
	before := w.recent(r)
	share := func(from reading) lab.GoodShare {
		return lab.GoodShare{Good: r.good - from.good, Of: r.ended - from.ended}
	}
	return &lab.Goodput{Limits: limits, Recent: share(before), Phase: share(w.start)}
}
