package compare

import (
	"fmt"
	"reflect"

	"lab/internal/lab"
	"lab/internal/metric"
)

// unchecked are the checks that are off, each with what turned it off: the arms' own difference, or the data set.
func unchecked(plan lab.Plan) []lab.Finding {
	var all []lab.Finding
	off := func(code, phase, format string, args ...any) {
		all = append(all, lab.Finding{Code: code, Level: lab.Note, Phase: phase, Detail: fmt.Sprintf(format, args...)})
	}
	for _, p := range plan.A.Phases {
		if !p.Judged {
			continue
		}
		switch d := p.Load.Dataset; {
		case metric.FreshPrompts(d):
		case d.PrefixTokens > 0 || d.Prefixes > 0:
			off("warm-cache", p.Name, "that the prefix cache was cold in phase %s: its prompts share prefixes", p.Name)
		default:
			off("warm-cache", p.Name, "that the prefix cache was cold in phase %s: its prompts (%s) may begin alike", p.Name, d.Kind)
		}
		if eos, set := p.Load.Body["ignore_eos"]; set && eos != true {
			off("tokens", p.Name, "that answers of phase %s are of the length asked: ignore_eos is off", p.Name)
		}
	}
	sameLoad := reflect.DeepEqual(plan.A.Phases, plan.B.Phases)
	switch {
	case !reflect.DeepEqual(plan.A.Server.PrefixCaching, plan.B.Server.PrefixCaching):
		off("cache-apart", "", "that both runs of a pair met the prefix cache alike: the arms differ in prefix caching")
	case !sameLoad:
		off("cache-apart", "", "that both runs of a pair met the prefix cache alike: the arms differ in their load")
	}
	switch {
	case !sameLoad:
		off("answers", "", "that both arms answer alike: they are not asked the same")
	case !AnswersAlike(plan):
		off("answers", "", "that both arms answer alike: answers are sampled, not greedy")
	}
	return all
}
