package metric

import (
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// point is one sampled value.
type point struct {
	at    time.Duration
	value float64
}

// series gathers one value of one device over the whole run, in order of time.
func (w *window) series(device, name string) []point {
	var all []point
	for _, s := range w.samples {
		if v, ok := s.Values[name]; ok && s.Device == device {
			all = append(all, point{s.At, v})
		}
	}
	slices.SortFunc(all, func(a, b point) int { return int(a.at - b.at) })
	return all
}

// gpus names the GPUs that were sampled.
func (w *window) gpus() []string {
	var names []string
	for _, s := range w.samples {
		if strings.HasPrefix(s.Device, "gpu") && !slices.Contains(names, s.Device) {
			names = append(names, s.Device)
		}
	}
	slices.Sort(names)
	return names
}

// increase is how much a counter grew over the phase: between its values at the start and the end, interpolated between
// the samples around them. It is withheld where the samples do not reach around the phase within a tolerance, and where
// the counter fell (it was reset).
func (w *window) increase(device, name string) (float64, int, bool) {
	all := w.series(device, name)
	if len(all) < 2 {
		return 0, 0, false
	}
	n := 0
	for i := 1; i < len(all); i++ {
		if all[i].value < all[i-1].value {
			return 0, 0, false
		}
	}
	for _, p := range all {
		if p.at >= w.start && p.at <= w.end {
			n++
		}
	}
	const tolerance = 1500 * time.Millisecond // the slowest counters are read once a second
	if all[0].at > w.start+tolerance || all[len(all)-1].at < w.end-tolerance {
		return 0, 0, false
	}
	return valueAt(all, w.end) - valueAt(all, w.start), n, true
}

// valueAt interpolates a counter; outside its samples it stands still.
func valueAt(all []point, at time.Duration) float64 {
	for i, p := range all {
		if p.at < at {
			continue
		}
		if i == 0 {
			return p.value
		}
		before := all[i-1]
		part := float64(at-before.at) / float64(max(1, p.at-before.at))
		return before.value + part*(p.value-before.value)
	}
	return all[len(all)-1].value
}

// latest is the last value of a series and the count that came with it.
func (w *window) latest(device, name, count string) (value float64, n int, ok bool) {
	values, counts := w.series(device, name), w.series(device, count)
	if len(values) == 0 || len(counts) == 0 {
		return 0, 0, false
	}
	return values[len(values)-1].value, int(counts[len(counts)-1].value), true
}

// energy of all GPUs over the phase in joules.
func (w *window) energy() (float64, int, bool) {
	sum, n := 0.0, 0
	for _, device := range w.gpus() {
		joules, samples, ok := w.increase(device, lab.GPUEnergy)
		if !ok {
			return 0, 0, false
		}
		sum += joules
		n += samples
	}
	return sum, n, n > 0
}

// inside are the values of a series within the phase.
func (w *window) inside(device, name string) []float64 {
	var values []float64
	for _, p := range w.series(device, name) {
		if p.at >= w.start && p.at <= w.end {
			values = append(values, p.value)
		}
	}
	return values
}

// sampled computes the metrics that rest on samples.
func (w *window) sampled(name string, length float64) (value float64, n int, ok bool) {
	rate := func(device, counter string) (float64, int, bool) {
		v, n, ok := w.increase(device, counter)
		return v / length, n, ok && length > 0
	}
	switch name {
	case "gpu_util.mean":
		var values []float64
		for _, device := range w.gpus() {
			values = append(values, w.inside(device, lab.GPUUtil)...)
		}
		if len(values) == 0 {
			return 0, 0, false
		}
		return mean(values), len(values), true
	case "gpu_mem.max":
		for _, device := range w.gpus() {
			values := w.inside(device, lab.GPUMemUsed)
			if len(values) == 0 {
				return 0, 0, false
			}
			value += slices.Max(values)
			n += len(values)
		}
		return value, n, n > 0
	case "sampler_cpu":
		return rate("sampler", lab.SamplerCPU)
	case "sampler_late.p99":
		return w.latest("sampler", "fast_"+lab.SamplerLateP99, "fast_"+lab.SamplerReads)
	case "kv_usage.max":
		values := w.inside("engine", lab.EngineKVUsage)
		if len(values) == 0 {
			return 0, 0, false
		}
		return slices.Max(values), len(values), true
	case "prefix_hit_share":
		hits, n, ok := w.increase("engine", lab.EngineHits)
		queries, _, asked := w.increase("engine", lab.EngineQueries)
		if !ok || !asked || queries <= 0 {
			return 0, 0, false
		}
		return hits / queries, n, true
	case "preemptions":
		return w.increase("engine", lab.EnginePreempt)
	case "server_cpu":
		return rate("server", lab.ProcCPU)
	case "client_cpu":
		return rate("client", lab.ClientCPU)
	}
	return 0, 0, false
}
