package correlate

import (
	"fmt"
	"slices"
	"time"

	"lab/internal/lab"
)

// steal: the hypervisor took processor time in that second, at least as long as half of the stall on one core, and well
// more than it usually does.
func (c *clues) steal(s *standing) suspect {
	steal := c.v.samples.of("host", lab.HostSteal)
	if steal == nil {
		return suspect{}
	}
	i, _ := slices.BinarySearch(steal.at, s.to)
	if i == 0 || i >= len(steal.at) {
		return suspect{}
	}
	usual := median(slices.Clone(steal.v))
	second := (steal.at[i] - steal.at[i-1]).Seconds()
	taken := steal.v[i] / 100 * second * float64(max(1, c.v.run.Host.Cores))
	if steal.v[i] < max(5, 3*usual+2) || taken < s.lost.Seconds()/2 {
		return suspect{}
	}
	return suspect{cause: CauseHostSteal, fit: 0.45, evidence: fmt.Sprintf("the hypervisor took %.0f %% of the processors' time in the second to %s (usually %.1f %%)", steal.v[i], seconds(steal.at[i]), usual)}
}

// pressure: tasks waited for a resource in that second for most of the stall's length longer than usual, and five times
// as long as usual.
func (c *clues) pressure(s *standing) suspect {
	best := suspect{}
	for _, p := range []struct {
		value, what string
		fit         float64
	}{
		{lab.HostMemoryPressure, "memory", 0.4}, {lab.HostIOPressure, "the disk", 0.4}, {lab.HostCPUPressure, "a processor", 0.35},
	} {
		counter := c.v.samples.of("host", p.value)
		waited, from, to, ok := counter.step(s.to)
		if !ok {
			continue
		}
		usual := counter.usualStep()
		if waited < 5*usual || waited-usual < 0.8*s.lost.Seconds() || p.fit <= best.fit {
			continue
		}
		best = suspect{cause: CauseHostPressure, fit: p.fit, evidence: fmt.Sprintf("tasks waited %s for %s between %s and %s (usually %s)", ms(time.Duration(waited*1e9)), p.what, seconds(from), seconds(to), ms(time.Duration(usual*1e9)))}
	}
	return best
}

// usualStep is the median increase of a counter from reading to reading.
func (s *series) usualStep() float64 {
	var steps []float64
	for i := 1; i < len(s.v); i++ {
		steps = append(steps, s.v[i]-s.v[i-1])
	}
	return median(steps)
}
