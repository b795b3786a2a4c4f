package report

import (
	"fmt"
	"strings"

	"lab/internal/lab"
	"lab/internal/metric"
)

// ownSteps are the parts of a request's way that have percentiles of their own.
var ownSteps = []string{"lag", "connect", "write", "first_byte", "first_token", "read_lag"}

// client prints what lab measured of itself: the parts of the way to a first token, how late it read, what it used, and in an
// open loop how the requests really left.
func (p *printer) client(s lab.Summary, phase string) {
	p.of = OfClient
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}, spare: []int{1}}
	g.head("the client", "mean", "p50", "p99", "max", "n")
	for _, name := range ownSteps {
		row := []string{strings.TrimSuffix(title(name+".max"), " max"), "-", "-", "-", "-", "-"} // an older lab did not keep all of them
		for i, extent := range []string{"mean", "p50", "p99", "max"} {
			if f, ok := s.Figure(phase, name+"."+extent); ok {
				row[i+1], row[5] = value(f.Value, f.Unit), fmt.Sprint(f.N)
			}
		}
		if row[5] != "-" {
			g.add(row...)
		}
	}
	if len(g.rows) > 1 {
		p.grid(g, "  ")
	}
	list := &grid{right: map[int]bool{1: true}}
	for _, f := range s.Figures {
		if m, known := metric.Find(f.Metric); known && f.Phase == phase && m.Own && !ofStep(f.Metric) {
			list.add(m.Title, value(f.Value, f.Unit))
		}
	}
	p.grid(list, "  ")
}

// ofStep says whether a metric is in the table of the client.
func ofStep(name string) bool {
	step, _, _ := strings.Cut(name, ".")
	for _, known := range ownSteps {
		if step == known {
			return true
		}
	}
	return false
}
