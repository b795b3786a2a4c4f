package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lab/internal/lab"
	"lab/internal/metric"
)

// noNoise is a standard deviation that is rounding, not noise.
const noNoise = 1e-12

// Tails of a run that make its P99 comparable with another's: independent requests beyond it (Appendix of
// docs/statistics.md).
const comparableTail = 30

func blank(plan lab.Plan) lab.Row {
	m, ok := metric.Find(plan.Primary)
	if !ok {
		return lab.Row{Metric: plan.Primary}
	}
	return lab.Row{Phase: plan.Phase, Metric: m.Name, Unit: m.Unit, Higher: m.Sense == metric.Higher, Absolute: m.Share, Level: 1 - plan.Alpha}
}

// guardrails tests each guardrail one-sided for being worse, corrected for their number. A harm that is smaller than
// the margin beyond doubt is none.
func guardrails(plan lab.Plan, blocks []block, at []float64) []lab.Row {
	var rows []lab.Row
	var harms []float64
	var tested []int
	for _, g := range plan.Guardrails {
		m, known := metric.Find(g.Metric)
		if !known {
			continue
		}
		margins := plan
		margins.Margin = g.Margin
		row, s, ok := compareRow(margins, g.Phase, m, blocks, at)
		if !ok {
			continue
		}
		row.Margin = g.Margin
		if s.constant() {
			row.Call, row.Reason = lab.NoDifference, "the same in every run"
		}
		if f, fitted := leastSquares(s.y, s.arm, s.at); fitted && row.Low != nil {
			tested = append(tested, len(rows))
			harms = append(harms, upper(-sign(m.Sense)*f.delta/f.se, f.df))
		}
		rows = append(rows, row)
	}
	for i, adjusted := range holm(harms) {
		row := &rows[tested[i]]
		row.Harm = &adjusted
		switch {
		case row.Call == lab.NoDifference || row.Reason != "":
		case adjusted < plan.Alpha:
			row.Call = lab.Worse
		case row.Call == lab.Worse:
			row.Call = lab.Inconclusive
		}
	}
	return rows
}

// sign is +1 where larger is better.
func sign(s metric.Sense) float64 {
	if s == metric.Higher {
		return 1
	}
	return -1
}

// exploratory are the metrics that neither decide nor guard. Those that stand out among all of them are flagged.
func exploratory(plan lab.Plan, blocks []block, at []float64) []lab.Row {
	var rows []lab.Row
	var p []float64
	var tested []int
	for _, phase := range judged(plan.A) {
		for _, m := range metric.Catalogue() {
			if m.Own || m.Name == plan.Primary && phase == metric.In(plan.Phase, plan.Primary) || guards(plan, phase, m.Name) {
				continue
			}
			row, _, ok := compareRow(plan, phase, m, blocks, at)
			if !ok {
				continue
			}
			if row.P != nil && row.Reason == "" && m.Sense != metric.Neither {
				p, tested = append(p, *row.P), append(tested, len(rows))
			}
			rows = append(rows, row)
		}
	}
	for i, stands := range discoveries(p, plan.Alpha) {
		rows[tested[i]].Flagged = stands
	}
	return rows
}

func guards(plan lab.Plan, phase, name string) bool {
	return slices.ContainsFunc(plan.Guardrails, func(g lab.Guardrail) bool { return g.Phase == phase && g.Metric == name })
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

// compareRow fits one metric, if all runs have it. Ratios are compared on the log scale, shares and counts as they are.
func compareRow(plan lab.Plan, phase string, m metric.Metric, blocks []block, at []float64) (lab.Row, sample, bool) {
	row := lab.Row{Phase: phase, Metric: m.Name, Unit: m.Unit, Higher: m.Sense == metric.Higher, Absolute: m.Share, Level: 1 - plan.Alpha, N: len(blocks)}
	s := sample{at: at}
	tail := math.Inf(1)
	for i := range blocks {
		for j := range blocks[i] {
			r := &blocks[i][j]
			f, ok := r.Summary.Figure(phase, m.Name)
			if !ok || !m.Share && f.Value <= 0 {
				return row, s, false
			}
			if f.NEff > 0 {
				tail = min(tail, f.NEff/100)
			}
			value, arm := f.Value, 0.0
			if !m.Share {
				value = math.Log(value)
			}
			if r.Run.Arm == "B" {
				arm = 1
			}
			s.y, s.arm = append(s.y, value), append(s.arm, arm)
		}
	}
	if len(s.y) == 0 {
		return row, s, false
	}
	row.A, row.B = s.means(m.Share)
	judgeRow(&row, plan, m, s)
	if strings.HasSuffix(m.Name, ".p99") && tail < comparableTail {
		has, needs := lab.Apart(tail, comparableTail, 0)
		row.Call, row.Reason = "", fmt.Sprintf("a run has %s independent requests beyond its p99, and below %s it is not comparable", has, needs)
	}
	return row, s, true
}

// means are those of the arms, without the drift, as the difference is: at the middle of the plan. An odd number of pairs
// shows why: with a drift alone the plain means would differ, since one arm has the earlier runs.
func (s sample) means(share bool) (a, b float64) {
	a, b = average(s.of(0)), average(s.of(1))
	if f, ok := leastSquares(s.y, s.arm, s.at); ok {
		a = average(s.y) - f.delta*average(s.arm)
		b = a + f.delta
	}
	if share {
		return max(0, a), max(0, b) // a straight line knows no bounds
	}
	return math.Exp(a), math.Exp(b)
}

// incomparable says that a row's figures are no ground for a call, as too short a tail is not.
func incomparable(row lab.Row, m metric.Metric) bool {
	return row.Call == "" && row.Reason != "" && m.Sense != metric.Neither
}

func judgeRow(row *lab.Row, plan lab.Plan, m metric.Metric, s sample) {
	relative := func(v float64) float64 {
		if row.Absolute {
			return v
		}
		return math.Expm1(v)
	}
	row.Call = lab.Inconclusive
	f, ok := leastSquares(s.y, s.arm, s.at)
	if !ok {
		row.Delta = relative(average(s.of(1)) - average(s.of(0)))
		row.Reason = "too few runs for an interval"
		return
	}
	row.Delta = relative(f.delta)
	if f.sigma < noNoise {
		row.Reason = "no variance: the runs of an arm are all alike, so nothing can be said about noise"
		return
	}
	half := quantile(1-plan.Alpha/2, f.df) * f.se
	row.Low, row.High, row.P = finite(relative(f.delta-half)), finite(relative(f.delta+half)), finite(f.p())
	row.CV, row.Drift = finite(f.sigma), finite(relative(10*f.slope))
	if row.Low == nil || row.High == nil || row.P == nil || row.CV == nil || row.Drift == nil {
		row.Low, row.High, row.P, row.CV, row.Drift = nil, nil, nil, nil, nil
		row.Reason = "the noise is too large for an interval"
		return
	}
	margin := plan.Margin
	if !row.Absolute {
		margin = math.Log1p(plan.Margin)
	}
	row.Call = call(f, half, plan.Alpha, margin, m.Sense)
}

// finite is nil for what is no number to print.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// call finds the word: equivalence first, since a difference that is real but smaller than the margin is no difference
// to act on. wide is half of the interval at the level.
func call(f fit, wide, alpha, margin float64, sense metric.Sense) lab.Call {
	narrow := quantile(1-alpha, f.df) * f.se
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
