package correlate

import (
	"cmp"
	"slices"
	"time"

	"lab/internal/lab"
)

// span is a stretch of the run's time.
type span struct{ from, to time.Duration }

func (s span) length() time.Duration { return s.to - s.from }

// overlap is how long two stretches have in common.
func (s span) overlap(other span) time.Duration {
	return max(0, min(s.to, other.to)-max(s.from, other.from))
}

// window is a phase of the load with its bounds.
type window struct {
	phase lab.Phase
	span
	requests []int // into view.requests
}

// view is a run made ready for questions.
type view struct {
	run      lab.Run
	tables   lab.Tables
	samples  readings
	requests []*lab.RequestRecord // of measured phases and warm-ups, those that were sent, by the moment of sending; pointed to, for they are large
	windows  []window
	flight   flight
	levels   map[string]float64 // of the SM clock under load, by GPU
}

func look(r lab.Run, t lab.Tables) *view {
	v := &view{run: r, tables: t, samples: collect(t.Samples)}
	v.requests = make([]*lab.RequestRecord, 0, len(t.Requests))
	for i := range t.Requests {
		if q := &t.Requests[i]; q.Sent > 0 {
			v.requests = append(v.requests, q)
		}
	}
	slices.SortStableFunc(v.requests, func(a, b *lab.RequestRecord) int { return cmp.Compare(a.Sent, b.Sent) })
	for _, p := range r.Experiment.Phases {
		if w, ok := v.bounds(p); ok {
			v.windows = append(v.windows, w)
		}
	}
	v.flight = airborne(v.requests)
	v.levels = map[string]float64{}
	for _, gpu := range v.samples.gpus {
		if s := v.samples.of(gpu, lab.GPUSMClock); s != nil {
			v.levels[gpu] = v.level(s)
		}
	}
	return v
}

// level is the 90th percentile of a clock while requests were in flight; 0: none was.
func (v *view) level(s *series) float64 {
	var values []float64
	for i, at := range s.at {
		if v.flight.inFlight(at) > 0 {
			values = append(values, s.v[i])
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return rank(values, 0.9)
}

// bounds: a phase goes from the start of its load to its last response, as in the metrics.
func (v *view) bounds(p lab.Phase) (window, bool) {
	w := window{phase: p}
	for i, q := range v.requests {
		if q.Phase != p.Name {
			continue
		}
		if len(w.requests) == 0 {
			w.from = q.Intended
		}
		w.requests = append(w.requests, i)
		w.from, w.to = min(w.from, q.Intended), max(w.to, ended(q))
	}
	for _, e := range v.tables.Events {
		if p.Load.Open() && e.Kind == lab.LoadStart && e.Detail == p.Name {
			w.from = e.At
		}
	}
	return w, len(w.requests) > 0 && w.to > w.from
}

// ended is when a request was over.
func ended(q *lab.RequestRecord) time.Duration {
	end := max(q.Done, q.Sent)
	if n := len(q.Chunks); n > 0 {
		end = max(end, q.Chunks[n-1].At)
	}
	return end
}

// first is when a request's first output arrived; without one, when it was over.
func first(q *lab.RequestRecord) time.Duration {
	if len(q.Chunks) > 0 {
		return max(q.Sent, q.Chunks[0].At)
	}
	return ended(q)
}

// input is the length of a request's prompt in tokens, 0 where nobody knows.
func input(q *lab.RequestRecord) int {
	if q.Usage != nil {
		return q.Usage.Input
	}
	return q.WantInput
}

// flight is what was under way at each moment: step functions that change at the same moments.
type flight struct {
	at      []time.Duration
	n       []int     // requests in flight from at[i] on
	waiting []int     // of these, without a first token
	tokens  []float64 // tokens in flight: see weight
}

// weight is what a request counts in the sharing of energy: its tokens in flight, that is its prompt until the first
// token, and its prompt with half of its answer from then on (the answer's mean length while it grows). A request of
// unknown size counts one.
func weight(q *lab.RequestRecord) (prefill, decode float64) {
	prefill = max(1, float64(input(q)))
	out, _ := q.Output()
	return prefill, prefill + float64(out)/2
}

func airborne(requests []*lab.RequestRecord) flight {
	type change struct {
		at         time.Duration
		n, waiting int
		tokens     float64
	}
	changes := make([]change, 0, 3*len(requests))
	for _, q := range requests {
		one, two, three := q.Sent, first(q), ended(q)
		prefill, decode := weight(q)
		changes = append(changes, change{one, 1, 1, prefill})
		if len(q.Chunks) == 0 {
			changes = append(changes, change{three, -1, -1, -prefill})
			continue
		}
		changes = append(changes, change{two, 0, -1, decode - prefill}, change{three, -1, 0, -decode})
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	var f flight
	n, waiting, tokens := 0, 0, 0.0
	for i, c := range changes {
		n, waiting, tokens = n+c.n, waiting+c.waiting, tokens+c.tokens
		if i+1 < len(changes) && changes[i+1].at == c.at {
			continue
		}
		if n == 0 {
			tokens = 0 // what rounding left
		}
		f.at, f.n, f.waiting, f.tokens = append(f.at, c.at), append(f.n, n), append(f.waiting, waiting), append(f.tokens, tokens)
	}
	return f
}

// index of the step that holds at a moment, -1 before the first.
func (f *flight) index(at time.Duration) int {
	i, found := slices.BinarySearch(f.at, at)
	if found {
		return i
	}
	return i - 1
}

// inFlight is how many requests were under way at a moment.
func (f *flight) inFlight(at time.Duration) int {
	if i := f.index(at); i >= 0 {
		return f.n[i]
	}
	return 0
}

// idle are the stretches within a span in which nothing was under way.
func (f *flight) idle(s span) []span {
	var all []span
	for i := f.index(s.from); i < len(f.at); i++ {
		step := s
		if i >= 0 {
			step.from = max(s.from, f.at[i])
		}
		if i+1 < len(f.at) {
			step.to = min(s.to, f.at[i+1])
		}
		if step.from >= s.to {
			break
		}
		if step.length() > 0 && (i < 0 || f.n[i] == 0) {
			all = append(all, step)
		}
	}
	return all
}
