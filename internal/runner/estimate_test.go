package runner

import (
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

// recorded makes measured runs of a plan, 90 s each, with values of what decides.
func recorded(t *testing.T, l *Lab, plan lab.Plan, values ...float64) {
	t.Helper()
	if err := l.DB.SavePlan(plan); err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		e, epoch := plan.A, lab.NewEpoch()
		if plan.Order[i] == 'B' {
			e = plan.B
		}
		run := lab.Run{ID: lab.NewID(epoch.Wall), Plan: &plan, Arm: plan.Order[i : i+1], Block: i/2 + 1, Slot: i, Experiment: e, Key: e.Key(), Epoch: epoch, Outcome: lab.Live}
		w, err := l.DB.Begin(run)
		if err != nil {
			t.Fatal(err)
		}
		run.Outcome, run.Ended = lab.Complete, 90*time.Second
		if err := w.Seal(run, lab.Summary{Phases: []lab.Tally{{Phase: "load", Judged: true}},
			Figures: []lab.Figure{{Phase: "load", Metric: plan.Primary, Value: v, Unit: "s", N: 100}}}); err != nil {
			t.Fatal(err)
		}
	}
}

func planned(t *testing.T, e lab.Experiment, ask Ask) lab.Plan {
	t.Helper()
	plan, err := NewPlan(e, e, ask)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

var noisy = []float64{.0100, .0101, .0102, .0100, .0101, .0099}

func TestAnEstimateRestsOnEarlierRunsWhateverTheirMarginAndMeasuredRate(t *testing.T) {
	l := sweepLab(t)
	share := experiment(func(e *lab.Experiment) { e.Phases[0].Load.Rate, e.Phases[0].Load.CapacityShare = 0, .7 })
	before := planned(t, share, Ask{Plan: "quick", Margin: .1})
	for _, e := range []*lab.Experiment{&before.A, &before.B} {
		e.Phases = []lab.Phase{e.Phases[0]}
		e.Phases[0].Load.Rate = 12.5
	}
	recorded(t, l, before, noisy...)
	for what, tc := range map[string]struct {
		ask   Ask
		noise string
	}{
		"the margin of the file": {Ask{Plan: "standard"}, "from the last A/B"},
		"another margin":         {Ask{Plan: "standard", Margin: .05}, "from the last A/B"},
	} {
		e, err := l.Estimate(planned(t, share, tc.ask))
		if err != nil || e.Run != 90*time.Second || !strings.Contains(e.Basis, "earlier runs") || !strings.Contains(e.CVBasis, tc.noise) {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
		// 8 pairs, two burn-ins, and one start to measure the capacity of the server that both arms use.
		if e.Starts != 19 || e.Extra != 3 || e.Total != 18*90*time.Second+assumedStart+probeTime {
			t.Errorf("%s: %d starts, %d of them not measured, %s", what, e.Starts, e.Extra, e.Total)
		}
	}
	// A second A/B of the same files: the noise is that of both. One of two pairs alone is too rough.
	one, err := l.Estimate(planned(t, share, Ask{Plan: "standard"}))
	if err != nil {
		t.Fatal(err)
	}
	second := planned(t, share, Ask{Plan: "quick"})
	recorded(t, l, second, .0100, .0106, .0104, .0097, .0103, .0099)
	both, err := l.Estimate(planned(t, share, Ask{Plan: "standard"}))
	if err != nil || both.CV <= one.CV || !strings.Contains(both.CVBasis, "the last 2 A/Bs") {
		t.Errorf("of two A/Bs: %+v, of one %g, %v", both, one.CV, err)
	}
	rough := sweepLab(t)
	pairs := planned(t, experiment(nil), Ask{Plan: "quick", Pairs: 2})
	recorded(t, rough, pairs, noisy[:4]...)
	if e, err := rough.Estimate(pairs); err != nil || !strings.Contains(e.CVBasis, "assumed") {
		t.Errorf("of two pairs: %+v, %v", e, err)
	}
	other := share
	other.Primary = "ttft.p50" // whose noise is another
	e, err := l.Estimate(planned(t, other, Ask{Plan: "standard"}))
	if err != nil || e.Run != 90*time.Second || !strings.Contains(e.CVBasis, "assumed") {
		t.Errorf("another metric: %+v, %v", e, err)
	}
}

func TestTheEstimateOfAHalfMadePlanIsOfWhatIsLeft(t *testing.T) {
	for _, tc := range []struct {
		values              []float64
		made, starts, extra int
	}{
		{nil, 0, 10, 2},
		{noisy[:1], 0, 10, 2}, // a broken pair is made again
		{noisy[:4], 2, 6, 2},
		{append([]float64{.0100, .0101}, noisy...), 4, 0, 0},
	} {
		l := sweepLab(t)
		plan := planned(t, experiment(nil), Ask{Plan: "standard", Pairs: 4, Seed: 1})
		recorded(t, l, plan, tc.values...)
		e, err := l.Estimate(plan)
		if err != nil || e.Made != tc.made || e.Starts != tc.starts || e.Extra != tc.extra || e.Total != time.Duration(e.Starts)*e.Run {
			t.Errorf("%d runs are made: %+v, %v", len(tc.values), e, err)
		}
	}
}

func TestATimeLimitDoesNotEndAPlanThatHasNoAnswerYet(t *testing.T) {
	for _, tc := range []struct {
		made  int // runs
		limit time.Duration
		fits  bool
	}{{0, time.Second, false}, {1, 8 * time.Minute, false}, {2, 6 * time.Minute, true}, {2, 5 * time.Minute, false}, {4, time.Second, true}, {8, time.Second, true}} {
		l := sweepLab(t)
		plan := planned(t, experiment(nil), Ask{Plan: "standard", Pairs: 4, Seed: 1})
		recorded(t, l, plan, append([]float64{.0100, .0101}, noisy...)[:tc.made]...)
		if err := l.Enough(plan, tc.limit); (err == nil) != tc.fits {
			t.Errorf("%d runs and %s: %v", tc.made, tc.limit, err)
		}
	}
}
