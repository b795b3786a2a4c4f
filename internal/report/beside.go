package report

import (
	"fmt"
	"slices"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/metric"
)

// Beside sets several single results beside the first one: a row a figure, a column a result, and what differs from the
// first. As of any single runs there is no verdict; reasons say what is measured differently in the columns.
func Beside(all []compare.Named) (t Table, reasons []string) {
	t = Table{Head: []string{"", "better is"}, Right: map[int]bool{}}
	type key struct{ phase, metric string }
	var order []key
	cells := map[key][]string{}
	several := len(all[0].Summary.Phases) > 1
	for i, other := range all {
		t.Head = append(t.Head, other.Name)
		t.Right[len(t.Head)-1] = true
		if i > 0 {
			t.Head = append(t.Head, "against "+all[0].Name)
			t.Right[len(t.Head)-1] = true
		}
		for _, row := range compare.Pair(all[0], other) {
			k := key{row.Phase, row.Metric}
			if _, known := cells[k]; !known {
				cells[k] = make([]string, 2*len(all)+1)
				order = append(order, k)
			}
			c := cells[k]
			if i == 0 {
				c[2] = value(row.A, row.Unit)
				continue
			}
			sign := ""
			if row.Reason != "" && row.Reason != lab.SingleRun {
				if !slices.Contains(reasons, row.Reason) {
					reasons = append(reasons, row.Reason)
				}
				sign = fmt.Sprintf(" (%d)", slices.Index(reasons, row.Reason)+1)
			}
			c[2*i+1], c[2*i+2] = value(row.B, row.Unit), change(row.Delta, row)+sign
		}
	}
	for _, k := range order {
		c := cells[k]
		c[0] = title(k.metric)
		if several && k.phase != metric.WholeRun {
			c[0] += ", " + k.phase
		}
		if m, known := metric.Find(k.metric); known {
			c[1] = [...]string{metric.Lower: "lower", metric.Higher: "higher", metric.Neither: ""}[m.Sense]
		}
		t.Rows = append(t.Rows, c)
	}
	return t, reasons
}
