package gpu

import (
	"math"
	"time"

	"lab/internal/lab"
)

// spread is how the readings of a group went over a run: how late they began and how long they took.
type spread struct {
	late, call    quantiles
	recent        []time.Duration // calls since the last look of the budget
	reads         int
	skipped, gaps int
	last          time.Time
}

// gapFactor: so many periods without a reading are a gap.
const gapFactor = 3

func (s *spread) add(began time.Time, period, late, took time.Duration, skipped int) {
	if !s.last.IsZero() && began.Sub(s.last) > gapFactor*period {
		s.gaps++
	}
	s.last = began
	s.reads++
	s.skipped += skipped
	s.late.add(late)
	s.call.add(took)
	s.recent = append(s.recent, took)
}

// values are what is reported of a group.
func (s *spread) values(group string, into map[string]float64) {
	if s.reads == 0 {
		return
	}
	for name, v := range map[string]float64{
		lab.SamplerReads: float64(s.reads), lab.SamplerSkip: float64(s.skipped), lab.SamplerGaps: float64(s.gaps),
		lab.SamplerLateP50: s.late.at(0.5), lab.SamplerLateP99: s.late.at(0.99),
		lab.SamplerCallP50: s.call.at(0.5), lab.SamplerCallP99: s.call.at(0.99),
	} {
		into[group+"_"+name] = v
	}
}

// quantiles counts durations in classes that grow by a twentieth from 1 us on, so that a long run costs no memory.
type quantiles struct {
	counts []int
	n      int
}

const classGrowth = 1.05

func (q *quantiles) add(d time.Duration) {
	class := 0
	if us := float64(d) / 1e3; us > 1 {
		class = 1 + int(math.Log(us)/math.Log(classGrowth))
	}
	for len(q.counts) <= class {
		q.counts = append(q.counts, 0)
	}
	q.counts[class]++
	q.n++
}

// at is a quantile in seconds: the upper bound of its class.
func (q *quantiles) at(share float64) float64 {
	rank := int(math.Ceil(share * float64(q.n)))
	for class, n := range q.counts {
		if rank -= n; rank <= 0 {
			return 1e-6 * math.Pow(classGrowth, float64(class))
		}
	}
	return 0
}
