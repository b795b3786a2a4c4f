package lab

import (
	"math/bits"
	"time"
)

// Histogram counts durations by size, 32 classes to an octave, from a microsecond to more than an hour: what it says is
// at most 1.6 % off. It is of a fixed size, and the difference of two readings of one that only grows is what came between
// them. For what is shown while it happens, never for a figure: those are computed from the records.
type Histogram [HistogramClasses]uint64

const (
	histogramBits = 5 // classes of an octave: 2^5
	histogramSpan = 32

	// HistogramClasses is how many classes there are.
	HistogramClasses = (histogramSpan - histogramBits + 1) << histogramBits
)

// HistogramClass is the class that a duration is counted in.
func HistogramClass(d time.Duration) int {
	us := uint64(max(d, 0)) / 1000
	if us < 1<<histogramBits {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - histogramBits
	return min(shift<<histogramBits+int(us>>shift), HistogramClasses-1)
}

// histogramMiddle is the duration that stands for a class.
func histogramMiddle(class int) time.Duration {
	if class < 1<<histogramBits {
		return time.Duration(class)*time.Microsecond + time.Microsecond/2
	}
	shift := class>>histogramBits - 1
	low := uint64(class-shift<<histogramBits) << shift
	return time.Duration(low)*time.Microsecond + time.Microsecond<<shift/2
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) { h[HistogramClass(d)]++ }

// Since is what was counted since an earlier reading of the same histogram.
func (h *Histogram) Since(earlier *Histogram) Histogram {
	gained := *h
	for i, n := range earlier {
		gained[i] -= n
	}
	return gained
}

// Spread is how durations lie, from a Histogram; of N 0 nothing is known.
type Spread struct {
	N                  int
	P50, P90, P99, Max time.Duration
}

// Spread reads the histogram off: each quantile q at rank q*(n-1).
func (h *Histogram) Spread() Spread {
	var s Spread
	for _, n := range h {
		s.N += int(n)
	}
	if s.N == 0 {
		return s
	}
	ranks := [...]struct {
		q    float64
		into *time.Duration
	}{{0.5, &s.P50}, {0.9, &s.P90}, {0.99, &s.P99}, {1, &s.Max}}
	below, next := 0, 0
	for i, n := range h {
		below += int(n)
		for n > 0 && next < len(ranks) && float64(below) > ranks[next].q*float64(s.N-1) {
			*ranks[next].into = histogramMiddle(i)
			next++
		}
	}
	return s
}
