package report

import (
	"fmt"
	"strings"

	"lab/internal/lab"
)

func sentence(v lab.Verdict) string {
	r, name := v.Primary, title(v.Plan.Primary)
	if r.Low == nil && stored(v) && r.N > 0 {
		return fmt.Sprintf("%s in B against A: %s (no interval: %s) at this load: %s; %s. %s", capital(name), change(r.Delta, r), r.Reason, points(v.Plan), sizes(v), ofStored)
	}
	if r.Low == nil {
		text := capital(r.Reason) + "."
		if v.Call == lab.Inconclusive && !v.Look.Final && v.Plan.ID != "" {
			text += " " + goOn(v.Plan)
		}
		return text
	}
	limits := fmt.Sprintf("(%.4g %% interval %s) at this load: %s; %s", r.Level*100, interval(r), points(v.Plan), sizes(v))
	seen := change(r.Delta, r) + " " + limits
	switch v.Call {
	case lab.TradeOff:
		return fmt.Sprintf("%s of B is %s than that of A %s. But %s.", capital(name), lowerOrHigher(r), limits, harmed(v))
	case lab.Better, lab.Worse:
		return fmt.Sprintf("%s of B is %s than that of A %s.", capital(name), lowerOrHigher(r), limits)
	case lab.NoDifference:
		return fmt.Sprintf("%s is alike within the margin of %s. B against A: %s.", capital(name), margin(v.Plan), seen)
	case lab.Historical:
		if stored(v) {
			return fmt.Sprintf("%s in B against A: %s. %s", capital(name), seen, ofStored)
		}
		return fmt.Sprintf("%s in B against A: %s. But every run used the same running server, so this is no verdict on two configurations.", capital(name), seen)
	case lab.Inconclusive:
		if r.Reason != "" {
			return capital(r.Reason) + "."
		}
		if !v.Look.Final {
			return fmt.Sprintf("The runs so far vary too much to tell whether %s differs. B against A: %s. %s", name, seen, goOn(v.Plan))
		}
		return fmt.Sprintf("The runs vary too much to tell whether %s differs. B against A: %s. %s", name, seen, remedy(v))
	}
	return capital(r.Reason) + "."
}

const ofStored = "But the runs of A are stored ones: what changed on the box since is in the difference, so this is no verdict."

func goOn(plan lab.Plan) string {
	return fmt.Sprintf("The plan is not finished: %s goes on.", Resume(plan))
}

// Resume is the command that goes on with a plan.
func Resume(plan lab.Plan) string {
	command := "ab"
	switch {
	case plan.Calibrates:
		command = "calibrate"
	case plan.Baseline != "":
		command = "baseline check " + plan.Baseline
	}
	return fmt.Sprintf("lab %s --resume=%s", command, plan.ID)
}

// sizes says on how many runs an interval rests.
func sizes(v lab.Verdict) string {
	if stored(v) {
		made := perArm(v)
		return fmt.Sprintf("n = %d runs of A and %d of B", made["A"], made["B"])
	}
	return fmt.Sprintf("n = %d runs an arm", v.Primary.N)
}

// perArm counts the runs of each arm.
func perArm(v lab.Verdict) map[string]int {
	made := map[string]int{}
	for _, r := range v.Runs {
		made[r.Arm]++
	}
	return made
}

// harmed names the guardrails that became worse.
func harmed(v lab.Verdict) string {
	var names []string
	for _, g := range v.Guardrails {
		if g.Call == lab.Worse {
			names = append(names, fmt.Sprintf("%s is worse (%s)", title(g.Metric), change(g.Delta, g)))
		}
	}
	return strings.Join(names, ", ")
}

// points says at which load the arms ran; they may differ in it.
func points(plan lab.Plan) string {
	a, b := point(load(plan.A, plan.Phase)), point(load(plan.B, plan.Phase))
	if a == b {
		return a
	}
	return a + " in A, " + b + " in B"
}

func lowerOrHigher(r lab.Row) string {
	text := change(r.Delta, r)
	if r.Delta < 0 {
		return text[1:] + " lower"
	}
	return text[1:] + " higher"
}

// remedy says what would settle it.
func remedy(v lab.Verdict) string {
	margin := margin(v.Plan)
	if v.PairsNeeded == 0 {
		return fmt.Sprintf("At this noise not even 1000 pairs would show a difference of the margin (%s): make the runs longer, or the margin wider.", margin)
	}
	if v.PairsNeeded <= v.Primary.N {
		return fmt.Sprintf("A difference of the margin (%s) would mostly have shown; this one lies near it. More pairs tell.", margin)
	}
	return fmt.Sprintf("About %d pairs would show a difference of the margin (%s): --pairs %d, as a new A/B. Longer runs help too.", v.PairsNeeded, margin, v.PairsNeeded)
}

func capital(text string) string {
	if text == "" {
		return "There is no interval"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
