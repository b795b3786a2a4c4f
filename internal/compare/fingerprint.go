package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lab/internal/lab"
)

// drift is one fact of the machine that changed from one run to a later one.
type drift struct {
	name, was, is string
	from, to      lab.Run
}

// fingerprint says what of the machine was not the same in all runs, and between which: a difference of the arms may
// then be one of the machine. The vllm is compared within an arm only, for two arms may have two.
func fingerprint(runs []lab.Sealed) (lab.Finding, bool) {
	var changes []string
	for _, d := range drifts(runs) {
		changes = append(changes, fmt.Sprintf("%s %s in run %s (%s), %s in run %s (%s)", d.name, d.was, d.from.ID, d.from.Arm, d.is, d.to.ID, d.to.Arm))
	}
	if len(changes) == 0 {
		return lab.Finding{}, false
	}
	return lab.Finding{Code: "fingerprint", Level: lab.Warning,
		Detail: "the machine was not the same in all runs: " + strings.Join(changes, "; ")}, true
}

// drifts finds the first change of each fact, in the order in which the runs were made. A fact that a run does not have
// says nothing.
func drifts(runs []lab.Sealed) []drift {
	last := map[string]lab.Run{} // the run that had a fact last
	value := map[string]string{}
	found := map[string]bool{}
	var all []drift
	runs = slices.SortedFunc(slices.Values(runs), func(a, b lab.Sealed) int { return strings.Compare(a.Run.ID, b.Run.ID) })
	for _, r := range runs {
		facts := r.Run.Host.Fingerprint()
		for name, text := range map[string]string{"version": r.Run.Server.Version, "package": r.Run.Server.Package} {
			if text != "" {
				facts["vllm "+name+" of arm "+r.Run.Arm] = text
			}
		}
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			if was, known := value[name]; known && was != facts[name] && !found[name] {
				found[name] = true
				all = append(all, drift{name, was, facts[name], last[name], r.Run})
			}
			last[name], value[name] = r.Run, facts[name]
		}
	}
	return all
}
