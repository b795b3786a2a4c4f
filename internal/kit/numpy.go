package kit

import (
	"math"
	"slices"
)

// The statistics below give the numbers that numpy gives, to the last bit. The order of its additions matters for that,
// and so does rounding after every step: the conversions to float64 keep a compiler from fusing a product with a sum.

// sum adds pairwise as numpy does: in blocks of up to 128 with eight running sums each, halves of larger ranges apart.
func sum(values []float64) float64 {
	const block, lanes = 128, 8
	n := len(values)
	if n > block {
		half := n / 2
		half -= half % lanes
		return sum(values[:half]) + sum(values[half:])
	}
	total, done := 0.0, 0
	if n >= lanes {
		var lane [lanes]float64
		for ; done+lanes <= n; done += lanes {
			for j := range lane {
				lane[j] += values[done+j]
			}
		}
		total = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]))
	}
	for _, v := range values[done:] {
		total += v
	}
	return total
}

// mean is numpy's; 0 of an empty list, as the kit has it.
func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return sum(values) / float64(len(values))
}

// deviation is the standard deviation of the population.
func deviation(values []float64) float64 {
	center := mean(values)
	squares := make([]float64, len(values))
	for i, v := range values {
		squares[i] = (v - center) * (v - center)
	}
	return math.Sqrt(mean(squares))
}

// median is the middle value, or the mean of the middle two.
func median(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// percentile interpolates linearly between the closest ranks, at rank p/100*(n-1).
func percentile(sorted []float64, p float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	rank := float64(n-1) * (p / 100)
	if !(rank > 0) {
		return sorted[0]
	}
	if rank >= float64(n-1) {
		return sorted[n-1]
	}
	low := math.Floor(rank)
	a, b, t := sorted[int(low)], sorted[int(low)+1], rank-low
	if t >= 0.5 { // from the nearer end, so that rank 1 gives exactly b
		return b - float64((b-a)*(1-t))
	}
	return a + float64((b-a)*t)
}

// Statistic is what the kit says of one quantity, in milliseconds.
type Statistic struct {
	Metric      string // as in Bench.Metrics
	N           int    // values it rests on; with 0 all others are 0
	Mean        float64
	Median      float64
	Std         float64   // of the population
	Percentiles []float64 // one for each of Bench.Percentiles
}

// statistic takes values in seconds.
func statistic(metric string, values, percentiles []float64) Statistic {
	const ms = 1000
	s := Statistic{Metric: metric, N: len(values), Mean: mean(values) * ms, Std: deviation(values) * ms}
	sorted := slices.Sorted(slices.Values(values))
	s.Median = median(sorted) * ms
	for _, p := range percentiles {
		s.Percentiles = append(s.Percentiles, percentile(sorted, p)*ms)
	}
	return s
}
