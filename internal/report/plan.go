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

// Estimate is what a plan will cost and can show.
type Estimate struct {
	Starts  int           // server starts, the unmeasured ones included
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
	say("decided by", fmt.Sprintf("%s in phase %s, margin %g %%", title(plan.Primary), plan.Phase, plan.Margin*100))
	if len(plan.Guardrails) > 0 {
		var names []string
		for _, g := range plan.Guardrails {
			names = append(names, title(g.Metric)+guardedIn(g.Phase))
		}
		say("guardrails", strings.Join(names, ", "))
	}
	a := load(plan.A, plan.Phase)
	say("load", point(a)+"; "+work(a))
	starts := fmt.Sprintf("%d, two of them unmeasured", e.Starts)
	if !plan.Fresh {
		starts = "none: the server already runs, so the call will be historical"
	}
	say("server starts", starts)
	say("time", fmt.Sprintf("about %s, %s a run (%s)", length(e.Total), length(e.Run), e.Basis))
	say("can see", fmt.Sprintf("differences of %.2g %% and more, in 80 %% of cases, at %.2g %% noise from run to run (%s)", e.MDE*100, e.CV*100, e.CVBasis))
	return p.err
}
