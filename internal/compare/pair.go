package compare

import (
	"fmt"
	"strings"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Named is a summary with the name that people know it by.
type Named struct {
	Name    string
	Summary lab.Summary
}

// Pair sets two single summaries side by side, in the order of A's figures. They show no noise from run to run, so there
// is no interval and no call. Where one came from another program, Reason says what it measures differently.
func Pair(a, b Named) []lab.Row {
	var all []lab.Row
	for _, f := range a.Summary.Figures {
		m, known := metric.Find(f.Metric)
		g, found := opposite(f, a.Summary, b.Summary)
		if !known || !found || m.Own {
			continue
		}
		row := lab.Row{Phase: f.Phase, Metric: f.Metric, Unit: f.Unit, Higher: m.Sense == metric.Higher, Absolute: m.Share, A: f.Value, B: g.Value, N: 1,
			Reason: lab.SingleRun}
		if (a.Summary.Definitions == 0) != (b.Summary.Definitions == 0) { // 0: summed up by another program
			row.Reason = otherwise(f.Metric)
		} else if a.Summary.Definitions != b.Summary.Definitions && m.Unit == "s" {
			row.Reason = fmt.Sprintf("measured by definitions %d in A and %d in B: from 2 on a chunk arrives when the kernel took it in, before when lab had read it",
				a.Summary.Definitions, b.Summary.Definitions)
		}
		switch {
		case m.Share:
			row.Delta = g.Value - f.Value
		case f.Value > 0:
			row.Delta = g.Value/f.Value - 1
		default:
			continue
		}
		all = append(all, row)
	}
	return all
}

// opposite finds the figure of B for one of A: of the same phase, or of the only phase of each, whatever it is called.
func opposite(f lab.Figure, a, b lab.Summary) (lab.Figure, bool) {
	g, ok := b.Figure(f.Phase, f.Metric)
	if !ok && len(a.Phases) == 1 && len(b.Phases) == 1 && f.Phase == a.Phases[0].Phase {
		return b.Figure(b.Phases[0].Phase, f.Metric)
	}
	return g, ok
}

// otherwise says how the benchmark of vLLM measures what lab calls by the same name (docs/metrics.md).
func otherwise(name string) string {
	quantity, _, _ := strings.Cut(name, ".")
	switch quantity {
	case "ttft", "e2el":
		return "measured from different moments: vllm bench counts from the sending, lab from the intended moment"
	case "itl":
		return "measured differently: vllm bench counts gaps between messages, lab between tokens"
	case "error_share":
		return "measured differently: vllm bench takes a stream that broke off for a success"
	}
	return lab.SingleRun
}
