package compare

import (
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// differences are what was asked differently, and what the servers settled on differently.
func differences(plan lab.Plan, runs []lab.Sealed) []lab.Difference {
	a, b := settled(runs, "A"), settled(runs, "B")
	if len(a) == 0 || len(b) == 0 { // of an arm that has not run yet nothing is known
		return lab.Diff(plan.A, plan.B)
	}
	said := [2]map[string]string{{}, {}}
	for path := range a {
		left, right, tell := apart(a[path], b[path])
		if tell {
			said[0][path], said[1][path] = left, right
		}
	}
	for path := range b {
		if _, both := a[path]; !both {
			said[0][path], said[1][path], _ = apart(nil, b[path])
		}
	}
	asked := lab.Diff(plan.A, plan.B)
	all := asked
	for _, d := range lab.DiffValues(said[0], said[1]) {
		if !repeats(asked, d) {
			all = append(all, d)
		}
	}
	return all
}

// repeats says whether a server only reports the flag that the two files set differently.
func repeats(asked []lab.Difference, d lab.Difference) bool {
	flag, ok := strings.CutPrefix(d.Path, "resolved.args.")
	return ok && slices.ContainsFunc(asked, func(a lab.Difference) bool {
		return (a.Path == "server."+flag || a.Path == "server.args."+flag) && a.A == d.A && a.B == d.B
	})
}

// settled gathers what the servers of an arm settled on: the different values of each path, sorted.
func settled(runs []lab.Sealed, arm string) map[string][]string {
	values := map[string][]string{}
	add := func(path, value string) {
		if value != "" && !slices.Contains(values[path], value) {
			values[path] = append(values[path], value)
		}
	}
	for _, r := range runs {
		if r.Run.Arm != arm {
			continue
		}
		for key, value := range r.Run.Server.Resolved {
			add("resolved."+key, value)
		}
		add("resolved.vllm_version", r.Run.Server.Version)
	}
	return values
}

// apart says whether the values of two arms tell something. A value that changes from start to start within an arm (a
// port, a pid, a name) does not, unless it is a number that lies in different ranges in the two, as the number of KV
// blocks may: the server measures the free memory anew at each start.
func apart(a, b []string) (left, right string, tell bool) {
	if len(a) <= 1 && len(b) <= 1 {
		return only(a), only(b), true
	}
	lowA, highA, okA := span(a)
	lowB, highB, okB := span(b)
	if !okA || !okB || lowA <= highB && lowB <= highA {
		return "", "", false
	}
	return ranged(lowA, highA), ranged(lowB, highB), true
}

func only(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func span(values []string) (low, high float64, ok bool) {
	for i, text := range values {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, 0, false
		}
		if i == 0 {
			low, high = v, v
		}
		low, high = min(low, v), max(high, v)
	}
	return low, high, len(values) > 0
}

func ranged(low, high float64) string {
	text := strconv.FormatFloat(low, 'f', -1, 64)
	if low != high {
		text += " to " + strconv.FormatFloat(high, 'f', -1, 64)
	}
	return text
}
