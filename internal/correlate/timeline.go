package correlate

import (
	"math"
	"slices"
	"strconv"
	"time"

	"lab/internal/lab"
)

// Timeline is a run over its time: what the requests felt and what was sampled beside them, on the one clock of the run.
type Timeline struct {
	From   time.Duration `json:"from"` // since the run's epoch
	To     time.Duration `json:"to"`
	Window time.Duration `json:"window"` // over which figures of requests are taken and counters become rates
	Phases []Stretch     `json:"phases,omitempty"`
	Curves []Curve       `json:"curves,omitempty"`
}

// Stretch is a phase of the load on the clock of the run.
type Stretch struct {
	Name   string        `json:"name"`
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
	Judged bool          `json:"judged"`
}

// Curve is one value over time. Device is "requests" for what is computed of the records: "ttft.p50", "itl.p99" (seconds),
// "in_flight", "output_tokens" and "errors" (a second); else it is a sampled device and Value the name of the sample.
// Of a counter V is its rise a second. The area under "output_tokens" is what the requests had in all; Scaled: of some the
// server did not count along the way, and their whole count is shared out over their chunks.
type Curve struct {
	Device string          `json:"device"`
	Value  string          `json:"value"`
	Rate   bool            `json:"per_second,omitempty"`
	Scaled bool            `json:"scaled,omitempty"`
	At     []time.Duration `json:"at"` // middle of each window, or moment of each reading
	V      Values          `json:"v"`
	N      []int           `json:"n,omitempty"` // requests or tokens that a figure rests on
}

// Values are those of a curve. NaN: from here on nothing is known; in a document it is null.
type Values []float64

// MarshalJSON writes null for what is not known.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 8*len(v)+2)
	out = append(out, '[')
	for i, one := range v {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(one) {
			out = append(out, "null"...)
			continue
		}
		out = strconv.AppendFloat(out, one, 'g', -1, 64)
	}
	return append(out, ']'), nil
}

// How fine a timeline is: windows are round, at most so many, and hold on average so many first tokens.
const (
	mostWindows  = 240
	fewestFirsts = 10
)

// Over lays a run out over its time. Percentiles with fewer values than they need (p90: 10, p99: 100) are left out.
func Over(r lab.Run, t lab.Tables) Timeline { return OverBy(r, t, 0) }

// OverBy does so with windows of a given length, so that two runs can be laid over each other; 0: of its own.
func OverBy(r lab.Run, t lab.Tables, window time.Duration) Timeline {
	v := look(r, t)
	line := v.stretches()
	if line.To <= line.From {
		return line
	}
	if line.Window = window; window <= 0 {
		line.Window = v.roundWindow(line.To - line.From)
	}
	line.Curves = append(v.felt(line), v.sampledCurves(line)...)
	return line
}

// stretches is a timeline of the phases of a run, without curves.
func (v *view) stretches() Timeline {
	line := Timeline{}
	for i, w := range v.windows {
		line.Phases = append(line.Phases, Stretch{w.phase.Name, w.from, w.to, w.phase.Judged})
		if i == 0 {
			line.From = w.from
		}
		line.From, line.To = min(line.From, w.from), max(line.To, w.to)
	}
	return line
}

// roundWindow is the length of the windows of a timeline.
func (v *view) roundWindow(length time.Duration) time.Duration {
	firsts := 0
	for _, q := range v.requests {
		if q.OK() && q.Phase != lab.Warmup && len(q.Chunks) > 0 {
			firsts++
		}
	}
	least := length / mostWindows
	if firsts > 0 {
		least = max(least, min(length/10, length*fewestFirsts/time.Duration(firsts)))
	}
	for unit := 10 * time.Millisecond; ; unit *= 10 {
		for _, factor := range []time.Duration{1, 2, 5} {
			if w := factor * unit; w >= least && w >= 50*time.Millisecond {
				return w
			}
		}
	}
}

// slots cut a timeline into windows.
type slots struct {
	Timeline
	n int
}

// A short rest at the end belongs to the last window: what ends a load comes together, and would be a rate of its own.
func (t Timeline) slots() slots { return slots{t, max(1, int((t.To-t.From+t.Window/2)/t.Window))} }

func (s slots) of(at time.Duration) int {
	if at < s.From || at > s.To {
		return -1
	}
	return min(int((at-s.From)/s.Window), s.n-1)
}

// bounds of a window; the last one ends with the load.
func (s slots) bounds(i int) (from, to time.Duration) {
	from = s.From + time.Duration(i)*s.Window
	if i == s.n-1 {
		return from, s.To
	}
	return from, from + s.Window
}

func (s slots) middle(i int) time.Duration {
	from, to := s.bounds(i)
	return (from + to) / 2
}

// felt are the curves of the requests. A latency belongs to the window in which the token came that ended it.
func (v *view) felt(line Timeline) []Curve {
	s := line.slots()
	ttft, itl := make([][]float64, s.n), make([][]float64, s.n)
	tokens, errors, scaled := make([]float64, s.n), make([]float64, s.n), false
	for _, q := range v.requests {
		if q.Phase == lab.Warmup {
			continue
		}
		if i := s.of(ended(q)); !q.OK() && i >= 0 {
			errors[i]++
		}
		if !q.OK() {
			continue
		}
		if d, ok := q.TTFT(); ok {
			if i := s.of(q.Chunks[0].At); i >= 0 {
				ttft[i] = append(ttft[i], d.Seconds())
			}
		}
		came, counted := q.PerChunk()
		scaled = scaled || !counted
		for k, c := range q.Chunks {
			i := s.of(c.At)
			if i < 0 {
				continue
			}
			tokens[i] += came(c)
			n := max(1, c.Tokens)
			for range n {
				if k > 0 {
					itl[i] = append(itl[i], (c.At-q.Chunks[k-1].At).Seconds()/float64(n))
				}
			}
		}
	}
	all := append(s.percentiles("ttft", ttft), s.percentiles("itl", itl)...)
	flight := make([]float64, s.n)
	for i := range s.n {
		flight[i] = v.flight.mean(s.bounds(i))
	}
	all = append(all, s.curve("in_flight", flight, false))
	if slices.Max(tokens) > 0 || !scaled { // else nobody counted any
		output := s.curve("output_tokens", tokens, true)
		output.Scaled = scaled
		all = append(all, output)
	}
	return append(all, s.curve("errors", errors, true))
}

// curve of one value a window; of counts the rise a second.
func (s slots) curve(value string, v []float64, rate bool) Curve {
	c := Curve{Device: "requests", Value: value, Rate: rate, V: v}
	for i := range s.n {
		c.At = append(c.At, s.middle(i))
		if from, to := s.bounds(i); rate {
			c.V[i] /= (to - from).Seconds()
		}
	}
	return c
}

func (s slots) percentiles(quantity string, windows [][]float64) []Curve {
	for i := range windows {
		slices.Sort(windows[i])
	}
	var all []Curve
	for _, p := range []struct {
		name  string
		q     float64
		least int
	}{{"p50", 0.5, 1}, {"p90", 0.9, 10}, {"p99", 0.99, 100}} {
		c := Curve{Device: "requests", Value: quantity + "." + p.name}
		known := 0
		for i, values := range windows {
			value := math.NaN()
			if len(values) >= p.least {
				value = rank(values, p.q)
				known++
			}
			c.At, c.V, c.N = append(c.At, s.middle(i)), append(c.V, value), append(c.N, len(values))
		}
		if known > 0 {
			all = append(all, c)
		}
	}
	return all
}

// mean is the time-weighted number of requests in flight over a stretch.
func (f *flight) mean(from, to time.Duration) float64 {
	sum := 0.0
	for i := f.index(from); i < len(f.at); i++ {
		start, end := from, to
		if i >= 0 {
			start = max(from, f.at[i])
		}
		if i+1 < len(f.at) {
			end = min(to, f.at[i+1])
		}
		if start >= to {
			break
		}
		if i >= 0 && end > start {
			sum += float64(f.n[i]) * (end - start).Seconds()
		}
	}
	return sum / (to - from).Seconds()
}

// sampledCurves are the readings around the load: gauges as they were read, counters as rates.
func (v *view) sampledCurves(line Timeline) []Curve {
	var all []Curve
	for _, k := range v.samples.keys {
		if steady(k.value) {
			continue
		}
		c := v.samples.all[k].gauge(line.From, line.To)
		if isCounter(k.device, k.value) {
			c = v.samples.all[k].rate(line.slots())
		}
		if len(c.At) > 1 {
			c.Device, c.Value = k.device, k.value
			all = append(all, c)
		}
	}
	return all
}

// gauge is the readings of a window. Where one spoke for no longer than maxHold periods, what follows is not known.
func (s *series) gauge(from, to time.Duration) Curve {
	var c Curve
	i, j := s.within(from, to)
	for k := i; k < j; k++ {
		if k > i && s.at[k]-s.at[k-1] > maxHold*s.period {
			c.At, c.V = append(c.At, s.at[k-1]+maxHold*s.period), append(c.V, math.NaN())
		}
		c.At, c.V = append(c.At, s.at[k]), append(c.V, s.v[k])
	}
	return c
}

// rate is the rise of a counter a second, by windows in which it was read on both sides; a counter that is read less
// often than there are windows gets longer ones.
func (s *series) rate(w slots) Curve {
	c := Curve{Rate: true}
	step := max(1, int((2*s.period+w.Window-1)/w.Window))
	for i := 0; i < w.n; i += step {
		from, _ := w.bounds(i)
		_, to := w.bounds(min(i+step, w.n) - 1)
		value := math.NaN()
		if rise, ok := s.rise(from, to); ok {
			value = rise / (to - from).Seconds()
		}
		c.At, c.V = append(c.At, (from+to)/2), append(c.V, value)
	}
	return c
}
