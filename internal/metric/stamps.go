package metric

import (
	"slices"

	"lab/internal/lab"
)

// stamps adds up, over all requests, where the moments of their events come from; the client's lag is no matter of success.
func stamps(requests []lab.RequestRecord) lab.Stamps {
	var sum lab.Stamps
	for _, r := range requests {
		if s := r.Stamps; s != nil {
			sum.Kernel += s.Kernel
			sum.Reading += s.Reading
			sum.Shared += s.Shared
			sum.Lag.Merge(s.Lag)
		}
	}
	return sum
}

// stamped computes the metrics of the client's lag in reading, and of the stamps that show it.
func (w *window) stamped(name string) (value float64, n int, ok bool) {
	s := w.stamps
	all := s.Kernel + s.Reading
	switch name {
	case "read_lag.p50", "read_lag.p99":
		q := 0.50
		if name == "read_lag.p99" {
			q = 0.99
		}
		lag, ok := s.Lag.Quantile(q)
		return lag.Seconds(), s.Kernel, ok
	case "read_lag.max":
		return s.Lag.Max.Seconds(), s.Kernel, s.Kernel > 0
	case "kernel_stamps":
		return float64(s.Kernel) / float64(max(all, 1)), all, all > 0
	case "shared_stamps":
		return float64(s.Shared) / float64(max(s.Kernel, 1)), s.Kernel, s.Kernel > 0
	}
	return 0, 0, false
}

// clockSteps is how often the wall clock was set during the loads. Each load counts from 0.
func clockSteps(samples []lab.Sample) int {
	var counts []point
	for _, s := range samples {
		if v, ok := s.Values[lab.ClientSteps]; ok && s.Device == "client" {
			counts = append(counts, point{s.At, v})
		}
	}
	slices.SortFunc(counts, func(a, b point) int { return int(a.at - b.at) })
	steps, before := 0.0, 0.0
	for _, c := range counts {
		if c.value < before {
			before = 0
		}
		steps += c.value - before
		before = c.value
	}
	return int(steps)
}
