package profiling

import (
	"math"
	"time"
)

// figures are weighted sums over steps. With weights that sum up to one they are those of a mean step.
type figures struct {
	steps                                  int
	period, cpu, busy, hostGap, activities float64
	took, calls                            []float64 // by item
}

func add(steps []steadyStep, weights []float64, items int) *figures {
	f := &figures{took: make([]float64, items), calls: make([]float64, items)}
	for i := range steps {
		s, w := &steps[i], weights[i]
		if w == 0 {
			continue
		}
		f.steps++
		f.period += w * float64(s.period)
		f.cpu += w * float64(s.end-s.start)
		f.busy += w * float64(s.busy)
		f.hostGap += w * float64(s.hostGap)
		f.activities += w * float64(s.work)
		for _, p := range s.parts {
			f.took[p.item] += w * float64(p.took)
			f.calls[p.item] += w * float64(p.n)
		}
	}
	return f
}

// matching says how steps of one kind are set against each other.
type matching struct {
	per    Unit
	sizes  map[steadySize]float64 // how many steps of a size to count on either side; nil: all steps as they are
	counts bool                   // the markers tell sizes
}

// match counts of each size as many steps as the side has that has fewer. Where that leaves less than half of the steps, it
// goes by tokens.
func match(a, b []steadyStep) matching {
	m := matching{per: PerStep, counts: sized(a) && sized(b)}
	if !m.counts {
		return m
	}
	left, right := sizes(a), sizes(b)
	m.sizes = map[steadySize]float64{}
	common := 0
	for size, n := range left {
		if both := min(n, right[size]); both > 0 {
			m.sizes[size] = float64(both)
			common += both
		}
	}
	if 2*common < min(len(a), len(b)) {
		m.sizes, m.per = nil, PerToken
	}
	return m
}

func sized(steps []steadyStep) bool {
	for i := range steps {
		if !steps[i].counted {
			return false
		}
	}
	return true
}

func sizes(steps []steadyStep) map[steadySize]int {
	all := map[steadySize]int{}
	for i := range steps {
		all[steps[i].size()]++
	}
	return all
}

// weights gives each step its part of the mean step, or of the time a token takes.
func (m matching) weights(steps []steadyStep) []float64 {
	all := make([]float64, len(steps))
	if m.sizes != nil {
		own, whole := sizes(steps), 0.0
		for size := range own {
			whole += m.sizes[size]
		}
		for i := range steps {
			if n := m.sizes[steps[i].size()]; n > 0 {
				all[i] = n / float64(own[steps[i].size()]) / whole
			}
		}
		return all
	}
	whole := 0.0
	for i := range steps {
		whole += m.weight(&steps[i])
	}
	for i := range steps {
		if whole > 0 {
			all[i] = 1 / whole
		}
	}
	return all
}

func (m matching) weight(s *steadyStep) float64 {
	if m.per == PerToken {
		return s.tokens()
	}
	return 1
}

// pair has the figures of both sides: of all captures together, and of each.
type pair struct {
	a, b  *figures
	eachA []*figures
	eachB []*figures
}

func newPair(a, b []steadyStep, m matching, items int) pair {
	return pair{add(a, m.weights(a), items), add(b, m.weights(b), items), m.each(a, items), m.each(b, items)}
}

func (m matching) each(steps []steadyStep, items int) []*figures {
	captures := map[int][]steadyStep{}
	last := 0
	for _, s := range steps {
		captures[s.capture] = append(captures[s.capture], s)
		last = max(last, s.capture)
	}
	var all []*figures
	for i := range last + 1 {
		own := captures[i]
		if f := add(own, m.weights(own), items); f.steps > 0 {
			all = append(all, f)
		}
	}
	return all
}

// change takes one figure of both sides.
func (p pair) change(figure func(*figures) float64) Change {
	c := Change{A: whole(figure(p.a)), B: whole(figure(p.b))}
	c.Delta = c.B - c.A
	if len(p.eachA) > 1 || len(p.eachB) > 1 {
		r := &CaptureRanges{A: extent(p.eachA, figure), B: extent(p.eachB, figure)}
		r.Apart = len(p.eachA) > 1 && len(p.eachB) > 1 && (r.A[1] < r.B[0] || r.B[1] < r.A[0])
		c.Range = r
	}
	return c
}

func whole(ns float64) time.Duration { return time.Duration(math.Round(ns)) }

func extent(each []*figures, figure func(*figures) float64) [2]time.Duration {
	var e [2]time.Duration
	for i, f := range each {
		v := whole(figure(f))
		if i == 0 {
			e = [2]time.Duration{v, v}
		}
		e = [2]time.Duration{min(e[0], v), max(e[1], v)}
	}
	return e
}
