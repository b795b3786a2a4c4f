package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// Drift is one fact of the machine, or of vllm, that changed from one run to a later one.
type Drift struct {
	Fact string    `json:"fact"`
	Was  string    `json:"was"`
	Is   string    `json:"is"`
	From string    `json:"from"` // the last run that had it as it was
	To   string    `json:"to"`   // the first that has it as it is
	At   time.Time `json:"at"`   // when that one began

	arms [2]string
}

// fingerprint says what of the machine was not the same in all runs, and between which: a difference of the arms may
// then be one of the machine. The vllm is compared within an arm only, for two arms may have two. Of each fact the first
// change is told.
func fingerprint(runs []lab.Sealed) (lab.Finding, bool) {
	var changes []string
	told := map[string]bool{}
	for _, d := range Drifts(runs) {
		if !told[d.Fact] {
			changes = append(changes, fmt.Sprintf("%s %s in run %s (%s), %s in run %s (%s)", d.Fact, d.Was, d.From, d.arms[0], d.Is, d.To, d.arms[1]))
		}
		told[d.Fact] = true
	}
	if len(changes) == 0 {
		return lab.Finding{}, false
	}
	return lab.Finding{Code: "fingerprint", Level: lab.Warning,
		Detail: "the machine was not the same in all runs: " + strings.Join(changes, "; ")}, true
}

// Drifts finds every change of each fact, in the order in which the runs were made. A fact that a run does not have says
// nothing.
func Drifts(runs []lab.Sealed) []Drift {
	last := map[string]lab.Run{} // the run that had a fact last
	value := map[string]string{}
	var all []Drift
	runs = slices.SortedFunc(slices.Values(runs), func(a, b lab.Sealed) int { return strings.Compare(a.Run.ID, b.Run.ID) })
	for _, r := range runs {
		facts := r.Run.Host.Fingerprint()
		for name, text := range map[string]string{"version": r.Run.Server.Version, "package": r.Run.Server.Package} {
			if text == "" {
				continue
			}
			name = "vllm " + name
			if r.Run.Arm != "" {
				name += " of arm " + r.Run.Arm
			}
			facts[name] = text
		}
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			if was, known := value[name]; known && was != facts[name] {
				from := last[name]
				all = append(all, Drift{name, was, facts[name], from.ID, r.Run.ID, r.Run.Epoch.Wall, [2]string{from.Arm, r.Run.Arm}})
			}
			last[name], value[name] = r.Run, facts[name]
		}
	}
	return all
}
