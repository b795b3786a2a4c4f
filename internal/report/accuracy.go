package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lab/internal/lab"
)

// ClientAccuracyJSON writes how accurate the load clients are as a document.
func ClientAccuracyJSON(w io.Writer, a lab.ClientAccuracy) error {
	a.Loads = list(a.Loads)
	return document(w, struct {
		Schema  string `json:"schema"`
		TimesIn string `json:"times_in"`
		lab.ClientAccuracy
	}{"lab.selftest-client/v1", "nanoseconds; figures in the unit of their row", a})
}

// ClientAccuracy prints a table for each load: lab's figure, what it should be at most, and the other clients beside it.
func ClientAccuracy(w io.Writer, a lab.ClientAccuracy, o Options) error {
	p := &printer{w: w, o: o}
	p.paragraph("machine  ", fmt.Sprintf("%s, %s, %d cores, kernel %s; lab %s", a.Host.Name, a.Host.CPU, a.Host.Cores, a.Host.Kernel, a.Lab))
	p.paragraph("cores    ", a.Places)
	values := "values   "
	if a.Repeat == 1 {
		p.paragraph(values, "of one run of each client: on a noisy machine use --repeat 5 and look at the ratios")
	} else {
		p.paragraph(values, fmt.Sprintf("medians of %d runs of each client, made in turn", a.Repeat))
	}
	missed := 0
	for _, l := range a.Loads {
		p.line("")
		missed += p.accuracyLoad(l, a.Clients)
	}
	p.line("")
	switch missed {
	case 0:
		p.line("no target is missed (%s)", length(a.Took))
	case 1:
		p.line("%s target is missed (%s)", p.bold("1"), length(a.Took))
	default:
		p.line("%s targets are missed (%s)", p.bold(fmt.Sprint(missed)), length(a.Took))
	}
	return p.err
}

// accuracyLoad prints one load and says how many targets are missed under it.
func (p *printer) accuracyLoad(l lab.AccuracyLoad, clients []string) (missed int) {
	p.paragraph("", fmt.Sprintf("%s: %d requests of %d tokens, the first %s after the request was read, then one every %s",
		p.bold(l.Title), l.Requests, l.Tokens, briefly(l.First), briefly(l.Gap)))
	g := &grid{right: map[int]bool{1: true, 2: true}}
	head := []string{"", "n", clients[0], "target", ""}
	for _, c := range clients[1:] {
		g.right[len(head)], g.right[len(head)+1] = true, true
		head = append(head, c, "ratio")
	}
	g.right[3] = true
	g.add(head...)
	for _, r := range l.Rows {
		g.add(accuracyCells(r, clients)...)
		if r.Met != nil && !*r.Met {
			missed++
		}
	}
	p.grid(g, "  ")
	for _, n := range l.Notes {
		p.paragraph("  note: ", n)
	}
	return missed
}

func accuracyCells(r lab.AccuracyRow, clients []string) []string {
	cells := []string{r.Title + ", " + r.Unit, "-", "-", "", ""}
	for i, client := range clients {
		c, ok := r.Cell(client)
		text, ratio := "-", ""
		if ok {
			text = threeDigits(c.Value)
		}
		switch {
		case c.Ratio == nil:
		case *c.Ratio < 0.01:
			ratio = "<0.01"
		default:
			ratio = fmt.Sprintf("%.2f", *c.Ratio)
		}
		if i > 0 {
			cells = append(cells, text, ratio)
			continue
		}
		if ok {
			cells[1] = fmt.Sprint(c.N)
		}
		cells[2] = text
	}
	if r.Target != nil {
		cells[3] = threeDigits(*r.Target)
	}
	if r.Met != nil {
		cells[4] = "ok"
		if !*r.Met {
			cells[4] = "MISSED"
		}
	}
	return cells
}

// threeDigits writes a value with three decimals, fewer where it is large: a row has one unit, and is read across.
func threeDigits(v float64) string {
	decimals := 3
	for size := max(v, -v); size >= 10 && decimals > 0; size /= 10 {
		decimals--
	}
	return fmt.Sprintf("%.*f", decimals, v)
}

func briefly(d time.Duration) string { return strings.ReplaceAll(d.String(), "ms", " ms") }
