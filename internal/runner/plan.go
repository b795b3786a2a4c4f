package runner

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/metric"
)

// Ask is what a user may say about an A/B beyond its two files.
type Ask struct {
	Plan    string        // "quick", "standard" or "strict"
	Pairs   int           // a fixed number of pairs instead; 0: as the plan says
	Seed    uint64        // of the coin for the first arm; 0: drawn
	MaxTime time.Duration // 0: no bound
	Margin  float64       // relative; 0: as the files say

	Baseline   string // A is the configuration of this baseline
	Calibrates bool   // both arms are the same on purpose
}

// design is a named plan: the counts of pairs at which it is judged, and the two-sided error level of each look, so that
// all looks together err in 5 % of cases (docs/statistics.md says where the levels come from).
type design struct {
	looks  []int
	alpha  float64
	strict bool
}

// alpha is the two-sided error level of a plan that is judged once.
const alpha = 0.05

func designs() map[string]design {
	return map[string]design{
		"quick":    {looks: []int{3}, alpha: alpha},
		"standard": {looks: []int{4, 6, 8}, alpha: 0.0224},
		"strict":   {looks: []int{4, 6, 8, 10}, alpha: 0.0178, strict: true},
	}
}

// design is the one that is asked for, and its name.
func (a Ask) design() (string, design, error) {
	d, known := designs()[a.Plan]
	if !known {
		return "", d, &AskError{fmt.Sprintf("no plan called %q: quick (3 pairs), standard (judged at 4, 6 and 8 pairs) or strict (at 4, 6, 8 and 10)", a.Plan)}
	}
	if a.Pairs == 0 {
		return a.Plan, d, nil
	}
	if a.Pairs < 2 {
		return "", d, &AskError{"an A/B needs at least 2 pairs of runs: one pair shows no noise, so nothing can be told from it"}
	}
	return fmt.Sprintf("%d pairs", a.Pairs), design{looks: []int{a.Pairs}, alpha: alpha, strict: d.strict}, nil
}

// AskError is a request that cannot be carried out as it was put.
type AskError struct{ Problem string }

func (e *AskError) Error() string { return e.Problem }

// NewPlan fixes how an A/B will be run before its first run: metric, margin, guardrails, phase, looks, order, seed.
func NewPlan(a, b lab.Experiment, ask Ask) (lab.Plan, error) {
	name, d, err := ask.design()
	if err != nil {
		return lab.Plan{}, err
	}
	if a.Attached() != b.Attached() {
		return lab.Plan{}, &AskError{"one experiment starts a server and the other uses one that already runs: both must do the same"}
	}
	seed := ask.Seed
	if seed == 0 {
		seed = 1 + rand.Uint64N(999_999) // it is of one coin; people may say it again
	}
	if ask.Margin > 0 {
		a.Margin, b.Margin = ask.Margin, ask.Margin
	}
	phase, err := decidingPhase(a, b)
	if err != nil {
		return lab.Plan{}, err
	}
	primary := a.Primary
	if primary == "" {
		primary = metric.Default(phase.Load)
	}
	now := time.Now()
	a.Profile, b.Profile = nil, nil // the profiled runs are beside the plan
	p := lab.Plan{
		ID: lab.NewID(now), Made: now.UTC().Round(0), Name: name, Pairs: d.looks[len(d.looks)-1], Looks: d.looks, Seed: seed,
		Phase: phase.Name, Primary: primary, Margin: a.Margin, Alpha: d.alpha, Strict: d.strict, Fresh: !a.Attached(), A: a, B: b, Baseline: ask.Baseline, Calibrates: ask.Calibrates,
	}
	p.Order, p.Guardrails = compare.Order(p.Pairs, seed), guardrails(p)
	return p, nil
}

// guardrails are what must not become worse: those that the file of A names, else the tail of TTFT where arrivals have a
// schedule, goodput where there are limits, errors, and what decides in the other judged phases.
func guardrails(p lab.Plan) []lab.Guardrail {
	var all []lab.Guardrail
	for _, phase := range shared(p.A, p.B) {
		names := p.A.Guardrails
		if names == nil {
			names = usual(p, phase)
		}
		for _, name := range names {
			g := lab.Guardrail{Phase: metric.In(phase.Name, name), Metric: name, Margin: p.Margin}
			if decides := name == p.Primary && g.Phase == metric.In(p.Phase, name); !decides && !slices.Contains(all, g) {
				all = append(all, g)
			}
		}
	}
	return all
}

func usual(p lab.Plan, phase lab.Phase) []string {
	var names []string
	if phase.Name != p.Phase {
		names = append(names, metric.Default(phase.Load))
	}
	if phase.Load.Open() {
		names = append(names, "ttft.p95")
	}
	if len(p.A.SLO) > 0 {
		names = append(names, "goodput")
	}
	return append(names, "error_share")
}

// decidingPhase is the first judged phase of A that B has too. The arms may differ in load, but what is compared must
// exist in both.
func decidingPhase(a, b lab.Experiment) (lab.Phase, error) {
	if a.Primary != b.Primary {
		usual := "what is usual for its load"
		return lab.Phase{}, &AskError{fmt.Sprintf("A decides by %s and B by %s: both files must name the same primary", cmp.Or(a.Primary, usual), cmp.Or(b.Primary, usual))}
	}
	if a.Margin != b.Margin {
		return lab.Phase{}, &AskError{fmt.Sprintf("A has a margin of %g %% and B of %g %%: both files must name the same", a.Margin*100, b.Margin*100)}
	}
	both := shared(a, b)
	if len(both) == 0 {
		return lab.Phase{}, &AskError{"the two experiments have no judged phase of the same name: nothing can be compared"}
	}
	p := both[0]
	q := b.Phases[slices.IndexFunc(b.Phases, func(q lab.Phase) bool { return q.Name == p.Name })]
	if p.Load.Open() != q.Load.Open() && a.Primary == "" {
		return lab.Phase{}, &AskError{fmt.Sprintf("phase %s is an open loop in one arm and a closed loop in the other: say which metric decides (primary:)", p.Name)}
	}
	return p, nil
}

// shared are the judged phases of A that B has too.
func shared(a, b lab.Experiment) []lab.Phase {
	var both []lab.Phase
	for _, p := range a.Phases {
		if p.Judged && slices.ContainsFunc(b.Phases, func(q lab.Phase) bool { return q.Judged && q.Name == p.Name }) {
			both = append(both, p)
		}
	}
	return both
}
