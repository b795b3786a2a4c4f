package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Judge answers an A/B from its stored runs alone. The plan's primary metric decides; the rows of the other metrics
// inform. Only whole blocks of two valid runs count.
func Judge(plan lab.Plan, runs []lab.Sealed) lab.Verdict {
	v := lab.Verdict{Plan: plan, Call: lab.InvalidCall}
	blocks := map[int][]lab.Sealed{}
	for _, r := range runs {
		ref := lab.RunRef{ID: r.Run.ID, Arm: r.Run.Arm, Block: r.Run.Block, Valid: r.Run.Valid()}
		if !ref.Valid {
			ref.Why = why(r.Run)
		}
		v.Runs = append(v.Runs, ref)
		if ref.Valid {
			blocks[r.Run.Block] = append(blocks[r.Run.Block], r)
		}
	}
	var counted []lab.Sealed
	for _, pair := range blocks {
		if len(pair) == 2 && pair[0].Run.Arm != pair[1].Run.Arm {
			counted = append(counted, pair...)
		}
	}
	slices.SortFunc(counted, func(a, b lab.Sealed) int {
		return cmp.Or(a.Run.Slot-b.Run.Slot, strings.Compare(a.Run.ID, b.Run.ID))
	})
	v.Different = differences(plan, runs)
	v.Warnings = warnings(plan, v.Runs, counted)
	v.Primary, v.Rows = rows(plan, counted)
	decide(&v, plan, runs, len(counted)/2)
	return v
}

// why an invalid run does not count, in a few words.
func why(run lab.Run) string {
	if run.Failure != nil {
		return "server failed: " + run.Failure.Reason
	}
	for _, f := range run.Findings {
		if f.Level == lab.Invalid {
			return f.Code + ": " + f.Detail
		}
	}
	return string(run.Outcome)
}

func warnings(plan lab.Plan, refs []lab.RunRef, counted []lab.Sealed) []lab.Finding {
	var all []lab.Finding
	add := func(level lab.Level, code, format string, args ...any) {
		all = append(all, lab.Finding{Code: code, Level: level, Detail: fmt.Sprintf(format, args...)})
	}
	if !plan.Fresh {
		add(lab.Warning, "not-fresh", "all runs used one server that already ran: they share its state, so this is no verdict")
	}
	if mixed(counted) {
		add(lab.Warning, "definitions", "the runs were summed up by different versions of the formulas: their figures may not mean the same")
	}
	if missing := len(plan.Order) - len(refs); missing > 0 {
		add(lab.Warning, "unfinished", "%d of %d planned runs were not made", missing, len(plan.Order))
	}
	if lost := len(refs) - len(counted); lost > 0 && len(counted) > 0 {
		add(lab.Warning, "lost-runs", "%d of %d runs do not count: they, or the other run of their pair, are invalid", lost, len(refs))
	}
	if f, drifted := fingerprint(counted); drifted {
		all = append(all, f)
	}
	seen := map[string]bool{}
	for _, r := range counted {
		for _, f := range r.Run.Findings {
			if f.Level == lab.Warning && !seen[f.Code+r.Run.Arm] {
				seen[f.Code+r.Run.Arm] = true
				add(lab.Warning, f.Code, "%s (run %s, arm %s)", f.Detail, r.Run.ID, r.Run.Arm)
			}
		}
	}
	return all
}

// mixed says whether the summaries were made by different versions of the formulas.
func mixed(runs []lab.Sealed) bool {
	return slices.ContainsFunc(runs, func(r lab.Sealed) bool { return r.Summary.Definitions != runs[0].Summary.Definitions })
}

// decide turns the primary row into the verdict's word.
func decide(v *lab.Verdict, plan lab.Plan, runs []lab.Sealed, pairs int) {
	switch {
	case pairs < 2:
		v.Primary.Reason = [...]string{"no pair of valid runs", "only one pair of valid runs: it shows no noise"}[pairs]
		if !slices.ContainsFunc(runs, spoilt) { // what is there is sound, only too little: the plan was cut short
			v.Call = lab.Inconclusive
		}
		v.Primary.Call = v.Call
		return
	case v.Primary.N == 0:
		v.Primary.Reason = fmt.Sprintf("the runs have no %s in phase %s", plan.Primary, plan.Phase)
		return
	}
	if m, _ := metric.Find(plan.Primary); m.Sense == metric.Neither {
		v.Primary.Call = lab.Inconclusive
		v.Primary.Reason = fmt.Sprintf("%s is neither good nor bad when it is high, so it cannot decide", m.Title)
	}
	v.Call = v.Primary.Call
	if v.Call == lab.Better || v.Call == lab.Worse {
		v.Qualifier = qualifier(v.Primary, plan.Margin)
	}
	if cv := v.Primary.CV; cv != nil {
		mde := MDE(*cv, pairs, plan.Alpha)
		v.MDE = &mde
		v.PairsNeeded = PairsNeeded(*cv, plan.Margin, plan.Alpha)
	}
	if !plan.Fresh {
		v.Call, v.Qualifier = lab.Historical, ""
	}
}

// spoilt says whether a run was made to its end, or its server's, and must not be judged.
func spoilt(r lab.Sealed) bool {
	return r.Run.Outcome == lab.Failed || r.Run.Outcome == lab.Complete && !r.Run.Valid()
}

// qualifier says whether the whole interval lies beyond the margin.
func qualifier(r lab.Row, margin float64) string {
	near := min(math.Abs(*r.Low), math.Abs(*r.High))
	if r.Absolute {
		if near > margin {
			return fmt.Sprintf("by at least %.3g percentage points", margin*100)
		}
		return "size uncertain"
	}
	if math.Min(math.Abs(math.Log1p(*r.Low)), math.Abs(math.Log1p(*r.High))) > math.Log1p(margin) {
		return fmt.Sprintf("by at least %.3g %%", margin*100)
	}
	return "size uncertain"
}

// rows compares every metric of the judged phases that all counted runs have; the primary comes apart.
func rows(plan lab.Plan, counted []lab.Sealed) (primary lab.Row, others []lab.Row) {
	if m, ok := metric.Find(plan.Primary); ok {
		primary = lab.Row{Phase: plan.Phase, Metric: m.Name, Unit: m.Unit, Higher: m.Sense == metric.Higher, Absolute: m.Share, Level: 1 - plan.Alpha, Call: lab.InvalidCall}
	}
	for _, phase := range judged(plan.A) {
		for _, m := range metric.Catalogue() {
			row, ok := compareRow(plan, phase, m, counted)
			switch {
			case !ok:
			case m.Name == plan.Primary && (phase == plan.Phase || phase == metric.WholeRun):
				primary = row
			default:
				others = append(others, row)
			}
		}
	}
	return primary, others
}

// judged names the phases that are compared; figures of the run as a whole come last.
func judged(e lab.Experiment) []string {
	var names []string
	for _, p := range e.Phases {
		if p.Judged {
			names = append(names, p.Name)
		}
	}
	return append(names, metric.WholeRun)
}

// compareRow fits one metric. Ratios are compared on the log scale, shares and counts as they are.
func compareRow(plan lab.Plan, phase string, m metric.Metric, counted []lab.Sealed) (lab.Row, bool) {
	row := lab.Row{Phase: phase, Metric: m.Name, Unit: m.Unit, Higher: m.Sense == metric.Higher, Absolute: m.Share, Level: 1 - plan.Alpha, N: len(counted) / 2}
	if len(counted) < 2 {
		return row, false
	}
	var y, arm, slot []float64
	sum := map[string]float64{}
	for _, r := range counted {
		f, ok := r.Summary.Figure(phase, m.Name)
		if !ok || !m.Share && f.Value <= 0 {
			return row, false
		}
		value := f.Value
		if !m.Share {
			value = math.Log(value)
		}
		b := 0.0
		if r.Run.Arm == "B" {
			b = 1
		}
		y, arm, slot = append(y, value), append(arm, b), append(slot, float64(r.Run.Slot))
		sum[r.Run.Arm] += value
	}
	scale := func(v float64) float64 { return v }
	if !m.Share {
		scale = math.Exp
	}
	row.A, row.B = scale(sum["A"]/float64(row.N)), scale(sum["B"]/float64(row.N))
	judgeRow(&row, plan, m, y, arm, slot)
	return row, true
}

func judgeRow(row *lab.Row, plan lab.Plan, m metric.Metric, y, arm, slot []float64) {
	relative := func(v float64) float64 {
		if row.Absolute {
			return v
		}
		return math.Expm1(v)
	}
	row.Call = lab.Inconclusive
	f, ok := leastSquares(y, arm, slot)
	if !ok {
		row.Delta = relative(averageOf(y, arm, 1) - averageOf(y, arm, 0))
		row.Reason = "too few runs for an interval"
		return
	}
	row.Delta = relative(f.delta)
	if f.sigma < 1e-12 {
		row.Reason = "no variance: the runs of an arm are all alike, so nothing can be said about noise"
		return
	}
	half := quantile(1-plan.Alpha/2, f.df) * f.se
	low, high, p := relative(f.delta-half), relative(f.delta+half), twoSided(f.delta/f.se, f.df)
	drift := relative(10 * f.slope)
	for _, v := range []float64{low, high, p, drift} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			row.Reason = "the noise is too large for an interval"
			return
		}
	}
	row.Low, row.High, row.P, row.CV, row.Drift = &low, &high, &p, &f.sigma, &drift
	margin := plan.Margin
	if !row.Absolute {
		margin = math.Log1p(plan.Margin)
	}
	row.Call = call(f, plan.Alpha, margin, m.Sense)
}

// call finds the word: equivalence first, since a difference that is real but smaller than the margin is no difference
// to act on.
func call(f fit, alpha, margin float64, sense metric.Sense) lab.Call {
	narrow, wide := quantile(1-alpha, f.df)*f.se, quantile(1-alpha/2, f.df)*f.se
	switch {
	case sense == metric.Neither:
		return "" // no difference of it is good or bad, and it has no margin
	case f.delta-narrow > -margin && f.delta+narrow < margin:
		return lab.NoDifference
	case f.delta-wide <= 0 && f.delta+wide >= 0:
		return lab.Inconclusive
	case (f.delta > 0) == (sense == metric.Higher):
		return lab.Better
	}
	return lab.Worse
}

func averageOf(y, arm []float64, which float64) float64 {
	var of []float64
	for i := range y {
		if arm[i] == which {
			of = append(of, y[i])
		}
	}
	return average(of)
}
