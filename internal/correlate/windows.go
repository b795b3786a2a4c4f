package correlate

import (
	"math"
	"time"

	"lab/internal/lab"
)

// shortestWindow is twice the time over which a GPU's utilisation is a mean, and some.
const shortestWindow = 500 * time.Millisecond

// Windows lays a run out over its time for a small picture: every curve has one value in each of at most so many windows of
// a handy length, and N says what it rests on there (requests, tokens or readings). A sampled gauge is its time-weighted
// mean, not known where readings speak for less than four fifths of the window. Without requests there are no curves.
func Windows(r lab.Run, t lab.Tables, most int) Timeline {
	v := look(r, t)
	line := v.stretches()
	if line.To <= line.From {
		return line
	}
	line.Window = windowLength(line.To-line.From, most)
	w := line.slots()
	line.Curves = v.felt(line)
	for i := range line.Curves {
		switch c := &line.Curves[i]; c.Value {
		case "output_tokens", "errors":
			c.N = w.counted(c.V)
		case "in_flight":
			c.N = v.sent(w)
		}
	}
	for _, k := range v.samples.keys {
		if s := v.samples.all[k]; !steady(k.value) && !isCounter(k.device, k.value) && len(s.at) > 1 {
			line.Curves = append(line.Curves, v.windowed(s, w))
		}
	}
	return line
}

// windowLength is the shortest handy window of which at most so many go into a length of time.
func windowLength(length time.Duration, most int) time.Duration {
	s, m, h := time.Second, time.Minute, time.Hour
	for _, d := range []time.Duration{shortestWindow, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 15 * m, 30 * m} {
		if d*time.Duration(most) >= length {
			return d
		}
	}
	return (length / time.Duration(most)).Truncate(h) + h
}

// counted turns rates a second back into the counts they were made of.
func (s slots) counted(rates Values) []int {
	n := make([]int, s.n)
	for i, rate := range rates {
		from, to := s.bounds(i)
		n[i] = int(math.Round(rate * (to - from).Seconds()))
	}
	return n
}

// sent counts the requests of measured phases by the window in which they were sent.
func (v *view) sent(s slots) []int {
	n := make([]int, s.n)
	for _, w := range v.windows {
		for _, i := range w.requests {
			if k := s.of(v.requests[i].Sent); k >= 0 {
				n[k]++
			}
		}
	}
	return n
}

// windowed is a sampled gauge by windows.
func (v *view) windowed(s *series, w slots) Curve {
	c := Curve{Device: s.device, Value: s.value}
	averaged, _ := v.samples.averaging(s.device, s.value)
	for i := range w.n {
		from, to := w.bounds(i)
		first, last := s.within(from, to)
		value := math.NaN()
		at := v.samples.shifted(s.device, s.value, span{from, to})
		if mean, covered := s.mean(at.from, at.to); covered >= enoughPart && to-from >= 2*averaged {
			value = mean
		}
		c.At, c.V, c.N = append(c.At, w.middle(i)), append(c.V, value), append(c.N, max(0, last-first))
	}
	return c
}
