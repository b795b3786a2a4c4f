package chart

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func labels(ticks []tick) []string {
	var all []string
	for _, t := range ticks {
		all = append(all, t.label)
	}
	return all
}

func TestTicksAreRoundNumbersInOneForm(t *testing.T) {
	for _, c := range []struct {
		s    scale
		want []string
	}{
		{scale{min: 0, max: 1600, to: 300}, []string{"0", "500", "1000", "1500"}},
		{scale{min: 0.11, max: 0.19, to: 300}, []string{"0.12", "0.14", "0.16", "0.18"}},
		{scale{min: -0.3, max: 0.3, to: 300}, []string{"-0.2", "0", "0.2"}},
		{scale{min: 0, max: 32000, to: 300}, []string{"0", "10k", "20k", "30k"}},
		{scale{min: 0, max: 2.2, to: 300, Axis: Axis{Whole: true}}, []string{"0", "1", "2"}},
		{scale{min: 0.9, max: 1100, to: 300, Axis: Axis{Log: true}}, []string{"1", "10", "100", "1000"}},
		{scale{min: 1.7, max: 1.8, to: 300, Axis: Axis{Log: true}}, []string{"1.700", "1.725", "1.750", "1.775", "1.800"}},
	} {
		if diff := cmp.Diff(c.want, labels(c.s.ticks(75))); diff != "" {
			t.Errorf("%v to %v (-want +got):\n%s", c.s.min, c.s.max, diff)
		}
	}
}

func TestTicksEndForAnyNumbers(t *testing.T) {
	for _, low := range []float64{-1e15, -1, 0, 1e-300, 1, 1e14} {
		for _, spread := range []float64{0, 1e-12, 1, 1e14} {
			for _, a := range []Axis{{}, {Log: true}, {Time: true}, {Whole: true}, {Zero: true}} {
				e := noExtent()
				e.add(a, low, low+spread)
				s := newScale(a, e)
				s.to = 400
				for _, tick := range s.ticks(50) {
					if at := s.at(tick.value); math.IsNaN(at) || at < -5 || at > 405 {
						t.Errorf("%v + %v on %+v: %q lies at %v", low, spread, a, tick.label, at)
					}
				}
			}
		}
	}
}

func TestAValueIsWrittenWithFourDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12.3456: "12.35", 1234.5: "1234", 15460: "15.46k", 0.0123456: "0.01235", -3: "-3", 2.5e7: "25M"} {
		if got := Format(v); got != want {
			t.Errorf("Format(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestAnECDFRisesFromZeroToOne(t *testing.T) {
	points := ECDF("x", 0, []float64{3, 1, 2, 2, math.NaN()}).Points
	if diff := cmp.Diff([]Point{{X: 1}, {X: 1, Y: 0.25}, {X: 2, Y: 0.75}, {X: 3, Y: 1}}, points); diff != "" {
		t.Error(diff)
	}
}

func TestTheFirstStylesDifferInColourMarkerAndDash(t *testing.T) {
	type look struct {
		colour string
		marker int
		dash   string
	}
	seen := map[look]Style{}
	for s := range Style(40) {
		l := look{s.paint().role, s.marker(), cmp.Diff(s.dash(), []float64(nil))}
		if other, twice := seen[l]; twice {
			t.Errorf("styles %d and %d look alike", other, s)
		}
		seen[l] = s
	}
}
