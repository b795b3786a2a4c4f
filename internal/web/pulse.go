package web

import (
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
)

// pulse is what one batch of a live run says, as a point of its curves. A value that nothing was recorded for is absent.
type pulse struct {
	At float64            `json:"at"` // seconds since the run's epoch: its newest record
	V  map[string]float64 `json:"v"`  // by curve, in the unit that the page names
}

// rates remembers the last reading of counters, so that the next one gives a rate.
type rates map[string]reading

type reading struct {
	at    time.Duration
	value float64
}

// pulse makes a point of a batch; false where nothing in it has a place on a curve.
func (r rates) pulse(t lab.Tables) (pulse, bool) {
	p := pulse{V: map[string]float64{}}
	at := time.Duration(0)
	for _, q := range t.Requests {
		at = max(at, q.Done)
	}
	for _, s := range t.Samples {
		at = max(at, s.At)
		r.sample(s, p.V)
	}
	felt(t.Requests, p.V)
	p.At = at.Seconds()
	return p, len(p.V) > 0
}

// sample puts a reading on its curves; of several the last stands.
func (r rates) sample(s lab.Sample, v map[string]float64) {
	set := func(curve, name string, factor float64) {
		if value, ok := s.Values[name]; ok && !math.IsNaN(value) && !math.IsInf(value, 0) {
			v[curve] = value * factor
		}
	}
	switch {
	case s.Device == "engine":
		set("running", lab.EngineRunning, 1)
		set("waiting", lab.EngineWaiting, 1)
		set("kv", lab.EngineKVUsage, 100)
		if value, ok := s.Values[lab.EngineGenerated]; ok {
			r.rate("output", reading{s.At, value}, v)
		}
	case s.Device == "client":
		set("in_flight", lab.ClientFlight, 1)
	case strings.HasPrefix(s.Device, "gpu"):
		set(s.Device+" power", lab.GPUPower, 1)
		set(s.Device+" clock", lab.GPUSMClock, 1)
		set(s.Device+" util", lab.GPUUtil, 1)
		set(s.Device+" temp", lab.GPUTemp, 1)
		set(s.Device+" memory", lab.GPUMemUsed, 1.0/(1<<30))
	}
}

// rate is the rise of a counter since its last reading, a second; a counter that fell began anew.
func (r rates) rate(curve string, now reading, v map[string]float64) {
	before, known := r[curve]
	if known && now.at <= before.at {
		return
	}
	r[curve] = now
	if known && now.value >= before.value {
		v[curve] = (now.value - before.value) / (now.at - before.at).Seconds()
	}
}

// felt is what the requests that ended in a batch felt, in milliseconds: no warm-up, no failure.
func felt(requests []lab.RequestRecord, v map[string]float64) {
	var ttft, tpot []float64
	errors := 0
	for _, q := range requests {
		if q.Phase == lab.Warmup {
			continue
		}
		if !q.OK() {
			errors++
			continue
		}
		if d, ok := q.TTFT(); ok {
			ttft = append(ttft, d.Seconds()*1e3)
		}
		if d, ok := q.TPOT(); ok {
			tpot = append(tpot, d.Seconds()*1e3)
		}
	}
	for name, values := range map[string][]float64{"ttft": ttft, "tpot": tpot} {
		if len(values) > 0 {
			slices.Sort(values)
			v[name+" p50"] = metric.Quantile(values, 0.50)
			v[name+" max"] = values[len(values)-1]
		}
	}
	if errors > 0 {
		v["errors"] = float64(errors)
	}
}
