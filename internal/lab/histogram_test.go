package lab

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestAHistogramIsAtMostOnePointSixPercentOff(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(math.Exp(draw.NormFloat64()*2+10) * float64(time.Microsecond))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	s := h.Spread()
	if s.N != len(all) {
		t.Fatalf("n = %d, want %d", s.N, len(all))
	}
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))] }
	for name, pair := range map[string][2]time.Duration{
		"p50": {s.P50, at(0.5)}, "p90": {s.P90, at(0.9)}, "p99": {s.P99, at(0.99)}, "max": {s.Max, all[len(all)-1]},
	} {
		if off := math.Abs(float64(pair[0])/float64(pair[1]) - 1); off > 0.017 {
			t.Errorf("%s is %s, want %s: %.1f %% off", name, pair[0], pair[1], off*100)
		}
	}
}

func TestEveryDurationHasItsClass(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, 999, time.Microsecond, 31 * time.Microsecond, 32 * time.Microsecond, 33 * time.Microsecond, 64 * time.Microsecond, time.Second, time.Hour, 1 << 62} {
		class := HistogramClass(d)
		if class < 0 || class >= HistogramClasses {
			t.Fatalf("%s: class %d of %d", d, class, HistogramClasses)
		}
		if middle := histogramMiddle(class); d > 10*time.Microsecond && d < 70*time.Minute && math.Abs(float64(middle)/float64(d)-1) > 0.04 {
			t.Errorf("%s is counted as %s", d, middle)
		}
	}
	for i := 1; i < HistogramClasses; i++ {
		if histogramMiddle(i) <= histogramMiddle(i-1) {
			t.Fatalf("class %d is %s, the one before %s", i, histogramMiddle(i), histogramMiddle(i-1))
		}
		if got := HistogramClass(histogramMiddle(i)); got != i {
			t.Fatalf("the middle of class %d, %s, is in class %d", i, histogramMiddle(i), got)
		}
	}
}

func TestTheDifferenceOfTwoReadingsIsWhatCameBetween(t *testing.T) {
	var h Histogram
	h.Add(time.Second)
	earlier := h
	h.Add(time.Millisecond)
	got := h.Since(&earlier)
	if s := got.Spread(); s.N != 1 || s.Max > 2*time.Millisecond {
		t.Errorf("got %+v", s)
	}
	var empty Histogram
	if s := empty.Spread(); s != (Spread{}) {
		t.Errorf("of nothing: %+v", s)
	}
}
