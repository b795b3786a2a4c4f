package runner

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"lab/gpu"
	"lab/internal/compare"
	"lab/internal/lab"
	"lab/store"
)

// Estimate says what an A/B will cost and what it can show, before it starts.
type Estimate struct {
	Made    int           // pairs that are made; the costs are of what is left
	Starts  int           // server starts, those that are not measured included
	Extra   int           // of Starts: burn-in, and what measures the capacity
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

// The noise of earlier A/Bs: of how many at most, and the degrees of freedom below which it is too rough a guess. An A/B of
// two pairs has one, and may well find a tenth of the noise that there is.
const (
	mostUsed      = 5
	fewestFreedom = 3
)

// Estimate says what is left of a plan, all of it before its first run, by what this box did with the same experiments
// before.
func (l *Lab) Estimate(plan lab.Plan) (Estimate, error) {
	e := Estimate{CV: assumedCV, CVBasis: "assumed: no earlier A/B of these files on this box"}
	runs, err := l.DB.PlanRuns(plan.ID)
	if err != nil {
		return e, fmt.Errorf("read plan: %w", err)
	}
	if e.Run, e.Basis, err = l.timeOf(plan.A, plan.B); err != nil {
		return e, err
	}
	left := 0
	if step, more := compare.Next(plan, runs); more {
		e.Made, left, e.Extra = step.Block-1, runsFrom(plan, step), burnIns(plan)
		e.Total = e.Run * time.Duration(left+e.Extra)
	} else {
		e.Made = compare.Judge(plan, runs).Look.Pairs
	}
	arms := adopt([]lab.Experiment{plan.A, plan.B})
	for _, i := range toProbe(arms) {
		start, _ := assumeStart(arms[i])
		e.Extra, e.Total = e.Extra+1, e.Total+start+probeTime
	}
	if e.Starts = left + e.Extra; !plan.Fresh {
		e.Starts, e.Extra = 0, 0
	}
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

// timeOf is how long a run of experiments takes, on a server of its own: by their earlier runs on this box, else by what
// the files say.
func (l *Lab) timeOf(experiments ...lab.Experiment) (run time.Duration, basis string, err error) {
	entries, err := l.DB.List()
	if err != nil {
		return 0, "", fmt.Errorf("read history: %w", err)
	}
	var sum, assumed time.Duration
	n, keys := 0, map[string]bool{}
	for _, e := range experiments {
		keys[e.Key()] = true
		one, why := assumeTime(e)
		assumed, basis = assumed+one, why
	}
	for _, e := range entries {
		measured := e.Outcome == lab.Complete && e.Sweep == nil && !e.Profiled && len(e.Headline) > 0
		if measured && keys[e.Key] {
			sum += e.Took
			n++
		}
	}
	if n > 0 {
		return sum / time.Duration(n), "from earlier runs of these files", nil
	}
	return assumed / time.Duration(len(experiments)), basis, nil
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
	load, bounded := assumedLoad, ""
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
			run += load
			bounded = fmt.Sprintf(", %s a phase that is bounded by requests", load)
		}
	}
	return run, basis + bounded
}

// noise is the run CV of the last A/Bs of the same two experiments, or else of the last calibration of this box with the
// same model.
func (l *Lab) noise(plan lab.Plan) (cv float64, basis string, ok bool) {
	plans, err := l.DB.Plans()
	if err != nil {
		return 0, "", false // the estimate then says that it assumes
	}
	var squares, freedom float64
	used := 0
	for _, p := range slices.Backward(plans) {
		if used == mostUsed || p.A.Key() != plan.A.Key() || p.B.Key() != plan.B.Key() || p.Phase != plan.Phase || p.Primary != plan.Primary {
			continue
		}
		runs, err := l.DB.PlanRuns(p.ID)
		if err != nil {
			continue
		}
		if row := compare.Judge(p, runs).Primary; row.CV != nil {
			df := float64(2*row.N - 3)
			squares, freedom, used = squares+df**row.CV**row.CV, freedom+df, used+1
		}
	}
	if freedom >= fewestFreedom {
		if used == 1 {
			return math.Sqrt(squares / freedom), "from the last A/B of these files on this box", true
		}
		return math.Sqrt(squares / freedom), fmt.Sprintf("from the last %d A/Bs of these files on this box", used), true
	}
	if c, found := Calibration(l.DB, plan); found {
		if n, known := c.Of(plan.Phase, plan.Primary); known {
			return n.CV, "from calibration " + c.Plan, true
		}
	}
	return 0, "", false
}

// Calibration is the last one of this box with the model of a plan.
func Calibration(db *store.DB, plan lab.Plan) (compare.Calibration, bool) {
	for c := range calibrations(db, plan) {
		return c, true
	}
	return compare.Calibration{}, false
}

// Calibrations are the most earlier ones of this box with the model of a plan, the newest first.
func Calibrations(db *store.DB, plan lab.Plan, most int) []compare.Calibration {
	var all []compare.Calibration
	for c := range calibrations(db, plan) {
		if c.Plan < plan.ID && len(all) < most {
			all = append(all, c)
		}
	}
	return all
}

// calibrations are those of this box with the model of a plan, the newest first.
func calibrations(db *store.DB, plan lab.Plan) iter.Seq[compare.Calibration] {
	return func(yield func(compare.Calibration) bool) {
		plans, err := db.Plans()
		if err != nil {
			return
		}
		for _, p := range slices.Backward(plans) {
			if !p.Calibrates || p.ID == plan.ID || p.A.Server.Model != plan.A.Server.Model {
				continue
			}
			runs, err := db.PlanRuns(p.ID)
			if err != nil || len(runs) == 0 || !here(runs[0].Run.Host) {
				continue
			}
			c := compare.Calibrate(p, runs)
			if len(c.Noise) > 0 && !yield(c) { // without noise it was broken off
				return
			}
		}
	}
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
		return plan, tooShort(ask.MaxTime, "two pairs need", before+4*e.Run, e.Basis)
	}
	return shorten(plan, fit), nil
}

// Enough refuses a time limit in which a plan that goes on would not come to two pairs in all: the limit would end it for
// good, without an answer.
func (l *Lab) Enough(plan lab.Plan, limit time.Duration) error {
	e, err := l.Estimate(plan)
	if limit == 0 || err != nil || e.Total == 0 || e.Made >= 2 {
		return err
	}
	if needed := time.Duration(burnIns(plan)+2*(2-e.Made)) * e.Run; needed > limit {
		return tooShort(limit, "the two pairs that an answer takes at least need", needed, e.Basis)
	}
	return nil
}

func tooShort(limit time.Duration, what string, needed time.Duration, basis string) error {
	return &AskError{fmt.Sprintf("--max-time %s is too short: %s about %s (%s)", limit, what, needed.Truncate(time.Second)+time.Second, basis)}
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
