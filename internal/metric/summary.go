package metric

import (
	"slices"
	"time"

	"lab/internal/lab"
)

// Summarise computes the figures of every phase from the records alone. What cannot be computed is left out.
func Summarise(run lab.Run, t lab.Tables) lab.Summary {
	s := lab.Summary{Definitions: Definitions}
	for _, p := range run.Experiment.Phases {
		w := window{phase: p, samples: t.Samples, slo: run.Experiment.SLO}
		for _, r := range t.Requests {
			if r.Phase == p.Name {
				w.requests = append(w.requests, r)
			}
		}
		if len(w.requests) == 0 {
			continue
		}
		w.requests = w.arrivals()
		w.bounds(t.Events)
		w.stamps = stamps(w.requests)
		s.Phases = append(s.Phases, w.tally())
		s.Figures = append(s.Figures, w.figures()...)
	}
	if took, ok := startup(t.Events); ok {
		s.Figures = append(s.Figures, lab.Figure{Phase: WholeRun, Metric: "startup", Value: took.Seconds(), Unit: "s", N: 1})
	}
	return s
}

// WholeRun stands in a figure's Phase where the figure belongs to no phase but to the run.
const WholeRun = ""

// startup is how long the server took from its first process to its first token.
func startup(events []lab.Event) (time.Duration, bool) {
	var began, ready time.Duration
	for _, e := range events {
		switch e.Kind {
		case lab.ServerStart:
			began = e.At
		case lab.ServerReady:
			ready = e.At
		}
	}
	return ready - began, began > 0 && ready > began
}

// window is one phase of a run with what falls into it.
type window struct {
	phase      lab.Phase
	slo        []lab.SLO
	requests   []lab.RequestRecord
	samples    []lab.Sample
	stamps     lab.Stamps
	start, end time.Duration
}

// bounds: a phase goes from the start of its load to its last response. A closed loop starts with its first request. An
// open loop starts a gap before it, when the schedule began; how long lab then took to make the first prompts ready is
// in it too.
func (w *window) bounds(events []lab.Event) {
	w.start = w.requests[0].Intended
	for _, r := range w.requests {
		w.start = min(w.start, r.Intended)
		w.end = max(w.end, r.Done)
	}
	for _, e := range events {
		if w.phase.Load.Open() && e.Kind == lab.LoadStart && e.Detail == w.phase.Name {
			w.start = e.At
		}
	}
}

func (w *window) tally() lab.Tally {
	t := lab.Tally{
		Phase: w.phase.Name, Judged: w.phase.Judged, Open: w.phase.Load.Open(),
		Start: w.start, End: w.end, Offered: len(w.requests),
	}
	for _, r := range w.requests {
		if !r.OK() {
			if t.Errors == nil {
				t.Errors = map[string]int{}
			}
			t.Errors[r.Error]++
			continue
		}
		t.OK++
		if r.Usage != nil {
			t.Input += r.Usage.Input
		}
		if n, ok := r.Output(); ok {
			t.Output += n
		}
	}
	return t
}

func (w *window) figures() []lab.Figure {
	var all []lab.Figure
	for _, q := range quantities {
		arrived := w.values(q.name)
		if len(arrived) == 0 {
			continue
		}
		values := slices.Sorted(slices.Values(arrived))
		for _, s := range statistics {
			v := mean(values)
			if s.quantile >= 0 {
				v = Quantile(values, s.quantile)
			}
			f := lab.Figure{Phase: w.phase.Name, Metric: q.name + "." + s.name, Value: v, Unit: "s", N: len(values)}
			if s.quantile > 0.9 && q.name != "itl" { // of gaps nobody knows which follow which
				quantilePrecision(&f, arrived, s.quantile)
			}
			all = append(all, f)
		}
	}
	for _, m := range singles {
		if v, n, ok := w.single(m.Name); ok {
			f := lab.Figure{Phase: w.phase.Name, Metric: m.Name, Value: v, Unit: m.Unit, N: n}
			if m.Name == "goodput" {
				sharePrecision(&f, w.passed())
			}
			all = append(all, f)
		}
	}
	all = append(all, w.stepFigures()...)
	for _, m := range own {
		if v, n, ok := w.ownFigure(m.Name); ok {
			all = append(all, lab.Figure{Phase: w.phase.Name, Metric: m.Name, Value: v, Unit: m.Unit, N: n})
		}
	}
	return all
}

// Values are those of each quantity ("ttft", "tpot", "itl" and "e2el") in seconds, over the successful requests of a phase.
func Values(requests []lab.RequestRecord, phase string) map[string][]float64 {
	w := window{requests: make([]lab.RequestRecord, 0, len(requests))}
	for _, r := range requests {
		if r.Phase == phase {
			w.requests = append(w.requests, r)
		}
	}
	all := map[string][]float64{}
	for _, q := range quantities {
		all[q.name] = w.values(q.name)
	}
	return all
}

// values of a quantity in seconds, over the successful requests.
func (w *window) values(quantity string) []float64 {
	var all []float64
	for _, r := range w.requests {
		if !r.OK() {
			continue
		}
		var v time.Duration
		var ok bool
		switch quantity {
		case "ttft":
			v, ok = r.TTFT()
		case "tpot":
			v, ok = r.TPOT()
		case "e2el":
			v, ok = r.E2EL()
		case "itl":
			all = append(all, tokenGaps(r)...)
		}
		if ok {
			all = append(all, v.Seconds())
		}
	}
	return all
}

// tokenGaps gives each token its share of the gap before the chunk that brought it: a chunk of several tokens counts as
// several. Where the server does not count, a chunk is taken for one token.
func tokenGaps(r lab.RequestRecord) []float64 {
	gaps, _ := r.Gaps()
	var all []float64
	for _, g := range gaps {
		n := max(1, g.Tokens)
		for range n {
			all = append(all, g.At.Seconds()/float64(n))
		}
	}
	return all
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Quantile interpolates linearly between the closest ranks, at rank q*(n-1) of the sorted values, as numpy does by
// default.
func Quantile(sorted []float64, q float64) float64 {
	rank := q * float64(len(sorted)-1)
	low := int(rank)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := rank - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}

// single computes a metric that has one value per phase, and the count it rests on.
func (w *window) single(name string) (value float64, n int, ok bool) {
	t := w.tally()
	length := (t.End - t.Start).Seconds()
	tokens := float64(t.Output)
	switch name {
	case "output_throughput":
		return tokens / length, t.OK, t.OK > 0 && t.Output > 0 && length > 0
	case "total_throughput":
		return (tokens + float64(t.Input)) / length, t.OK, t.OK > 0 && t.Input > 0 && length > 0
	case "request_throughput":
		return float64(t.OK) / length, t.OK, t.OK > 0 && length > 0
	case "output_throughput.peak":
		return w.peakOutput()
	case "concurrency.max":
		return w.mostInFlight()
	case "goodput":
		return float64(w.good()) / float64(t.Offered), t.Offered, len(w.slo) > 0
	case "error_share":
		return float64(t.Offered-t.OK) / float64(t.Offered), t.Offered, true
	case "energy_per_token":
		joules, n, ok := w.energy()
		return joules / tokens, n, ok && tokens > 0
	case "power.mean":
		joules, n, ok := w.energy()
		return joules / length, n, ok && length > 0
	}
	return w.sampled(name, length)
}

// good counts the requests that succeeded within every limit.
func (w *window) good() int {
	n := 0.0
	for _, passed := range w.passed() {
		n += passed
	}
	return int(n)
}

// passed says of each request, in the order of arrival, whether it succeeded within every limit: 1 or 0.
func (w *window) passed() []float64 {
	var all []float64
	for _, r := range w.requests {
		passed := 0.0
		if Good(r, w.slo) {
			passed = 1
		}
		all = append(all, passed)
	}
	return all
}

// Good says whether a request succeeded within every limit.
func Good(r lab.RequestRecord, limits []lab.SLO) bool {
	ok := r.OK()
	for _, limit := range limits {
		var v time.Duration
		has := false
		switch limit.Metric {
		case "ttft":
			v, has = r.TTFT()
		case "tpot":
			v, has = r.TPOT()
			has = has || len(r.Chunks) > 0 // a single token has no time per further token: it keeps any limit
		case "e2el":
			v, has = r.E2EL()
		}
		ok = ok && has && v <= time.Duration(limit.Limit)
	}
	return ok
}
