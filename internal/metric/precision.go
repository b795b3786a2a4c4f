package metric

import (
	"cmp"
	"math"
	"slices"

	"lab/internal/lab"
)

// How precisely one run tells a figure. Requests that follow one another are alike, so n of them are worth fewer
// independent ones; how many is estimated from their autocorrelation.

// mostLags bounds the work on a long run that never settles; its correlation time is then at least what is found.
const mostLags = 2000

// z is the two-sided 95 % point of the normal distribution.
const z = 1.959964

// correlationTime is how many values in a row are worth one independent value, at least 1: one plus twice the sum of the
// autocorrelations up to the first below 0.05 (the initial positive sequence, cut there).
func correlationTime(x []float64) float64 {
	n := len(x)
	if n < 2 {
		return 1
	}
	m := mean(x)
	v := 0.0
	for _, xi := range x {
		v += (xi - m) * (xi - m)
	}
	v /= float64(n - 1)
	if v == 0 {
		return 1
	}
	sum := 0.0
	for k := 1; 3*k < n && k <= mostLags; k++ {
		rho := 0.0
		for i := range n - k {
			rho += (x[i] - m) * (x[i+k] - m)
		}
		rho /= float64(n) * v
		if rho < 0.05 {
			break
		}
		sum += rho
	}
	return 1 + 2*sum
}

// tailRanks are the ranks, from 1, of the order statistics that bound a quantile of n values with 95 % confidence, where
// tau values in a row are worth one. A high rank above n means that the upper bound cannot be told.
func tailRanks(n int, q, tau float64) (low, high int) {
	at := float64(n) * q
	w := z * math.Sqrt(float64(n)*q*(1-q)*tau)
	return max(1, int(math.Floor(at-w))), int(math.Ceil(at+w)) + 1
}

// quantilePrecision adds to the figure of a quantile what the values, in the order of their arrival, say about it.
func quantilePrecision(f *lab.Figure, arrived []float64, q float64) {
	beyond := make([]float64, len(arrived))
	for i, x := range arrived {
		if x > f.Value {
			beyond[i] = 1
		}
	}
	n, tau := len(arrived), correlationTime(beyond)
	f.NEff = float64(n) / tau
	sorted := slices.Sorted(slices.Values(arrived))
	low, high := tailRanks(n, q, tau)
	f.Low = &sorted[low-1]
	if high <= n {
		f.High = &sorted[high-1]
	}
}

// wilson is the 95 % interval of a share that n independent trials gave.
func wilson(share, n float64) (low, high float64) {
	scale := 1 + z*z/n
	centre := (share + z*z/(2*n)) / scale
	half := z * math.Sqrt(share*(1-share)/n+z*z/(4*n*n)) / scale
	return max(0, centre-half), min(1, centre+half)
}

// sharePrecision adds to the figure of a share what its successes and failures, in the order of arrival, say about it.
func sharePrecision(f *lab.Figure, passed []float64) {
	f.NEff = float64(len(passed)) / correlationTime(passed)
	low, high := wilson(f.Value, f.NEff)
	f.Low, f.High = &low, &high
}

// arrivals are the requests of the phase in the order in which they were to be sent.
func (w *window) arrivals() []lab.RequestRecord {
	return slices.SortedStableFunc(slices.Values(w.requests), func(a, b lab.RequestRecord) int {
		return cmp.Or(cmp.Compare(a.Intended, b.Intended), a.Seq-b.Seq)
	})
}
