package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestARankingTellsApartWhatDiffersAndNotWhatIsNoise(t *testing.T) {
	runs := [][]float64{{100, 101, 99}, {}, {150, 151, 149}, {149.5, 150.5, 151.5}, {120}, {0, 1}}
	got := Rank(runs, true)
	if len(got) != 4 || got[0].Place != 3 || got[1].Place != 2 || got[2].Place != 4 || got[3].Place != 0 {
		t.Fatalf("order: %+v", got)
	}
	if got[1].Told || got[1].Low == nil || *got[1].Low > 0 || *got[1].High < 0 {
		t.Errorf("150 and 150.5, each ± 1, are told apart: %+v", got[1])
	}
	if !got[2].Told || math.Abs(got[2].Behind+.2027) > .001 {
		t.Errorf("120 and 150.5, whose neighbours vary by 1, are not told apart: %+v", got[2])
	}
	if !got[3].Told || *got[3].High > -.2 {
		t.Errorf("100 and 150, each ± 1, are not told apart: %+v", got[3])
	}
	for _, s := range Rank([][]float64{{100}, {150}}, true) {
		if s.Told || s.Low != nil {
			t.Errorf("single runs show no noise: %+v", s)
		}
	}
	if lower := Rank(runs, false); lower[0].Place != 0 {
		t.Errorf("the lowest is not first: %+v", lower)
	}
}

func TestEqualConfigurationsAreRarelyToldApart(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	const trials = 1000
	for name, deviation := range map[string]func(i int) float64{
		"alike in their noise":  func(int) float64 { return .02 },
		"every other one noisy": func(i int) float64 { return .01 + .09*float64(i%2) },
		"each noisier":          func(i int) float64 { return .005 * math.Pow(2, float64(i)) },
	} {
		wrong := 0
		for range trials {
			runs := make([][]float64, 8)
			for i := range runs {
				for range 3 {
					runs[i] = append(runs[i], 100*math.Exp(deviation(i)*random.NormFloat64()))
				}
			}
			if slices.ContainsFunc(Rank(runs, true), func(s Standing) bool { return s.Told }) {
				wrong++
			}
		}
		if wrong > trials*7/100 {
			t.Errorf("%s: in %d of %d sweeps of equal cells one was told apart from the first", name, wrong, trials)
		}
	}
}

func TestTheFrontIsWhatNothingBeats(t *testing.T) {
	nan := math.NaN()
	means := [][2]float64{{1, 10}, {2, 30}, {3, 20}, {4, 30}, {1, 10}, {nan, 99}, {5, 31}}
	want := []bool{true, true, false, false, true, false, true}
	for i, got := range Front(means, true) {
		if got != want[i] {
			t.Errorf("%v on the front: %t", means[i], got)
		}
	}
	if f := Front([][2]float64{{1, 10}, {2, 5}, {2, 12}}, false); !f[0] || !f[1] || f[2] {
		t.Errorf("both lower: %v", f)
	}
}
