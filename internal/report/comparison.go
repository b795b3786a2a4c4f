package report

import (
	"fmt"
	"io"
	"slices"

	"lab/internal/lab"
)

// Comparison prints two single results side by side. They get no verdict, and why says so.
func Comparison(w io.Writer, a, b string, rows []lab.Row, why string, o Options) error {
	p := &printer{w: w, o: o}
	p.line("A  %s", a)
	p.line("B  %s", b)
	p.line("")
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
	g.add("", "A", "B", "B against A", "")
	var reasons []string // of single rows; what holds for all is in why
	for _, r := range rows {
		sign := ""
		if r.Reason != "" && r.Reason != lab.SingleRun {
			if !slices.Contains(reasons, r.Reason) {
				reasons = append(reasons, r.Reason)
			}
			sign = fmt.Sprintf("(%d)", slices.Index(reasons, r.Reason)+1)
		}
		g.add(title(r.Metric), value(r.A, r.Unit), value(r.B, r.Unit), change(r.Delta, r), sign)
	}
	if len(rows) == 0 {
		p.line("the two have no figure in common")
	} else {
		p.grid(g, "")
	}
	p.line("")
	for i, reason := range reasons {
		p.paragraph(fmt.Sprintf("(%d) ", i+1), reason)
	}
	p.paragraph("", why)
	return p.err
}
