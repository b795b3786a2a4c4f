package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Judge answers an A/B from its stored runs alone, at the last of its looks that was reached. The plan's primary metric
// decides; a guardrail can turn better into trade-off; the other metrics are exploratory. Between the looks nothing is
// estimated.
func Judge(plan lab.Plan, runs []lab.Sealed) lab.Verdict {
	r := read(plan, runs)
	v := judgeAt(plan, runs, r)
	v.Runs, v.Different, v.Scope = r.refs, differences(plan, runs), scope(r.blocks)
	for _, b := range r.blocks[:v.Look.Pairs] {
		for i := range v.Runs {
			v.Runs[i].Judged = v.Runs[i].Judged || v.Runs[i].ID == b[0].Run.ID || v.Runs[i].ID == b[1].Run.ID
		}
	}
	if v.Look.Number > 0 && v.Call != lab.InvalidCall {
		fill(&v, plan, r)
	}
	v.Primary.Call = v.Call
	v.Unchecked = unchecked(plan)
	v.Warnings = append(warnings(plan, r, runs, v.Look), unguarded(v)...)
	if !plan.Fresh && v.Call != lab.InvalidCall {
		v.Call, v.Qualifier, v.Fragile = lab.Historical, "", false
	}
	return v
}

// judgeAt finds the look and the primary metric's word at it.
func judgeAt(plan lab.Plan, runs []lab.Sealed, r record) lab.Verdict {
	v := lab.Verdict{Plan: plan, Hash: plan.Hash(), Primary: blank(plan)}
	v.Look.Of = len(plan.LookAt())
	_, more := missing(plan, runs)
	over := !more
	if spoilt := beyondRepair(plan, runs); spoilt > 0 && len(r.blocks) < plan.LookAt()[0] {
		over = false // what is there is no look of the plan
	}
	lookUp(&v, plan, r, over)
	if v.Look.Number == 0 {
		v.Call = unreached(&v, plan, runs, r)
	}
	v.Look.Final = !more || conclusive(v.Call)
	return v
}

// lookUp judges the pairs at each look that was reached, up to the first that decides.
func lookUp(v *lab.Verdict, plan lab.Plan, r record, over bool) {
	for i, pairs := range reached(plan, len(r.blocks), over) {
		v.Look.Number, v.Look.Pairs = i+1, pairs
		v.Call = decide(v, plan, r, pairs)
		if conclusive(v.Call) {
			break
		}
	}
}

// reached are the looks that the valid pairs allow. Where nothing more will be measured, all of them are looked at once
// more, if they are more than at the last look.
func reached(plan lab.Plan, valid int, over bool) []int {
	looks := slices.Clone(plan.LookAt())
	looks = slices.DeleteFunc(looks, func(n int) bool { return n > valid })
	if over && valid >= 2 && (len(looks) == 0 || looks[len(looks)-1] < valid) {
		looks = append(looks, valid)
	}
	return looks
}

func conclusive(c lab.Call) bool { return c == lab.Better || c == lab.Worse || c == lab.NoDifference }

// unreached is the answer before the first look.
func unreached(v *lab.Verdict, plan lab.Plan, runs []lab.Sealed, r record) lab.Call {
	valid := len(r.blocks)
	spoiltBlock := beyondRepair(plan, runs)
	switch {
	case spoiltBlock > 0:
		v.Primary.Reason = fmt.Sprintf("pair %d was invalid each of %d times (%s): what spoils it would spoil the others too, and the %d valid pairs of the first look cannot be had",
			spoiltBlock, mostRepeats+1, spoiltBy(plan, runs, spoiltBlock), plan.LookAt()[0])
		return lab.InvalidCall
	case slices.ContainsFunc(runs, spoilt(plan)) && valid < 2:
		v.Primary.Reason = [...]string{"no pair of valid runs", "only one pair of valid runs: it shows no noise"}[valid]
		return lab.InvalidCall
	case valid == 0 && plan.LookAt()[0] <= plan.Pairs:
		v.Primary.Reason = "no pair of valid runs"
	default:
		v.Primary.Reason = fmt.Sprintf("%d of the %d valid pairs of the first look are there, and before it nothing is estimated", valid, plan.LookAt()[0])
	}
	return lab.Inconclusive
}

// spoiltBy names what spoilt the runs of a block.
func spoiltBy(plan lab.Plan, runs []lab.Sealed, block int) string {
	var codes []string
	for _, r := range runs {
		code, _, _ := strings.Cut(why(plan, r), ":")
		if r.Run.Block == block && code != "" && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	if len(codes) == 0 { // both runs were valid each time
		return "cache-apart"
	}
	return strings.Join(codes, ", ")
}

// spoilt says whether a run was made to its end, or its server's, and must not be judged.
func spoilt(plan lab.Plan) func(lab.Sealed) bool {
	return func(r lab.Sealed) bool {
		return r.Run.Outcome == lab.Failed || r.Run.Outcome == lab.Complete && why(plan, r) != ""
	}
}

// decide fits the primary metric over the first pairs and finds its word.
func decide(v *lab.Verdict, plan lab.Plan, r record, pairs int) lab.Call {
	blocks := r.blocks[:pairs]
	m, _ := metric.Find(plan.Primary)
	v.Qualifier, v.Fragile, v.Sensitivity = "", false, nil
	row, s, ok := compareRow(plan, metric.In(plan.Phase, plan.Primary), m, blocks, moments(blocks, r.slots))
	if !ok {
		v.Primary.Reason = fmt.Sprintf("the runs have no %s in phase %s", plan.Primary, plan.Phase)
		return lab.InvalidCall
	}
	v.Primary = row
	if m.Sense == metric.Neither {
		v.Primary.Reason = fmt.Sprintf("%s is neither good nor bad when it is high, so it cannot decide", m.Title)
		return lab.Inconclusive
	}
	f, fitted := leastSquares(s.y, s.arm, s.at)
	if !fitted || row.Low == nil || row.Call == "" {
		return lab.Inconclusive
	}
	sens, fragile := sensitivity(s, f, plan.Alpha)
	v.Sensitivity = &sens
	if row.Call != lab.Better && row.Call != lab.Worse {
		return row.Call
	}
	v.Qualifier, v.Fragile = qualifier(row, plan.Margin), fragile
	if plan.Strict && (fragile || 4*r.repeated > len(r.blocks)) {
		v.Primary.Reason = "the plan is strict, and the difference hangs on a single pair"
		if !fragile {
			v.Primary.Reason = "the plan is strict, and more than a quarter of the pairs had to be repeated"
		}
		v.Qualifier = ""
		return lab.Inconclusive
	}
	return row.Call
}

// fill adds what stands beside the primary metric: guardrails, the other metrics, and how small a difference could have
// been seen.
func fill(v *lab.Verdict, plan lab.Plan, r record) {
	blocks := r.blocks[:v.Look.Pairs]
	at := moments(blocks, r.slots)
	v.Guardrails = guardrails(plan, blocks, at)
	v.Rows = exploratory(plan, blocks, at)
	if v.Call == lab.Better && slices.ContainsFunc(v.Guardrails, func(g lab.Row) bool { return g.Call == lab.Worse }) {
		v.Call = lab.TradeOff
	}
	if cv := v.Primary.CV; cv != nil {
		mde := MDE(*cv, v.Look.Pairs, plan.Alpha)
		v.MDE = &mde
		if v.Call == lab.Inconclusive {
			v.PairsNeeded = PairsNeeded(*cv, plan.Margin, plan.Alpha)
		}
	}
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
