package report

import (
	"fmt"
	"io"

	"lab/internal/compare"
	"lab/internal/metric"
)

// Calibration prints how much the figures vary on a box, and what an A/B can tell there.
func Calibration(w io.Writer, c compare.Calibration, o Options) error {
	p := &printer{w: w, o: o}
	p.line("%d pairs of equal arms (plan %s)", c.Pairs, c.Plan)
	p.line("")
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}}
	g.add("", "run to run", "A vs A", "seen by 3", "by 4", "by 8 pairs")
	for _, n := range c.Noise {
		if m, _ := metric.Find(n.Metric); m.Sense == metric.Neither || detail(n.Metric) {
			continue
		}
		unit := " %"
		if n.Absolute {
			unit = " pp"
		}
		show := func(v float64) string { return fmt.Sprintf("%.2g%s", v*100, unit) }
		g.add(title(n.Metric)+", "+phaseName(n.Phase), show(n.CV), fmt.Sprintf("%+.2g%s", n.AA*100, unit), show(n.MDE[3]), show(n.MDE[4]), show(n.MDE[8]))
	}
	p.grid(g, "")
	p.line("")
	p.paragraph("", "Run to run: standard deviation between fresh servers. Seen by n pairs: a difference that n pairs tell in 80 % of cases.")
	for _, row := range c.Told {
		p.paragraph("! ", fmt.Sprintf("the equal arms differ in %s by %s: something on this box changes between runs; look for it before you trust a verdict", title(row.Metric), change(row.Delta, row)))
	}
	return p.err
}

func phaseName(phase string) string {
	if phase == metric.WholeRun {
		return "the run"
	}
	return phase
}

// CalibrationJSON writes a calibration as a document.
func CalibrationJSON(w io.Writer, c compare.Calibration) error {
	return document(w, struct {
		Schema string `json:"schema"`
		compare.Calibration
	}{"lab.calibration/v1", c})
}
