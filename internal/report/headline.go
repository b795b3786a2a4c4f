package report

import (
	"fmt"
	"slices"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Headline is one of the figures of a phase that people look for first.
type Headline struct {
	Metric string
	Title  string
	Value  string // with its unit
	Rests  string // on how much, and how precisely: "n = 1200"
	Change string // against other runs, where there are some
	Row    *lab.Row
}

// Headlines are those of a phase. Against are rows of a comparison in which B is this run; nil: there is none.
func Headlines(s lab.Summary, phase string, against []lab.Row) []Headline {
	var all []Headline
	for _, name := range headlines {
		f, ok := s.Figure(phase, name)
		if !ok {
			continue
		}
		h := Headline{Metric: name, Title: title(name), Value: value(f.Value, f.Unit)}
		if f.N > 0 {
			h.Rests = fmt.Sprintf("n = %d", f.N)
		}
		if f.Low != nil && f.High != nil {
			h.Rests += fmt.Sprintf("; 95 %% interval within this run %s to %s", value(*f.Low, f.Unit), value(*f.High, f.Unit))
		}
		if i := slices.IndexFunc(against, func(r lab.Row) bool { return r.Metric == name && r.Phase == phase }); i >= 0 {
			h.Row = &against[i]
			h.Change = change(h.Row.Delta, *h.Row)
		}
		all = append(all, h)
	}
	return all
}

// HeadlineMetrics are the names of these figures, in their order.
func HeadlineMetrics() []string { return slices.Clone(headlines) }

var headlines = []string{
	"output_throughput", "request_throughput", "ttft.p50", "ttft.p99", "itl.p50", "itl.p99", "e2el.p50", "e2el.p99",
	"goodput", "error_share", "energy_per_token", "power.mean", "gpu_mem.max", "kv_usage.max",
}

// Formula is how a metric is computed, and its sense, for a page that explains its figures.
func Formula(name string) string {
	m, known := metric.Find(name)
	if !known {
		return ""
	}
	return m.Formula + " (" + direction(m) + ")"
}

// Versus is a row of a comparison in words: value of A, of B, the difference with its interval at the row's level.
func Versus(r lab.Row) (name, a, b, difference string) {
	difference = change(r.Delta, r)
	if r.Low != nil && r.High != nil {
		difference += " " + bounds(r)
	}
	return title(r.Metric), value(r.A, r.Unit), value(r.B, r.Unit), difference
}
