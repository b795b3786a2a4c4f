package report

import (
	"fmt"
	"io"

	"lab/internal/compare"
)

// ErrorCounts prints how often verdicts err, beside what they may.
func ErrorCounts(w io.Writer, c compare.ErrorCounts, o Options) error {
	p := &printer{w: w, o: o}
	p.line("%d simulated A/Bs a line, seed %d", c.Trials, c.Seed)
	p.line("")
	g := &grid{right: map[int]bool{4: true, 5: true}}
	g.add("arms", "noise", "looks", "margin", "told", "may be", "")
	for _, cell := range c.Cells {
		margin := "-"
		if cell.Margin > 0 {
			margin = fmt.Sprintf("%.0f %%", cell.Margin*100)
		}
		state := "ok"
		if !cell.OK {
			state = p.bold("MISSED")
		}
		g.add(cell.What, cell.Noise, looks(cell.Looks), margin, share(cell.Told), share(cell.Least)+" to "+share(cell.Most), state)
	}
	p.grid(g, "")
	p.line("")
	p.paragraph("", "Told: share of A/Bs called better or worse; where B is slower, called worse, or no different where that is counted; of pooled requests, p below 0.05, which is why lab does not use that test. docs/statistics.md describes the noise.")
	return p.err
}

func looks(at []int) string {
	if len(at) == 1 {
		return fmt.Sprint(at[0])
	}
	return listed(at)
}

func share(v float64) string { return fmt.Sprintf("%.1f %%", v*100) }

// ErrorCountsJSON writes them as a document.
func ErrorCountsJSON(w io.Writer, c compare.ErrorCounts) error {
	return document(w, struct {
		Schema string `json:"schema"`
		compare.ErrorCounts
	}{"lab.selftest-statistics/v1", c})
}
