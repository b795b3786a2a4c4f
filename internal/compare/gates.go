package compare

import (
	"fmt"
	"math"
	"reflect"

	"lab/internal/lab"
	"lab/internal/metric"
)

// why a run does not count, in a few words; empty: it does. It looks at how the run went, never at how it came out.
func why(plan lab.Plan, r lab.Sealed) string {
	run := r.Run
	if run.Failure != nil {
		return "server failed: " + run.Failure.Reason
	}
	for _, f := range run.Findings {
		if f.Level == lab.Invalid || gated(plan, f) {
			return f.Code + ": " + f.Detail
		}
	}
	if run.Outcome != lab.Complete {
		return string(run.Outcome)
	}
	return ""
}

// gated says whether a warning takes a run out of this plan: latencies of a load that the server does not keep up with
// say how long it ran; and a strict plan wants a phase that had settled.
func gated(plan lab.Plan, f lab.Finding) bool {
	if f.Phase != plan.Phase {
		return false
	}
	switch f.Code {
	case "saturated":
		m, _ := metric.Find(plan.Primary)
		return m.Unit == "s"
	case "not-steady":
		return plan.Strict
	}
	return false
}

// maxHitsApart is how far the shares of prefix cache hits of a pair may lie apart where nothing explains it.
const maxHitsApart = 0.01

// whole says whether runs make a pair that counts: one of each arm, which met caches alike unless the arms themselves
// differ in what they cache or send.
func whole(plan lab.Plan, pair []lab.Sealed) bool {
	return len(pair) == 2 && pair[0].Run.Arm != pair[1].Run.Arm && hitsApart(plan, pair) == ""
}

func hitsApart(plan lab.Plan, pair []lab.Sealed) string {
	if !reflect.DeepEqual(plan.A.Server.PrefixCaching, plan.B.Server.PrefixCaching) || !reflect.DeepEqual(plan.A.Phases, plan.B.Phases) {
		return "" // see unchecked
	}
	for _, p := range plan.A.Phases {
		a, hasA := pair[0].Summary.Figure(p.Name, "prefix_hit_share")
		b, hasB := pair[1].Summary.Figure(p.Name, "prefix_hit_share")
		if p.Judged && hasA && hasB && math.Abs(a.Value-b.Value) > maxHitsApart {
			apart, may := lab.Apart(math.Abs(a.Value-b.Value)*100, maxHitsApart*100, 1)
			return fmt.Sprintf("cache-apart: phase %s: %.1f %% of the prompt tokens were in the prefix cache in one run of the pair and %.1f %% in the other: %s pp apart (at most %s pp may be)",
				p.Name, a.Value*100, b.Value*100, apart, may)
		}
	}
	return ""
}
