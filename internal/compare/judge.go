package compare

import (
	"fmt"
	"math"
	"slices"
	"sort"

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
	slices.SortFunc(counted, func(a, b lab.Sealed) int { return a.Run.Slot - b.Run.Slot })
	v.Different = differences(plan, runs)
	v.Warnings = warnings(plan, v.Runs, counted)
	v.Primary, v.Rows = rows(plan, counted)
	decide(&v, plan, len(counted)/2)
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
	if missing := len(plan.Order) - len(refs); missing > 0 {
		add(lab.Warning, "unfinished", "%d of %d planned runs were not made", missing, len(plan.Order))
	}
	if lost := len(refs) - len(counted); lost > 0 && len(counted) > 0 {
		add(lab.Warning, "lost-runs", "%d of %d runs do not count: they, or the other run of their pair, are invalid", lost, len(refs))
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

// decide turns the primary row into the verdict's word.
func decide(v *lab.Verdict, plan lab.Plan, pairs int) {
	switch {
	case pairs == 0:
		v.Primary.Reason = "no pair of valid runs"
		return
	case pairs < 2:
		v.Primary.Reason = "only one pair of valid runs: it shows no noise"
		return
	case v.Primary.N == 0:
		v.Primary.Reason = fmt.Sprintf("the runs have no %s in phase %s", plan.Primary, plan.Phase)
		return
	}
	v.Call = v.Primary.Call
	if v.Call == lab.Better || v.Call == lab.Worse {
		v.Qualifier = qualifier(v.Primary, plan.Margin)
	}
	if cv := v.Primary.CV; cv != nil && !v.Primary.Absolute {
		mde := MDE(*cv, pairs, plan.Alpha)
		v.MDE = &mde
		v.PairsNeeded = PairsNeeded(*cv, plan.Margin, plan.Alpha)
	}
	if !plan.Fresh {
		v.Call, v.Qualifier = lab.Historical, ""
	}
}

// qualifier says whether the whole interval lies beyond the margin.
func qualifier(r lab.Row, margin float64) string {
	near := min(math.Abs(*r.Low), math.Abs(*r.High))
	if r.Absolute {
		if near > margin {
			return fmt.Sprintf("by at least %.3g %s", margin, r.Unit)
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
	for _, p := range plan.A.Phases {
		if !p.Judged {
			continue
		}
		for _, m := range metric.Catalogue() {
			row, ok := compareRow(plan, p.Name, m, counted)
			switch {
			case !ok:
			case p.Name == plan.Phase && m.Name == plan.Primary:
				primary = row
			default:
				others = append(others, row)
			}
		}
	}
	return primary, others
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
		row.Delta = relative(average2(y, arm, 1) - average2(y, arm, 0))
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
	case f.delta-narrow > -margin && f.delta+narrow < margin:
		return lab.NoDifference
	case f.delta-wide <= 0 && f.delta+wide >= 0:
		return lab.Inconclusive
	case sense == metric.Neither:
		return "" // a difference that is neither good nor bad
	case (f.delta > 0) == (sense == metric.Higher):
		return lab.Better
	}
	return lab.Worse
}

func average2(y, arm []float64, which float64) float64 {
	var of []float64
	for i := range y {
		if arm[i] == which {
			of = append(of, y[i])
		}
	}
	return average(of)
}

// differences are what was asked differently, and what the servers settled on differently: values that are the same in
// all runs of an arm and differ between the arms.
func differences(plan lab.Plan, runs []lab.Sealed) []lab.Difference {
	all := lab.Diff(plan.A, plan.B)
	a, b := settled(runs, "A"), settled(runs, "B")
	return append(all, lab.DiffValues(a, b)...)
}

// settled are the values that every run of an arm agrees on.
func settled(runs []lab.Sealed, arm string) map[string]string {
	agreed := map[string]string{}
	unstable := map[string]bool{}
	for _, r := range runs {
		if r.Run.Arm != arm {
			continue
		}
		for key, value := range r.Run.Server.Resolved {
			path := "resolved." + key
			if before, seen := agreed[path]; seen && before != value {
				unstable[path] = true
			}
			agreed[path] = value
		}
		if v := r.Run.Server.Version; v != "" {
			agreed["resolved.vllm_version"] = v
		}
	}
	for path := range unstable {
		delete(agreed, path)
	}
	return agreed
}

// Named is a summary with the name that people know it by.
type Named struct {
	Name    string
	Summary lab.Summary
}

// Pair sets two single summaries side by side, phase by phase. They show no noise from run to run, so there is no
// interval and no call.
func Pair(a, b Named) []lab.Row {
	var all []lab.Row
	for _, f := range a.Summary.Figures {
		g, ok := b.Summary.Figure(f.Phase, f.Metric)
		if !ok && len(a.Summary.Phases) == 1 && len(b.Summary.Phases) == 1 {
			g, ok = b.Summary.Figure(b.Summary.Phases[0].Phase, f.Metric)
		}
		m, known := metric.Find(f.Metric)
		if !ok || !known {
			continue
		}
		row := lab.Row{Phase: f.Phase, Metric: f.Metric, Unit: f.Unit, Higher: m.Sense == metric.Higher, Absolute: m.Share, A: f.Value, B: g.Value, N: 1}
		switch {
		case m.Share:
			row.Delta = g.Value - f.Value
		case f.Value > 0:
			row.Delta = g.Value/f.Value - 1
		default:
			continue
		}
		all = append(all, row)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Phase < all[j].Phase })
	return all
}
