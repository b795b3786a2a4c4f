package compare

import (
	"lab/internal/lab"
	"lab/internal/metric"
)

// Convergence is how the primary difference and its interval came to be: the row over the first two pairs that count, the
// first three, and so on to those that were judged. None of the rows has a call: the looks alone give one. While more is
// to be measured there are none, since between the looks nothing is estimated.
func Convergence(plan lab.Plan, runs []lab.Sealed) []lab.Row {
	r := read(plan, runs)
	v := judgeAt(plan, runs, r)
	m, known := metric.Find(plan.Primary)
	if !v.Look.Final || v.Look.Number == 0 || !known {
		return nil
	}
	var rows []lab.Row
	for pairs := 2; pairs <= v.Look.Pairs; pairs++ {
		blocks := r.blocks[:pairs]
		row, _, ok := compareRow(plan, metric.In(plan.Phase, plan.Primary), m, blocks, moments(blocks, r.slots))
		if !ok {
			return nil
		}
		row.Call = ""
		rows = append(rows, row)
	}
	return rows
}
