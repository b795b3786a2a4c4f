package compare

import (
	"fmt"
	"slices"
	"strings"

	"lab/internal/lab"
	"lab/internal/metric"
)

// warnings are what a reader should know beside the word.
func warnings(plan lab.Plan, r record, runs []lab.Sealed, look lab.Look) []lab.Finding {
	var all []lab.Finding
	add := func(code, format string, args ...any) {
		all = append(all, lab.Finding{Code: code, Level: lab.Warning, Detail: fmt.Sprintf(format, args...)})
	}
	var counted []lab.Sealed
	for _, b := range r.blocks {
		counted = append(counted, b[:]...)
	}
	if !plan.Fresh {
		add("not-fresh", "all runs used one server that already ran: they share its state, so this is no verdict")
	}
	switch {
	case plan.Cut > 0:
		add("cut", "the time limit ended the plan after %d of at most %d pairs", r.made, plan.Pairs)
	case !look.Final:
		add("unfinished", "the plan is not finished: %d of at most %d pairs are made", r.made, plan.Pairs)
	}
	if r.repeated > 0 {
		add("repeated", "pairs made again because a run of theirs was invalid or broken off: %d", r.repeated)
	}
	if lost := len(r.refs) - len(counted); lost > 0 && len(counted) > 0 {
		add("lost-runs", "%d of %d runs do not count: they, or the other run of their pair, are invalid or not there", lost, len(r.refs))
	}
	for _, pair := range r.apart {
		add("cache-apart", "%s (runs %s and %s do not count)", hitsApart(plan, pair), pair[0].Run.ID, pair[1].Run.ID)
	}
	if f, apart := startTemperatures(r.blocks); apart {
		all = append(all, f)
	}
	return append(all, ofRuns(counted)...)
}

// ofRuns are what a reader should know of the runs that are compared, whatever for.
func ofRuns(runs []lab.Sealed) []lab.Finding {
	var all []lab.Finding
	add := func(code, format string, args ...any) {
		all = append(all, lab.Finding{Code: code, Level: lab.Warning, Detail: fmt.Sprintf(format, args...)})
	}
	if mixed(runs) {
		add("definitions", "the runs were summed up by different versions of the formulas (%s): their figures may not mean the same", versions(runs))
	}
	if f, drifted := fingerprint(runs); drifted {
		all = append(all, f)
	}
	seen := map[string]bool{}
	for _, run := range runs {
		for _, f := range run.Run.Findings {
			if f.Level == lab.Warning && !seen[f.Code+run.Run.Arm] {
				seen[f.Code+run.Run.Arm] = true
				add(f.Code, "%s (run %s, arm %s)", f.Detail, run.Run.ID, run.Run.Arm)
			}
		}
	}
	return all
}

// unguarded warns of guardrails that could not be tested, since not every run has such a figure.
func unguarded(v lab.Verdict) []lab.Finding {
	var all []lab.Finding
	if v.Look.Number == 0 || v.Call == lab.InvalidCall {
		return nil
	}
	for _, g := range v.Plan.Guardrails {
		if !slices.ContainsFunc(v.Guardrails, func(r lab.Row) bool { return r.Phase == g.Phase && r.Metric == g.Metric }) {
			all = append(all, lab.Finding{Code: "unguarded", Level: lab.Warning, Phase: g.Phase,
				Detail: fmt.Sprintf("%s guards nothing: not every run has a figure of it that can be compared%s", g.Metric, inPhase(g.Phase))})
		}
	}
	return all
}

func inPhase(phase string) string {
	if phase == metric.WholeRun {
		return ""
	}
	return " in phase " + phase
}

// mixed says whether the summaries were made by different versions of the formulas.
func mixed(runs []lab.Sealed) bool {
	return slices.ContainsFunc(runs, func(r lab.Sealed) bool { return r.Summary.Definitions != runs[0].Summary.Definitions })
}

// versions names the versions of the formulas, the oldest first.
func versions(runs []lab.Sealed) string {
	var all []int
	for _, r := range runs {
		all = append(all, r.Summary.Definitions)
	}
	slices.Sort(all)
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Compact(all)), " ", ", "), "[]")
}
