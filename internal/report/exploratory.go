package report

import (
	"fmt"
	"strings"

	"lab/internal/lab"
	"lab/internal/metric"
)

// informing lists the other metrics, phase by phase.
func (p *printer) informing(v lab.Verdict) {
	var phases []string
	rows := map[string][]lab.Row{}
	for _, r := range v.Rows {
		if detail(r.Metric) {
			continue
		}
		phase := r.Phase
		if phase == metric.WholeRun && len(phases) > 0 {
			phase = phases[len(phases)-1] // of the run as a whole: it ends the table
		}
		if rows[phase] == nil {
			phases = append(phases, phase)
		}
		rows[phase] = append(rows[phase], r)
	}
	if len(phases) > 0 {
		p.line("")
		p.paragraph("", "Exploratory; these do not decide. * = stands out among all of them (Benjamini and Hochberg); without it, of so many, one or two differ by chance. ? = too noisy to tell, "+tooFew+" = independent requests beyond a p99.")
	}
	for _, phase := range phases {
		g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
		g.head("phase "+phase, "A", "B", "B vs A", fmt.Sprintf("%.4g %% interval", v.Primary.Level*100), "")
		for _, r := range rows[phase] {
			g.add(title(r.Metric), short(r.A, r.Unit), short(r.B, r.Unit), change(r.Delta, r), bounds(r), mark(r))
		}
		p.grid(g, "")
	}
}

// short is a value in a table; what it counts stands in the metric's name, and the word would take the name's room.
func short(v float64, unit string) string {
	return strings.TrimSuffix(value(v, unit), " requests")
}

// tooFew marks a p99 that is not comparable.
const tooFew = "too few"

// detail says whether a row is left to --json: between the median and the tail there is little to add.
func detail(name string) bool {
	return strings.HasSuffix(name, ".p90") || strings.HasSuffix(name, ".p95")
}

// mark is the word beside an informing row; silence where the metric is neither good nor bad.
func mark(r lab.Row) string {
	if r.Low == nil {
		if r.Call == lab.NoDifference { // the same in every run
			return "same"
		}
		return ""
	}
	switch r.Call {
	case "":
		if r.Reason != "" {
			return tooFew
		}
	case lab.Better, lab.Worse:
		if r.Flagged {
			return string(r.Call) + " *"
		}
		return string(r.Call)
	case lab.NoDifference:
		return "same"
	case lab.Inconclusive:
		return "?"
	}
	return ""
}
