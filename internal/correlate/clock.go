package correlate

import (
	"fmt"
	"time"

	"lab/internal/lab"
)

// clockSeries is the SM clock of a GPU and the level it has under load.
type clockSeries struct {
	gpu   string
	s     *series
	level float64
}

// clock: the SM clock was below its level for most of the stall, and by as much as the steps were longer. A step is at most
// inversely proportional to the clock; what slowed down more has another cause.
func (c *clues) clock(s *standing) suspect {
	best := suspect{}
	for _, k := range c.clocks {
		low, share, ok := k.low(s.span)
		if !ok || share > 0.95 {
			continue
		}
		slack := k.s.period
		wide := span{low.from - slack, low.to + slack}
		if 2*wide.overlap(s.span) < s.length() || s.pace*share > 1.6 {
			continue
		}
		if fit := 0.9 * min(1, s.pace*share); fit > best.fit {
			cause, why := c.reason(k.gpu, low)
			best = suspect{cause: cause, fit: fit, evidence: fmt.Sprintf("%s: the SM clock fell to %.0f %% of its level of %.0f MHz from %s to %s%s; steps took %.1f times as long", k.gpu, 100*share, k.level, seconds(low.from), seconds(low.to), why, s.pace)}
		}
	}
	return best
}

// low is the stretch of readings below the level that touches a stall, and the lowest share of the level in it.
func (k clockSeries) low(s span) (low span, share float64, ok bool) {
	i, j := k.s.within(s.from-k.s.period, s.to+k.s.period)
	share = 1
	at := -1
	for ; i < j; i++ {
		if v := k.s.v[i] / k.level; v < share {
			share, at = v, i
		}
	}
	if at < 0 {
		return low, 1, false
	}
	a, b := at, at
	for a > 0 && k.s.v[a-1] < 0.97*k.level {
		a--
	}
	for b+1 < len(k.s.v) && k.s.v[b+1] < 0.97*k.level {
		b++
	}
	return span{k.s.at[a], k.s.at[b]}, share, true
}

// reason names what held a clock down: a counter of throttled time that grew for a third of the stretch, or a bit.
func (c *clues) reason(gpu string, low span) (cause, why string) {
	of := func(name string) *series { return c.v.samples.of(gpu, name) }
	wide := span{low.from - 300*time.Millisecond, low.to + 300*time.Millisecond}
	held := func(names ...string) bool {
		sum := 0.0
		for _, name := range names {
			rise, _ := of(name).rise(wide.from, wide.to)
			sum += rise
		}
		return sum > max(0.05, low.length().Seconds()/3)
	}
	bits := 0
	if s := of(lab.GPUThrottle); s != nil {
		i, j := s.within(low.from-s.period/2, low.to+s.period/2)
		for ; i < j; i++ {
			bits |= int(s.v[i])
		}
	}
	switch {
	case bits&lab.BitsThermal != 0 || held(lab.GPUThrottleThermal, lab.GPUThrottleHWThermal):
		return CauseThermal, ", too hot"
	case bits&lab.BitBrake != 0 || held(lab.GPUThrottleBrake):
		return CauseClock, ", power brake"
	case bits&lab.BitPowerCap != 0 || held(lab.GPUThrottlePower):
		return CausePowerCap, ", at the power limit"
	}
	return CauseClock, ""
}
