package lab

import "testing"

func TestAnExperimentsKeyIsOfWhatARunDoesAndNotOfHowItIsJudged(t *testing.T) {
	made := func(change func(*Experiment)) Experiment {
		e := Experiment{Server: Server{Model: "m"}, Phases: []Phase{
			{Name: "latency", Judged: true, Load: Load{CapacityShare: .7, Requests: 100}}, {Name: "full", Judged: true, Load: Load{Rate: 8, Requests: 100}}}}
		change(&e)
		return e
	}
	base := made(func(*Experiment) {})
	for what, tc := range map[string]struct {
		change      func(*Experiment)
		same, alike bool
	}{
		"its name":                {func(e *Experiment) { e.Name = "x" }, true, true},
		"the margin":              {func(e *Experiment) { e.Margin = .4 }, true, true},
		"the deciding metric":     {func(e *Experiment) { e.Primary = "ttft.p50" }, true, true},
		"no guardrails":           {func(e *Experiment) { e.Guardrails = []string{} }, true, true},
		"the rate that was found": {func(e *Experiment) { e.Phases[0].Load.Rate = 12.5 }, true, false},
		"the rate asked":          {func(e *Experiment) { e.Phases[1].Load.Rate = 9 }, false, false},
		"the share asked":         {func(e *Experiment) { e.Phases[0].Load.CapacityShare = .8 }, false, false},
		"the server":              {func(e *Experiment) { e.Server.Model = "other" }, false, false},
		"the limits of goodput":   {func(e *Experiment) { e.SLO = []SLO{{Metric: "ttft", Limit: 1}} }, false, false},
	} {
		other := made(tc.change)
		if got := other.Key() == base.Key(); got != tc.same {
			t.Errorf("another %s: the same key is %t, want %t", what, got, tc.same)
		}
		if got := other.Alike(base); got != tc.alike {
			t.Errorf("another %s: alike is %t, want %t", what, got, tc.alike)
		}
	}
	if e := made(func(e *Experiment) { e.Phases[0].Load.Rate = 12.5 }); e.Key() == "" || e.Phases[0].Load.Rate != 12.5 {
		t.Error("asking for the key changes the experiment")
	}
}
