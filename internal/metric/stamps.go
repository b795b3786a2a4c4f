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
