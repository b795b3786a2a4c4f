package runner

import (
	"fmt"
	"math/rand/v2"
	"time"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/metric"
	"lab/store"
)

// Ask is what a user may say about an A/B beyond its two files.
type Ask struct {
	Plan    string        // "quick" or "standard"
	Pairs   int           // 0: as the plan says
	Seed    uint64        // of the coin for the first arm; 0: drawn
	MaxTime time.Duration // 0: no bound
}

// The named plans: how many pairs of runs, see docs/statistics.md.
var planPairs = map[string]int{"quick": 3, "standard": 4}

// alpha is the two-sided error level of a verdict; the intervals shown are at 1 - alpha.
const alpha = 0.05

// AskError is a request that cannot be carried out as it was put.
type AskError struct{ Problem string }

func (e *AskError) Error() string { return e.Problem }

// NewPlan fixes how an A/B will be run before its first run: metric, margin, phase, number of pairs, order, seed.
func NewPlan(a, b lab.Experiment, ask Ask) (lab.Plan, error) {
	pairs, known := planPairs[ask.Plan]
	if !known {
		return lab.Plan{}, &AskError{fmt.Sprintf("no plan called %q: quick (3 pairs) or standard (4 pairs)", ask.Plan)}
	}
	name := ask.Plan
	if ask.Pairs != 0 {
		pairs, name = ask.Pairs, fmt.Sprintf("%d pairs", ask.Pairs)
	}
	if pairs < 2 {
		return lab.Plan{}, &AskError{"an A/B needs at least 2 pairs of runs: one pair shows no noise, so nothing can be told from it"}
	}
	if a.Attached() != b.Attached() {
		return lab.Plan{}, &AskError{"one experiment starts a server and the other uses one that already runs: both must do the same"}
	}
	seed := ask.Seed
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
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
	return lab.Plan{
		ID: lab.NewID(now), Made: now.UTC().Round(0), Name: name, Pairs: pairs, Seed: seed,
		Order: compare.Order(pairs, seed), Phase: phase.Name, Primary: primary,
		Margin: a.Margin, Alpha: alpha, Fresh: !a.Attached(), A: a, B: b,
	}, nil
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
	for _, p := range a.Phases {
		for _, q := range b.Phases {
			if p.Name != q.Name || !p.Judged || !q.Judged {
				continue
			}
			if p.Load.Open() != q.Load.Open() && a.Primary == "" {
				return lab.Phase{}, &AskError{fmt.Sprintf("phase %s is an open loop in one arm and a closed loop in the other: say which metric decides (primary:)", p.Name)}
			}
			return p, nil
		}
	}
	return lab.Phase{}, &AskError{"the two experiments have no judged phase of the same name: nothing can be compared"}
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
	if cv, ok := l.noise(plan); ok {
		e.CV, e.CVBasis = cv, "from the last A/B of these files on this box"
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

// noise is the run CV of the last finished A/B of the same two experiments.
func (l *Lab) noise(plan lab.Plan) (float64, bool) {
	plans, err := l.DB.Plans()
	if err != nil {
		return 0, false // the estimate then says that it assumes
	}
	for i := len(plans) - 1; i >= 0; i-- {
		p := plans[i]
		if p.A.Key() != plan.A.Key() || p.B.Key() != plan.B.Key() {
			continue
		}
		runs, err := l.DB.PlanRuns(p.ID)
		if err != nil {
			continue
		}
		if cv := compare.Judge(p, runs).Primary.CV; cv != nil {
			return *cv, true
		}
	}
	return 0, false
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
	plan.Pairs, plan.Order = fit, compare.Order(fit, plan.Seed)
	return plan, nil
}
