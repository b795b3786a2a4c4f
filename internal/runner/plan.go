package runner

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"lab/gpu"
	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/metric"
	"lab/store"
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
		seed = rand.Uint64()>>1 | 1
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
		return lab.Phase{}, &AskError{fmt.Sprintf("A decides by %q and B by %q: both files must name the same primary", a.Primary, b.Primary)}
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

// Estimate says what an A/B will cost and what it can show, before it starts.
type Estimate struct {
	Starts  int           // server starts, burn-in included
	Run     time.Duration // one run, start and stop included
	Total   time.Duration
	Basis   string  // what the time rests on
	CV      float64 // run-to-run noise of the primary metric
	CVBasis string
	MDE     float64 // relative difference seen with 80 % power
}

// Assumed where this box has no history of the experiment.
const (
	assumedStart = 2 * time.Minute
	assumedLoad  = 2 * time.Minute
	assumedCV    = 0.012 // docs/statistics.md, from published run-to-run noise of vLLM at batch sizes of 8 and more
)

// Estimate looks at what this box did with the same experiments before.
func (l *Lab) Estimate(plan lab.Plan) (Estimate, error) {
	e := Estimate{Starts: len(plan.Order) + burnIns(plan), CV: assumedCV, CVBasis: "assumed: no earlier A/B of these files on this box"}
	if !plan.Fresh {
		e.Starts = 0
	}
	entries, err := l.DB.List()
	if err != nil {
		return e, fmt.Errorf("read history: %w", err)
	}
	var known bool
	if e.Run, known = meanTime(entries, plan.A.Key(), plan.B.Key()); known {
		e.Basis = "from earlier runs of these files"
	} else {
		timeA, basis := assumeTime(plan.A)
		timeB, _ := assumeTime(plan.B)
		e.Run, e.Basis = (timeA+timeB)/2, basis
	}
	e.Total = e.Run * time.Duration(len(plan.Order)+burnIns(plan))
	if cv, basis, ok := l.noise(plan); ok {
		e.CV, e.CVBasis = cv, basis
	}
	e.MDE = compare.MDE(e.CV, plan.Pairs, plan.Alpha)
	return e, nil
}

// burnIns are the unmeasured starts before the first pair.
func burnIns(plan lab.Plan) int {
	if plan.Fresh {
		return 2
	}
	return 0
}

func meanTime(entries []store.Entry, keys ...string) (time.Duration, bool) {
	var sum time.Duration
	var n int
	for _, entry := range entries {
		if entry.Outcome == lab.Complete && entry.Block > 0 && (entry.Key == keys[0] || entry.Key == keys[1]) {
			sum += entry.Took
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / time.Duration(n), true
}

// assumeStart is the time until a server of the experiment is ready.
func assumeStart(e lab.Experiment) (time.Duration, string) {
	switch {
	case e.Attached():
		return 0, "from the file"
	case e.Server.Simulator != nil:
		return time.Second, "assumed: 1 s a start of the simulator"
	}
	return assumedStart, "assumed: 2 min a start"
}

// assumeTime adds up what the file itself says.
func assumeTime(e lab.Experiment) (time.Duration, string) {
	run, basis := assumeStart(e)
	load := assumedLoad
	if e.Server.Simulator != nil {
		load = 4 * time.Second
	}
	for _, p := range e.Phases {
		switch l := p.Load; {
		case l.Duration > 0:
			run += time.Duration(l.Duration)
		case l.Rate > 0 && l.Rate < 1e9:
			run += time.Duration(float64(l.Requests) / float64(l.Rate) * float64(time.Second))
		default:
			run, basis = run+load, fmt.Sprintf("%s, %s a phase that is bounded by requests", basis, load)
		}
	}
	return run, basis
}

// noise is the run CV of the last finished A/B of the same two experiments, or else of the last calibration of this box
// with the same model.
func (l *Lab) noise(plan lab.Plan) (cv float64, basis string, ok bool) {
	plans, err := l.DB.Plans()
	if err != nil {
		return 0, "", false // the estimate then says that it assumes
	}
	for _, p := range slices.Backward(plans) {
		if p.A.Key() != plan.A.Key() || p.B.Key() != plan.B.Key() {
			continue
		}
		runs, err := l.DB.PlanRuns(p.ID)
		if err != nil {
			continue
		}
		if cv := compare.Judge(p, runs).Primary.CV; cv != nil {
			return *cv, "from the last A/B of these files on this box", true
		}
	}
	if c, found := Calibration(l.DB, plan); found {
		for _, n := range c.Noise {
			if n.Phase == plan.Phase && n.Metric == plan.Primary {
				return n.CV, "from calibration " + c.Plan, true
			}
		}
	}
	return 0, "", false
}

// Calibration is the last one of this box with the model of a plan.
func Calibration(db *store.DB, plan lab.Plan) (compare.Calibration, bool) {
	plans, err := db.Plans()
	if err != nil {
		return compare.Calibration{}, false
	}
	for _, p := range slices.Backward(plans) {
		if !p.Calibrates || p.ID == plan.ID || p.A.Server.Model != plan.A.Server.Model {
			continue
		}
		runs, err := db.PlanRuns(p.ID)
		if err != nil || len(runs) == 0 || !here(runs[0].Run.Host) {
			continue
		}
		if c := compare.Calibrate(p, runs); len(c.Noise) > 0 { // else it was broken off
			return c, true
		}
	}
	return compare.Calibration{}, false
}

// here says whether a run was made on this box.
func here(was lab.Host) bool {
	host, err := gpu.Host()
	return err == nil && host.Name == was.Name && host.CPU == was.CPU
}

// Bound fits a plan into a time limit by leaving out pairs, before anything was measured; it refuses where not even
// two pairs fit.
func (l *Lab) Bound(plan lab.Plan, ask Ask) (lab.Plan, error) {
	if ask.MaxTime == 0 {
		return plan, nil
	}
	e, err := l.Estimate(plan)
	if err != nil {
		return plan, err
	}
	before := time.Duration(burnIns(plan)) * e.Run
	fit := int((ask.MaxTime - before) / (2 * e.Run))
	if fit >= plan.Pairs {
		return plan, nil
	}
	if fit < 2 {
		return plan, &AskError{fmt.Sprintf("--max-time %s is too short: two pairs need about %s (%s)",
			ask.MaxTime, (before + 4*e.Run).Round(time.Second), e.Basis)}
	}
	return shorten(plan, fit), nil
}

// shorten makes a plan of fewer pairs: the looks that fit, and one at its end. Fewer looks at the same level err less.
func shorten(plan lab.Plan, pairs int) lab.Plan {
	looks := slices.DeleteFunc(slices.Clone(plan.Looks), func(n int) bool { return n >= pairs })
	plan.Pairs, plan.Looks, plan.Order = pairs, append(looks, pairs), compare.Order(pairs, plan.Seed)
	if len(plan.Looks) == 1 {
		plan.Alpha = alpha
	}
	return plan
}
