package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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
	if len(v.Warnings) != 0 {
		t.Errorf("warnings of the same machine: %+v", v.Warnings)
	}
	moved := slices.Clone(now)
	for i := range moved {
		moved[i].Run.Host.Driver = "590.1"
	}
	stored[0].Run.Host.Driver = "580.95"
	if w := Against("before", stored, moved).Warnings; len(w) != 1 || w[0].Code != "fingerprint" || !strings.Contains(w[0].Detail, "driver 580.95 in run a (A), 590.1 in run") {
		t.Errorf("another driver since: %+v", w)
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

func TestAHistoryGroupsWhatWasMeasuredTogetherAndNamesWhatChanged(t *testing.T) {
	var runs []lab.Sealed
	add := func(id, driver, version string, value float64, part func(*lab.Run)) {
		r := lab.Run{ID: id, Host: lab.Host{Driver: driver}, Experiment: lab.Experiment{Primary: "tpot.mean", Phases: []lab.Phase{{Name: "load", Judged: true}}}}
		r.Server.Version = version
		r.Epoch.Wall = time.Unix(int64(len(runs))*3600, 0)
		part(&r)
		runs = append(runs, lab.Sealed{Run: r, Summary: lab.Summary{Figures: []lab.Figure{{Phase: "load", Metric: "tpot.mean", Unit: "s", Value: value}}}})
	}
	capture := func(r *lab.Run) { r.Baseline = &lab.Capture{Name: "before", ID: "c1"} }
	check := func(r *lab.Run) { r.Plan, r.Arm = &lab.Plan{ID: "p1", Baseline: "before"}, "A" }
	add("r1", "580", "0.31", .010, capture)
	add("r2", "580", "0.31", .011, capture)
	add("r3", "581", "0.32", .012, check)
	add("r4", "580", "0.32", .012, check)
	add("r5", "580", "0.32", .013, func(*lab.Run) {})
	h := HistoryOf(runs[0].Run.Experiment, runs)
	if len(h.Groups) != 3 {
		t.Fatalf("groups: %+v", h.Groups)
	}
	for i, want := range []Group{{Kind: "capture", ID: "c1", N: 2}, {Kind: "check", ID: "p1", N: 2}, {Kind: "run", ID: "r5", N: 1}} {
		if g := h.Groups[i]; g.Kind != want.Kind || g.ID != want.ID || g.N != want.N || (g.Low != nil) != (g.N > 1) {
			t.Errorf("group %d: %+v, want %+v", i, g, want)
		}
	}
	// Two values, their t of one degree of freedom: exp(mean ± 12.706 * sd / sqrt 2) of the logarithms.
	l, r := math.Log(.010), math.Log(.011)
	mean, half := (l+r)/2, 12.7062047*(r-l)/2
	if g := h.Groups[0]; math.Abs(g.Mean-math.Exp(mean)) > 1e-9 || math.Abs(*g.Low-math.Exp(mean-half)) > 1e-6 || math.Abs(*g.High-math.Exp(mean+half)) > 1e-6 {
		t.Errorf("interval: %g [%g, %g]", g.Mean, *g.Low, *g.High)
	}
	var facts []string
	for _, d := range h.Drifts {
		facts = append(facts, d.Fact+" "+d.Was+" to "+d.Is+" in "+d.To)
	}
	if got, want := strings.Join(facts, "; "), "driver 580 to 581 in r3; vllm version 0.31 to 0.32 in r3; driver 581 to 580 in r4"; got != want {
		t.Errorf("changed: %s, want %s", got, want)
	}
}
