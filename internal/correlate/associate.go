package correlate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"lab/internal/lab"
)

// The rules of association; docs/hardware.md gives the reasons.
const (
	fewestBins   = 60
	filledBins   = 0.9 // share of the bins that must have a value
	longestLag   = 5 * time.Second
	significance = 0.05
	given        = "running requests, prompt tokens, a line in time"
)

// grid is what the requests of a phase felt in even steps of time, and the load that explains most of it.
type grid struct {
	from    time.Duration
	step    time.Duration
	n       int
	felt    map[string][]float64 // "ttft" and "itl": logarithm of the mean; absent where too few bins have one
	running []float64
	prompts []float64
}

// on lays the requests of a phase on a grid, by the moments at which tokens arrived.
func (v *view) on(w window, step time.Duration) grid {
	g := grid{from: w.from, step: step, n: int(w.length() / step), felt: map[string][]float64{}}
	if g.n < fewestBins {
		return g
	}
	g.running, g.prompts = make([]float64, g.n), make([]float64, g.n)
	sums, counts := map[string][]float64{}, map[string][]float64{}
	for _, name := range []string{"ttft", "itl"} {
		sums[name], counts[name] = make([]float64, g.n), make([]float64, g.n)
	}
	put := func(name string, at, d time.Duration) {
		if i := int((at - g.from) / step); at >= g.from && i < g.n {
			sums[name][i] += d.Seconds()
			counts[name][i]++
		}
	}
	for _, i := range w.requests {
		q := v.requests[i]
		if ttft, ok := q.TTFT(); ok {
			put("ttft", q.Chunks[0].At, ttft)
			if bin := int((q.Chunks[0].At - g.from) / step); bin >= 0 && bin < g.n {
				g.prompts[bin] += float64(input(q))
			}
		}
		for j := 1; j < len(q.Chunks); j++ {
			put("itl", q.Chunks[j].At, q.Chunks[j].At-q.Chunks[j-1].At)
		}
		g.under(span{q.Sent, ended(q)})
	}
	for name, sum := range sums {
		for i, n := range counts[name] {
			sum[i] = math.Log(sum[i] / n) // no value where n is 0
		}
		if whole, ok := bridged(sum); ok {
			g.felt[name] = whole
		}
	}
	return g
}

// under counts a request in every bin that it was in flight in, for however short. The mean number in flight would not do:
// it follows from how long requests take, so that taking it out would take out what is looked for.
func (g grid) under(s span) {
	for i := max(0, int((s.from-g.from)/g.step)); i < g.n && g.from+time.Duration(i)*g.step < s.to; i++ {
		g.running[i]++
	}
}

// bridged fills bins without a value (NaN or infinite) by straight lines, where they are few.
func bridged(values []float64) ([]float64, bool) {
	var known []int
	for i, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			known = append(known, i)
		}
	}
	if len(known) == 0 || float64(len(known)) < filledBins*float64(len(values)) {
		return nil, false
	}
	for i := range values {
		j, found := slices.BinarySearch(known, i)
		switch {
		case found:
		case j == 0:
			values[i] = values[known[0]]
		case j == len(known):
			values[i] = values[known[j-1]]
		default:
			a, b := known[j-1], known[j]
			values[i] = values[a] + (values[b]-values[a])*float64(i-a)/float64(b-a)
		}
	}
	return values, true
}

// drivers are the values that may go with latency. What the engine says of its own load is not among them: that is
// what is taken out.
func drivers(k key) bool {
	switch {
	case isGPU(k.device):
		switch k.value {
		case lab.GPUPower, lab.GPUSMClock, lab.GPUMemClock, lab.GPUTemp, lab.GPUMemTemp, lab.GPUUtil, lab.GPUMemUtil,
			lab.GPUThrottlePower, lab.GPUThrottleThermal, lab.GPUThrottleHWThermal, lab.GPUThrottleBrake,
			lab.GPUTensorUtil, lab.GPUDRAMUtil, lab.GPUPCIeRx, lab.GPUPCIeTx:
			return true
		}
	case k.device == "host":
		switch k.value {
		case lab.HostCPU, lab.HostSteal, lab.HostCPUPressure, lab.HostMemoryPressure, lab.HostIOPressure, lab.HostDiskRead, lab.HostDiskWrite:
			return true
		}
	case k.device == "engine":
		return k.value == lab.EngineKVUsage || k.value == lab.EnginePreempt
	}
	return false
}

// sampled lays a series on a grid: means of a gauge, increases of a counter.
func (v *view) sampled(s *series, g grid) ([]float64, bool) {
	values := make([]float64, g.n)
	for i := range values {
		from := g.from + time.Duration(i)*g.step
		values[i] = math.NaN()
		if isCounter(s.device, s.value) {
			if rise, ok := s.rise(from, from+g.step); ok {
				values[i] = rise
			}
			continue
		}
		at := v.samples.shifted(s.device, s.value, span{from, from + g.step})
		if mean, covered := s.mean(at.from, at.to); covered >= enoughPart {
			values[i] = mean
		}
	}
	values, ok := bridged(values)
	if !ok || slices.Max(values) == slices.Min(values) {
		return nil, false
	}
	return values, true
}

// associations are hardware series that go with latency beyond what the load explains: what is left of both after a line
// in time, the running requests and the prompt tokens, freed of its own past, correlates at a lag of 0 to 5 s. p is
// corrected for all lags and for all pairs of series that were looked at.
func (v *view) associations() []Association {
	var all []Association
	tested := 0
	for _, w := range v.windows {
		if !w.phase.Judged || w.length() < fewestBins*binLength {
			continue
		}
		grids := map[time.Duration]grid{}
		for _, k := range v.samples.keys {
			s := v.samples.all[k]
			if !drivers(k) || s.period <= 0 {
				continue
			}
			step := binLength // twice the period at least
			for step < 2*s.period*9/10 {
				step += binLength
			}
			g, ok := grids[step]
			if !ok {
				g = v.on(w, step)
				grids[step] = g
			}
			if g.n < fewestBins || len(g.felt) == 0 {
				continue
			}
			x, ok := v.sampled(s, g)
			if !ok {
				continue
			}
			for _, metric := range []string{"ttft", "itl"} {
				if y, ok := g.felt[metric]; ok {
					tested++
					all = append(all, associate(k, metric, g, x, y))
				}
			}
		}
	}
	all = slices.DeleteFunc(all, func(a Association) bool { return a.P*float64(tested) >= significance })
	for i := range all {
		all[i].P *= float64(tested)
	}
	slices.SortStableFunc(all, func(a, b Association) int { return cmp.Compare(a.P, b.P) })
	return all
}

func associate(k key, metric string, g grid, x, y []float64) Association {
	most := int((longestLag + g.step - 1) / g.step)
	u, w := whitened(x, y, g.running, g.prompts)
	l := strongest(u, w, most)
	a := Association{Device: k.device, Value: k.value, Metric: metric, Lag: time.Duration(l.lag) * g.step, Correlation: l.r, P: l.p, N: l.n, Given: given}
	a.Low, a.High = l.interval()
	if l.p < significance {
		a.Shift = rotated(u, w, most)
	}
	return a
}
