package compare

import (
	"math"
	"math/rand/v2"
	"testing"

	"lab/internal/lab"
)

func TestRunsBesideStoredOnesAreHistoricalWhateverTheDifference(t *testing.T) {
	_, runs := experiment("ABBAABBA", example)
	for i := range runs {
		runs[i].Run.Experiment = lab.Experiment{Primary: "tpot.mean", Phases: []lab.Phase{{Name: "load", Judged: true}}}
	}
	stored, now := runs[:4], runs[4:]
	for i := range now {
		now[i].Summary.Figures[0].Value *= 1.5
	}
	v := Against("before", stored, now)
	if v.Call != lab.Historical || v.Primary.Metric != "tpot.mean" {
		t.Fatalf("call %s, primary %+v", v.Call, v.Primary)
	}
	rule := func(text string) Rule {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	got := HistoricalRules(v, []Rule{rule("tpot.mean > +10%"), rule("tpot.mean > +90%"), rule("ttft.mean > 1%")})
	for i, want := range []Outcome{Broken, Passed, Undecided} {
		if got[i].Outcome != want || got[i].Why == "" {
			t.Errorf("%+v, want %s", got[i], want)
		}
	}
}

func TestALastingChangeInTheHistoryIsFoundAndNoiseIsNot(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 42))
	series := func(n int, jump func(int) float64) []Point {
		points := make([]Point, n)
		for i := range points {
			points[i].Value = .010 * math.Exp(jump(i)+.012*random.NormFloat64())
		}
		return points
	}
	marked := func(points []Point) (at []int) {
		for i, p := range changes(points) {
			if p.Change != 0 {
				at = append(at, i)
			}
		}
		return at
	}
	alarms := 0
	for range 200 {
		alarms += len(marked(series(40, func(int) float64 { return 0 })))
	}
	if alarms > 2 {
		t.Errorf("%d changes found in 200 series without any", alarms)
	}
	missed := 0
	for range 100 {
		at := marked(series(40, func(i int) float64 {
			if i >= 25 {
				return .08
			}
			return 0
		}))
		if len(at) != 1 || at[0] < 24 || at[0] > 26 {
			missed++
		}
	}
	if missed > 5 {
		t.Errorf("a change of 8 %% after 25 runs was missed or misplaced in %d of 100 series", missed)
	}
	if changes([]Point{{Value: 0}, {Value: 1}})[1].Change != 0 || len(changes(nil)) != 0 {
		t.Error("figures that are not above zero have no history")
	}
}
