package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
)

// guardedIn says where a guardrail is watched; what is measured once a run needs no word.
func guardedIn(phase string) string {
	if phase == metric.WholeRun {
		return ""
	}
	return " in phase " + phase
}

// Estimate is what is left of a plan, and what it can show.
type Estimate struct {
	Made    int           // pairs that are made
	Starts  int           // server starts, those that are not measured included
	Extra   int           // of Starts, not measured
	Run     time.Duration // one run
	Total   time.Duration
	Basis   string // what the times rest on
	CV      float64
	CVBasis string
	MDE     float64
}

// PlanText prints what an A/B would do.
func PlanText(w io.Writer, plan lab.Plan, e Estimate, o Options) error {
	p := &printer{w: w, o: o}
	p.arms(plan, lab.Diff(plan.A, plan.B))
	p.line("")
	say := func(name, text string) { p.paragraph(fmt.Sprintf("%-15s", name), text) }
	say("plan", fmt.Sprintf("%s: %s (coin seed %d), hash %s", plan.Name, Planned(plan), plan.Seed, plan.Hash()))
	say("decided by", fmt.Sprintf("%s in phase %s, margin %s", title(plan.Primary), plan.Phase, margin(plan)))
	if len(plan.Guardrails) > 0 {
		var names []string
		for _, g := range plan.Guardrails {
			names = append(names, title(g.Metric)+guardedIn(g.Phase))
		}
		say("guardrails", strings.Join(names, ", "))
	}
	for i, text := range loads(plan) {
		say([]string{"load", ""}[min(i, 1)], text)
	}
	if e.Made > 0 {
		say("made", fmt.Sprintf("%d of at most %d pairs; starts and time are of what is left", e.Made, plan.Pairs))
	}
	if e.Total == 0 {
		say("left", fmt.Sprintf("nothing: the plan is at its end. lab compare %s gives its verdict", plan.ID))
	} else {
		say("server starts", starts(plan, e))
		say("time", fmt.Sprintf("about %s, %s a run (%s)", length(e.Total), length(e.Run), e.Basis))
	}
	r := deciding(plan)
	say("can see", fmt.Sprintf("differences of %s and more, in 80 %% of cases, at noise of %s from run to run (%s)", size(e.MDE, r), size(e.CV, r), e.CVBasis))
	return p.err
}

// loads says what each phase sends, and of each arm where they differ.
func loads(plan lab.Plan) []string {
	var all []string
	for _, p := range plan.A.Phases {
		a, b := p.Load, load(plan.B, p.Name)
		one, other := point(a)+"; "+work(a), point(b)+"; "+work(b)
		if one != other {
			all = append(all, fmt.Sprintf("phase %s of A: %s", p.Name, one), fmt.Sprintf("phase %s of B: %s", p.Name, other))
			continue
		}
		if len(plan.A.Phases) > 1 {
			one = "phase " + p.Name + ": " + one
		}
		all = append(all, one)
	}
	return all
}

func starts(plan lab.Plan, e Estimate) string {
	switch {
	case !plan.Fresh:
		return "none: the server already runs, so the call will be historical"
	case e.Extra == 0:
		return fmt.Sprint(e.Starts)
	}
	return fmt.Sprintf("%d, %d of them not measured", e.Starts, e.Extra)
}

// deciding is the row of the metric that decides, without figures yet.
func deciding(plan lab.Plan) lab.Row {
	m, _ := metric.Find(plan.Primary)
	return lab.Row{Unit: m.Unit, Absolute: m.Share}
}
