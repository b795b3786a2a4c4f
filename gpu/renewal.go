package gpu

import (
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// renewals measures how often a GPU renews its values: the median time between two changes that the readings see.
type renewals struct {
	seen map[renewalKey]*renewal
	told bool // the rate for the run has been taken up
}

type renewalKey struct{ device, name string }

type renewal struct {
	known  bool
	value  float64
	at     time.Duration // of the last change; 0: none yet
	apart  []time.Duration
	period time.Duration // 0: not known
	told   bool
}

// enoughChanges make a median that one late reading does not move.
const enoughChanges = 8

// renewalNames are the values that are watched, and what their periods are called.
var renewalNames = map[string]string{lab.GPUPower: lab.GPUPowerPeriod, lab.GPUEnergy: lab.GPUEnergyPeriod, lab.GPUUtil: lab.GPUUtilPeriod}

func (r *renewals) see(reading Reading) {
	for _, s := range reading.Samples {
		for name := range renewalNames {
			v, ok := s.Values[name]
			if !ok {
				continue
			}
			key := renewalKey{s.Device, name}
			if r.seen[key] == nil {
				r.seen[key] = &renewal{}
			}
			r.seen[key].see(s.At, v, reading.Kept)
		}
	}
}

// see takes a value. Where the driver keeps its values, each is a renewal, whether it changed or not.
func (r *renewal) see(at time.Duration, v float64, kept bool) {
	if r.period != 0 || r.known && v == r.value && !kept {
		return
	}
	if r.known && r.at != 0 {
		r.apart = append(r.apart, at-r.at)
	}
	if r.known || kept { // when the first value was renewed nobody saw
		r.at = at
	}
	r.known, r.value = true, v
	if len(r.apart) >= enoughChanges {
		slices.Sort(r.apart)
		r.period = r.apart[len(r.apart)/2]
	}
}

// news are the periods that became known since the last call, as samples of their devices.
func (r *renewals) news(at time.Duration) []lab.Sample {
	byDevice := map[string]map[string]float64{}
	for key, one := range r.seen {
		if one.period == 0 || one.told {
			continue
		}
		one.told = true
		if byDevice[key.device] == nil {
			byDevice[key.device] = map[string]float64{}
		}
		byDevice[key.device][renewalNames[key.name]] = one.period.Seconds()
	}
	var samples []lab.Sample
	for device, values := range byDevice {
		samples = append(samples, lab.Sample{At: at, Device: device, Values: values})
	}
	slices.SortFunc(samples, func(a, b lab.Sample) int { return strings.Compare(a.Device, b.Device) })
	return samples
}

// shortest is the shortest known period of power and energy; 0: none is known.
func (r *renewals) shortest() time.Duration {
	shortest := time.Duration(0)
	for key, one := range r.seen {
		if key.name != lab.GPUUtil && one.period != 0 && (shortest == 0 || one.period < shortest) {
			shortest = one.period
		}
	}
	return shortest
}
