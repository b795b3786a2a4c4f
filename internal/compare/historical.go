package compare

import (
	"math"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Against sets runs beside stored ones. The two were not made in turn, so what changed on the box in between is in the
// difference: the answer is historical, never better or worse. The intervals are Welch's.
func Against(name string, stored, now []lab.Sealed) lab.Verdict {
	v := lab.Verdict{Call: lab.Historical, Plan: lab.Plan{ID: now[0].Run.ID, Made: now[0].Run.Epoch.Wall, Name: "against baseline " + name, Baseline: name,
		Pairs: min(len(stored), len(now)), Alpha: 0.05, Fresh: true, A: stored[0].Run.Experiment, B: now[0].Run.Experiment, Margin: now[0].Run.Experiment.Margin}}
	v.Plan.Phase, v.Plan.Primary = deciding(v.Plan.B)
	v.Hash = v.Plan.Hash()
	for i, runs := range [][]lab.Sealed{stored, now} {
		for _, r := range runs {
			v.Runs = append(v.Runs, lab.RunRef{ID: r.Run.ID, Arm: "AB"[i : i+1], Valid: r.Run.Valid(), Judged: true, Why: why(v.Plan, r)})
		}
	}
	v.Scope = scope([]block{{arms(stored[:1], nil)[0], arms(nil, now[:1])[0]}})
	v.Different, v.Warnings = differences(v.Plan, arms(stored, now)), ofRuns(arms(stored, now))
	v.Look = lab.Look{Number: 1, Of: 1, Pairs: v.Plan.Pairs, Final: true}
	for _, phase := range judged(v.Plan.B) {
		for _, m := range metric.Catalogue() {
			row, ok := historicalRow(v.Plan, phase, m, stored, now)
			switch {
			case !ok || m.Own && m.Name != v.Plan.Primary:
			case m.Name == v.Plan.Primary && phase == metric.In(v.Plan.Phase, v.Plan.Primary):
				v.Primary = row
			default:
				v.Rows = append(v.Rows, row)
			}
		}
	}
	v.Primary.Call = lab.Historical
	return v
}

// deciding is what an experiment by itself is judged by.
func deciding(e lab.Experiment) (phase, primary string) {
	for _, p := range e.Phases {
		if p.Judged {
			phase, primary = p.Name, metric.Default(p.Load)
			break
		}
	}
	if e.Primary != "" {
		primary = e.Primary
	}
	return phase, primary
}

// arms puts both into one list, each with its arm.
func arms(a, b []lab.Sealed) []lab.Sealed {
	var all []lab.Sealed
	for _, r := range a {
		r.Run.Arm = "A"
		all = append(all, r)
	}
	for _, r := range b {
		r.Run.Arm = "B"
		all = append(all, r)
	}
	return all
}

func historicalRow(plan lab.Plan, phase string, m metric.Metric, stored, now []lab.Sealed) (lab.Row, bool) {
	row := lab.Row{Phase: phase, Metric: m.Name, Unit: m.Unit, Higher: m.Sense == metric.Higher, Absolute: m.Share, Level: 1 - plan.Alpha, N: plan.Pairs}
	a, okA := values(phase, m, stored)
	b, okB := values(phase, m, now)
	if !okA || !okB {
		return row, false
	}
	scale, relative := math.Exp, math.Expm1
	if m.Share {
		scale = func(v float64) float64 { return v }
		relative = scale
	}
	row.A, row.B, row.Delta = scale(average(a)), scale(average(b)), relative(average(b)-average(a))
	f, ok := welchT(a, b)
	if !ok {
		row.Reason = "too few runs for an interval"
		return row, true
	}
	half := quantile(1-plan.Alpha/2, f.df) * f.se
	row.Low, row.High, row.P = finite(relative(f.delta-half)), finite(relative(f.delta+half)), finite(f.p())
	return row, true
}

// values are a metric's figures on the scale on which it is compared.
func values(phase string, m metric.Metric, runs []lab.Sealed) ([]float64, bool) {
	var all []float64
	for _, r := range runs {
		f, ok := r.Summary.Figure(phase, m.Name)
		if !ok || !m.Share && f.Value <= 0 {
			return nil, false
		}
		v := f.Value
		if !m.Share {
			v = math.Log(v)
		}
		all = append(all, v)
	}
	return all, len(all) > 0
}

// HistoricalRules tests rules on a historical verdict by what was seen: a limit of A holds for the difference as it
// stands, since no bound on it means anything.
func HistoricalRules(v lab.Verdict, rules []Rule) []Ruling {
	var all []Ruling
	for _, r := range rules {
		m, _ := metric.Find(r.Metric)
		out := r.undecided(m)
		out.Why = "there is no such figure"
		for _, row := range append([]lab.Row{v.Primary}, v.Rows...) {
			if row.Metric != r.Metric || r.Phase != "" && row.Phase != r.Phase || r.Phase == "" && row.Phase != v.Plan.Phase && row.Phase != metric.WholeRun {
				continue
			}
			seen := row.Delta
			if !r.OfA {
				seen = row.B
			}
			out.Seen = &seen
			out.Outcome, out.Why = Passed, "within the limit as seen; the two were not measured in turn"
			if r.Above && seen > r.Limit || !r.Above && seen < r.Limit {
				out.Outcome, out.Why = Broken, "beyond the limit as seen; the two were not measured in turn"
			}
			break
		}
		all = append(all, out)
	}
	return all
}
