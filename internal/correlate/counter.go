package correlate

import (
	"time"

	"lab/internal/lab"
)

// piece is energy that a counter gained over a stretch of time.
type piece struct {
	span
	joules   float64
	withheld bool // how it was spread over the stretch is not known
}

// energyCounter is what one GPU's energy counter says.
type energyCounter struct {
	pieces []piece
	total  float64         // of all pieces
	resets []time.Duration // when it fell, or rose more than the GPU can draw
}

// The rules of reading an energy counter.
const (
	impossible = 1.5         // times the power limit: a rise above that is no energy
	energyGap  = time.Second // between two readings: over more, nobody knows how the energy was spread
)

// readCounter times the counter at its edges. A driver renews the counter every 20 to 100 ms; a reading that differs from
// the one before shows an edge, which lay between the two: it is put in the middle. Between edges power is taken as even.
// limit is the GPU's power limit in watts, 0 where it is not known.
func readCounter(s *series, limit float64) energyCounter {
	var c energyCounter
	if s == nil || len(s.at) < 2 {
		return c
	}
	edge, hole, fresh := s.at[0], false, true
	for i := 1; i < len(s.at); i++ {
		rise, spacing := s.v[i]-s.v[i-1], s.at[i]-s.at[i-1]
		hole = hole || spacing > max(energyGap, maxHold*s.period)
		if rise == 0 {
			continue
		}
		middle := s.at[i-1] + spacing/2
		// The energy may have gathered since the edge before, at most one renewal earlier than it was seen.
		allowed := impossible * limit * (s.at[i] - edge + s.period).Seconds()
		if rise < 0 || limit > 0 && rise > allowed {
			c.resets = append(c.resets, s.at[i])
			edge, hole, fresh = s.at[i], false, true
			continue
		}
		// What came before the first edge after a start began nobody knows when.
		c.pieces = append(c.pieces, piece{span{edge, max(edge, middle)}, rise, hole || fresh})
		c.total += rise
		edge, hole, fresh = max(edge, middle), false, false
	}
	return c
}

// powerLimit of a GPU in watts: as it was sampled, else as the host's fingerprint has it; 0: not known.
func (v *view) powerLimit(device string) float64 {
	if s := v.samples.of(device, lab.GPUPowerLimit); s != nil {
		highest := 0.0
		for _, w := range s.v {
			highest = max(highest, w)
		}
		return highest
	}
	for _, d := range v.run.Host.GPUs {
		if deviceName(d.Index) == device {
			return d.PowerLimitW
		}
	}
	return 0
}

// trapezoid is the energy under the readings of instant power over a stretch, or not ok where they leave a hole in it.
type trapezoid struct {
	s   *series
	sum []float64
	gap []int // how many holes there are up to a reading
}

func integrate(s *series) trapezoid {
	t := trapezoid{s: s}
	if s == nil {
		return t
	}
	t.sum, t.gap = make([]float64, len(s.at)), make([]int, len(s.at))
	for i := 1; i < len(s.at); i++ {
		d := s.at[i] - s.at[i-1]
		t.sum[i], t.gap[i] = t.sum[i-1]+(s.v[i]+s.v[i-1])/2*d.Seconds(), t.gap[i-1]
		if d > max(energyGap, maxHold*s.period) {
			t.gap[i]++
		}
	}
	return t
}

func (t trapezoid) over(p span) (float64, bool) {
	if t.s == nil {
		return 0, false
	}
	a, okA := t.at(p.from)
	b, okB := t.at(p.to)
	i, j := t.s.before(p.from), min(t.s.before(p.to)+1, len(t.s.at)-1)
	if !okA || !okB || t.gap[j] > t.gap[i] {
		return 0, false
	}
	return b - a, true
}

// at is the integral until a moment between two readings.
func (t trapezoid) at(moment time.Duration) (float64, bool) {
	i := t.s.before(moment)
	if i < 0 || i+1 >= len(t.s.at) && t.s.at[i] < moment {
		return 0, false
	}
	if t.s.at[i] == moment {
		return t.sum[i], true
	}
	part := (moment - t.s.at[i]).Seconds() / (t.s.at[i+1] - t.s.at[i]).Seconds()
	here := t.s.v[i] + part*(t.s.v[i+1]-t.s.v[i])
	return t.sum[i] + (t.s.v[i]+here)/2*(moment-t.s.at[i]).Seconds(), true
}
