package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lab/internal/compare"
	"lab/internal/metric"
)

// Calibration prints how much the figures vary on a box, what an A/B can tell there, and how much what decides varied in
// earlier calibrations, the newest of which come first.
func Calibration(w io.Writer, c compare.Calibration, earlier []compare.Calibration, o Options) error {
	p := &printer{w: w, o: o}
	p.line("%d pairs of equal arms (plan %s)", c.Pairs, c.Plan)
	p.line("")
	g := &grid{right: map[int]bool{1: true, 2: true, 4: true, 5: true, 6: true}}
	g.add("", "run to run", "A vs A", "", "seen by 3", "by 4", "by 8 pairs")
	for _, n := range c.Noise {
		if m, _ := metric.Find(n.Metric); m.Sense == metric.Neither || detail(n.Metric) {
			continue
		}
		show := func(v float64) string { return noise(v, n) }
		apart := show(n.AA)
		if n.AA > 0 {
			apart = "+" + apart
		}
		g.add(title(n.Metric)+", "+phaseName(n.Phase), show(n.CV), apart, probability(n.P), show(n.MDE[3]), show(n.MDE[4]), show(n.MDE[8]))
	}
	p.grid(g, "")
	p.line("")
	p.paragraph("", "Run to run: standard deviation between fresh servers. A vs A: what the equal arms differ by, and how probable that is by chance. Seen by n pairs: a difference that n pairs tell in 80 % of cases.")
	p.before(c, earlier)
	for _, row := range c.Told {
		p.paragraph("! ", fmt.Sprintf("the equal arms differ in %s by %s: something on this box changes between runs; look for it before you trust a verdict", title(row.Metric), change(row.Delta, row)))
	}
	return p.err
}

// noise writes how much a figure varies, in its unit.
func noise(v float64, n compare.Noise) string {
	if n.Absolute {
		return two(v*100) + " pp"
	}
	return two(v*100) + " %"
}

// before says how much what decides varied in earlier calibrations.
func (p *printer) before(c compare.Calibration, earlier []compare.Calibration) {
	decides := c.Noise[0]
	var all []string
	for _, e := range earlier {
		if n, known := e.Of(decides.Phase, decides.Metric); known {
			all = append(all, fmt.Sprintf("%s on %s (%d pairs)", noise(n.CV, n), e.Made.UTC().Format(time.DateOnly), e.Pairs))
		}
	}
	if len(all) > 0 {
		p.paragraph("", fmt.Sprintf("Earlier calibrations of this model here, %s: %s.", title(decides.Metric), strings.Join(all, ", ")))
	}
}

func phaseName(phase string) string {
	if phase == metric.WholeRun {
		return "the run"
	}
	return phase
}

// CalibrationJSON writes a calibration as a document, with earlier ones.
func CalibrationJSON(w io.Writer, c compare.Calibration, earlier []compare.Calibration) error {
	return document(w, struct {
		Schema string `json:"schema"`
		compare.Calibration
		Earlier []compare.Calibration `json:"earlier"`
	}{"lab.calibration/v1", c, list(earlier)})
}
