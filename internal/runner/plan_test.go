package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
	"lab/store"
)

func experiment(change func(*lab.Experiment)) lab.Experiment {
	e := lab.Experiment{
		Server: lab.Server{Model: "m"}, Margin: .03,
		Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Rate: 4, Requests: 240}}},
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestWhatCannotBeComparedIsRefusedBeforeAnythingStarts(t *testing.T) {
	for want, change := range map[string]func(*lab.Experiment){
		"same primary":          func(e *lab.Experiment) { e.Primary = "ttft.mean" },
		"must name the same":    func(e *lab.Experiment) { e.Margin = .05 },
		"both must do the same": func(e *lab.Experiment) { e.Server = lab.Server{BaseURL: "http://127.0.0.1:1"} },
		"no judged phase":       func(e *lab.Experiment) { e.Phases[0].Name = "other" },
		"say which metric":      func(e *lab.Experiment) { e.Phases[0].Load = lab.Load{Concurrency: 4, Requests: 9} },
	} {
		_, err := NewPlan(experiment(nil), experiment(change), Ask{Plan: "quick"})
		var ask *AskError
		if !errors.As(err, &ask) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}

func TestAPlanSaysEverythingBeforeItsFirstRun(t *testing.T) {
	faster := experiment(func(e *lab.Experiment) { e.Phases[0].Load.Rate = 8 }) // arms may differ in load only
	plan, err := NewPlan(experiment(nil), faster, Ask{Plan: "standard", Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	again, _ := NewPlan(experiment(nil), faster, Ask{Plan: "standard", Seed: 7})
	if !slices.Equal(plan.Looks, []int{4, 6, 8}) || plan.Pairs != 8 || plan.Alpha != .0224 || len(plan.Order) != 16 || plan.Order != again.Order || plan.Primary != "tpot.mean" || plan.Phase != "load" || !plan.Fresh || plan.Margin != .03 || plan.Hash() != again.Hash() {
		t.Errorf("plan %+v", plan)
	}
}

func TestGuardrailsAreThoseOfTheFileOrTheUsualOnesOrNone(t *testing.T) {
	twoPhases := func(names []string) []string {
		e := experiment(func(e *lab.Experiment) {
			e.Guardrails = names
			e.Phases = append(e.Phases, lab.Phase{Name: "full", Judged: true, Load: lab.Load{Concurrency: 4, Requests: 9}})
		})
		plan, err := NewPlan(e, e, Ask{Plan: "quick"})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, g := range plan.Guardrails {
			all = append(all, g.Metric+"@"+g.Phase)
		}
		return all
	}
	for _, tc := range []struct{ file, want []string }{
		{nil, []string{"ttft.p95@load", "error_share@load", "output_throughput@full", "error_share@full"}},
		{[]string{}, nil},
		{[]string{"startup", "tpot.mean"}, []string{"startup@", "tpot.mean@full"}}, // once a run; and not what decides
	} {
		if got := twoPhases(tc.file); !slices.Equal(got, tc.want) {
			t.Errorf("%v in the file: %v, want %v", tc.file, got, tc.want)
		}
	}
}

func TestATimeLimitLeavesOutPairsOrRefuses(t *testing.T) {
	db, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{DB: db}
	ask := Ask{Plan: "standard", Pairs: 8, Seed: 1, MaxTime: 31 * time.Minute}
	plan, err := NewPlan(experiment(nil), experiment(nil), ask)
	if err != nil {
		t.Fatal(err)
	}
	// A run is taken for 2 min of start and 240 requests at 4/s: 3 min. Two burn-ins and n pairs: 6 + 6 n minutes.
	if plan, err = l.Bound(plan, ask); err != nil || plan.Pairs != 4 || !slices.Equal(plan.Looks, []int{4}) || len(plan.Order) != 8 {
		t.Errorf("%d pairs, order %s, %v; want 4", plan.Pairs, plan.Order, err)
	}
	ask.MaxTime = 10 * time.Minute
	if _, err := l.Bound(plan, ask); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("got %v", err)
	}
	ask = Ask{Plan: "standard", Seed: 1, MaxTime: 43 * time.Minute} // six pairs: the last look is left out
	if looked, _ := NewPlan(experiment(nil), experiment(nil), ask); true {
		if looked, err = l.Bound(looked, ask); err != nil || !slices.Equal(looked.Looks, []int{4, 6}) || looked.Alpha != .0224 {
			t.Errorf("looks %v, %v; want 4 and 6", looked.Looks, err)
		}
	}
	e, err := l.Estimate(plan)
	if err != nil || e.Starts != 10 || e.Run != 3*time.Minute || !strings.Contains(e.CVBasis, "assumed") {
		t.Errorf("estimate %+v, %v", e, err)
	}
}
