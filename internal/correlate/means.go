package correlate

import (
	"slices"
	"time"

	"lab/internal/lab"
)

// enough is the share of a window that readings must speak for.
const (
	enough     = 0.95
	enoughPart = 0.8 // of a part of one request
)

// coverage says how each series was sampled.
func (v *view) coverage() []Coverage {
	var all []Coverage
	for _, k := range v.samples.keys {
		s := v.samples.all[k]
		c := Coverage{Device: k.device, Value: k.value, N: len(s.at), Errors: v.samples.errors[k.device], Period: s.period}
		for i := 1; i < len(s.at); i++ {
			d := s.at[i] - s.at[i-1]
			c.MaxGap = max(c.MaxGap, d)
			if d > maxHold*s.period {
				c.Gaps++
			}
		}
		all = append(all, c)
	}
	return all
}

// shifted is a window moved to where a value speaks for it: a mean over some time that is renewed now and then comes
// half of both later.
func (r readings) shifted(device, value string, s span) span {
	window, update := r.averaging(device, value)
	by := (window + update) / 2
	return span{s.from + by, s.to + by}
}

// means of all series over a phase.
func (v *view) means(w window) []Mean {
	var all []Mean
	for _, k := range v.samples.keys {
		if steady(k.value) {
			continue
		}
		s := v.samples.all[k]
		i, j := s.within(w.from, w.to)
		m := Mean{Device: k.device, Value: k.value, N: max(0, j-i)}
		if isCounter(k.device, k.value) {
			m.Counter = true
			var ok bool
			if m.Mean, ok = s.rise(w.from, w.to); !ok {
				continue
			}
			m.Coverage = 1
			all = append(all, m)
			continue
		}
		averaged, _ := v.samples.averaging(k.device, k.value)
		at := v.samples.shifted(k.device, k.value, w.span)
		m.Mean, m.Coverage = s.mean(at.from, at.to)
		if m.Coverage == 0 || w.length() < 2*averaged {
			continue
		}
		m.Min, m.Max = m.Mean, m.Mean
		if i < j {
			m.Min, m.Max = slices.Min(s.v[i:j]), slices.Max(s.v[i:j])
		}
		all = append(all, m)
	}
	return all
}

// steady are values that describe the sampling itself, of which a mean says nothing, and sets of bits.
func steady(value string) bool {
	switch value {
	case lab.ClockWall, lab.GPUThrottle, lab.GPUPowerPeriod, lab.GPUEnergyPeriod, lab.GPUUtilPeriod:
		return true
	}
	return false
}

// ofRequests are the gauges that change within a request's life and say something about it.
var ofRequests = []string{
	lab.GPUPower, lab.GPUUtil, lab.GPUSMClock, lab.GPUTemp, lab.GPUTensorUtil, lab.GPUDRAMUtil,
	lab.EngineRunning, lab.EngineWaiting, lab.EngineKVUsage,
}

// requestMeans are the means over the two parts of each request.
func (v *view) requestMeans(w window) []RequestMean {
	prefill, decode := v.parts(w)
	var all []RequestMean
	for _, k := range v.samples.keys {
		if !slices.Contains(ofRequests, k.value) || !isGPU(k.device) && k.device != "engine" {
			continue
		}
		for _, part := range []struct {
			name  string
			spans []span
		}{{"prefill", prefill}, {"decode", decode}} {
			m := RequestMean{Phase: w.phase.Name, Part: part.name, Device: k.device, Value: k.value}
			if v.requestMean(&m, part.spans) {
				all = append(all, m)
			}
		}
	}
	return all
}

// parts of the successful requests of a phase: to their first token, and from it to the last.
func (v *view) parts(w window) (prefill, decode []span) {
	for _, i := range w.requests {
		q := v.requests[i]
		if !q.OK() || len(q.Chunks) == 0 {
			continue
		}
		middle := first(q)
		prefill, decode = append(prefill, span{q.Sent, middle}), append(decode, span{middle, q.Chunks[len(q.Chunks)-1].At})
	}
	return prefill, decode
}

// requestMean fills in how the means of a value over such parts lie; false: there are none.
func (v *view) requestMean(m *RequestMean, parts []span) bool {
	averaged, _ := v.samples.averaging(m.Device, m.Value)
	later := v.samples.shifted(m.Device, m.Value, span{}).from
	s := v.samples.all[key{m.Device, m.Value}]
	values := make([]float64, 0, len(parts))
	for _, of := range parts {
		mean, covered := s.mean(of.from+later, of.to+later)
		if covered < enoughPart || of.length() < 2*max(averaged, s.period/2) {
			m.Withheld++
			continue
		}
		values = append(values, mean)
	}
	if len(values) == 0 {
		return false
	}
	slices.Sort(values)
	m.Spread = Spread{P10: rank(values, 0.1), P50: rank(values, 0.5), P90: rank(values, 0.9), N: len(values)}
	return true
}

// seconds writes a moment of the run.
func seconds(at time.Duration) string { return at.Round(time.Millisecond).String() }
