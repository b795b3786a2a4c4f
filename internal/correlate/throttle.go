package correlate

import (
	"cmp"
	"slices"
	"time"

	"lab/internal/lab"
)

// reason is a slowdown by the name that it has as a cause.
type reason struct {
	name string
	lab.Slowdown
}

// reasons are all slowdowns, in their order.
func reasons() (all []reason) {
	names := map[string]string{lab.FoundPowerCap: CausePowerCap, lab.FoundThermal: CauseThermal, lab.FoundBrake: "power brake"}
	for _, s := range lab.Slowdowns() {
		all = append(all, reason{names[s.Code], s})
	}
	return all
}

// throttled are the stretches in which a GPU was held down for a reason, in order, and for how long in all. Counters say
// it to the nanosecond between two readings; where they say nothing, as without them, the bits do, for as long as a reading
// speaks.
func (v *view) throttled(gpu string, r reason) (all []span, sum time.Duration) {
	for _, name := range r.Counters {
		s := v.samples.of(gpu, name)
		if s == nil || len(s.at) < 2 {
			continue
		}
		for i := 1; i < len(s.at); i++ {
			if rise := time.Duration((s.v[i] - s.v[i-1]) * float64(time.Second)); rise > time.Millisecond {
				all = append(all, span{s.at[i-1], s.at[i]})
				sum += min(rise, s.at[i]-s.at[i-1])
			}
		}
	}
	if s := v.samples.of(gpu, lab.GPUThrottle); len(all) == 0 && s != nil {
		for i, bits := range s.v {
			if !r.Held(int(bits)) {
				continue
			}
			d := s.period
			if i+1 < len(s.at) {
				d = min(s.at[i+1]-s.at[i], maxHold*s.period)
			}
			all = append(all, span{s.at[i], s.at[i] + d})
			sum += d
		}
	}
	return union(all), sum
}

// union joins stretches that touch.
func union(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var joined []span
	for _, s := range all {
		if n := len(joined); n > 0 && s.from <= joined[n-1].to {
			joined[n-1].to = max(joined[n-1].to, s.to)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// meets says whether a stretch overlaps one of many.
func meets(all []span, s span) bool {
	i, _ := slices.BinarySearchFunc(all, s.from, func(a span, at time.Duration) int { return cmp.Compare(a.to, at) })
	return i < len(all) && all[i].overlap(s) > 0
}

// slow compares the slow requests with the others: which share met each throttle reason. Slow is above the 95th
// percentile of E2EL against what a request of its length takes, by a straight line over the output tokens.
func (v *view) slow() []Slow {
	const fewest = 100 // requests, so that five are slow
	type one struct {
		span
		slow bool
	}
	var all []one
	for _, w := range v.windows {
		if !w.phase.Judged {
			continue
		}
		var x, y []float64
		from := len(all)
		for _, i := range w.requests {
			q := v.requests[i]
			e2el, ok := q.E2EL()
			out, counted := q.Output()
			if !ok || !counted || !q.OK() {
				continue
			}
			x, y = append(x, float64(out)), append(y, e2el.Seconds())
			all = append(all, one{span: span{q.Sent, ended(q)}})
		}
		if len(x) < fewest {
			all = all[:from]
			continue
		}
		residual := residuals(y, x)
		limit := rank(slices.Sorted(slices.Values(residual)), 0.95)
		for i, r := range residual {
			all[from+i].slow = r > limit
		}
	}
	var table []Slow
	for _, r := range reasons() {
		var spans []span
		for _, gpu := range v.samples.gpus {
			s, _ := v.throttled(gpu, r)
			spans = append(spans, s...)
		}
		if spans = union(spans); len(spans) == 0 || len(all) == 0 {
			continue
		}
		row := Slow{Reason: r.name}
		for _, q := range all {
			met := 0.0
			if meets(spans, q.span) {
				met = 1
			}
			if q.slow {
				row.Slow, row.N = row.Slow+met, row.N+1
			} else {
				row.Others, row.NOthers = row.Others+met, row.NOthers+1
			}
		}
		row.Slow /= float64(max(1, row.N))
		row.Others /= float64(max(1, row.NOthers))
		table = append(table, row)
	}
	return table
}
