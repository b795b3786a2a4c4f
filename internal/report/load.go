package report

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"lab/internal/lab"
)

// point says at which load something was measured: the numbers hold for it only.
func point(l lab.Load) string {
	bound := ""
	if l.Concurrency > 0 {
		bound = fmt.Sprintf(", at most %d in flight", l.Concurrency)
	}
	switch {
	case !l.Open():
		return fmt.Sprintf("closed loop, %d in flight", l.Concurrency)
	case l.Timed():
		return "open loop, at the trace's own times" + bound
	case l.RampUp != nil:
		return fmt.Sprintf("open loop, %d to %d requests/s (%s)%s", l.RampUp.Start, l.RampUp.End, l.RampUp.Strategy, bound)
	case math.IsInf(float64(l.Rate), 1):
		return "all requests at once" + bound
	}
	if l.Unsettled() {
		return fmt.Sprintf("open loop at %g %% of the capacity, which is measured first%s", l.CapacityShare*100, bound)
	}
	if l.CapacityShare > 0 {
		bound = fmt.Sprintf(" (%g %% of the capacity)", l.CapacityShare*100) + bound
	}
	return fmt.Sprintf("open loop, %s requests/s%s", l.Rate, bound)
}

// work says how much was sent and what.
func work(l lab.Load) string {
	var parts []string
	if l.Requests > 0 {
		parts = append(parts, fmt.Sprintf("%d requests", l.Requests))
	}
	if l.Duration > 0 {
		parts = append(parts, l.Duration.String())
	}
	all := []string{strings.Join(parts, " or "), prompts(l.Dataset)}
	if l.OnDemand {
		all = append(all, "connections opened on demand")
	}
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), ", ")
}

// prompts says what was sent. Of an imported run perhaps the lengths are known, what was sent is not.
func prompts(d lab.Dataset) string {
	lengths := fmt.Sprintf("%d tokens in, %d out", d.InputTokens, d.OutputTokens)
	switch d.Kind {
	case "":
		if d.InputTokens == 0 {
			return ""
		}
		return lengths
	case "prompts", "custom", "sharegpt", "hf", "timed_trace":
		return d.Kind + " of " + filepath.Base(d.File)
	case "prefix_repetition":
		return fmt.Sprintf("%d prefixes of %d tokens, %s", d.Prefixes, d.PrefixTokens, lengths)
	}
	what := fmt.Sprintf("%d random tokens in, %d out", d.InputTokens, d.OutputTokens)
	if d.RangeRatio > 0 {
		what += fmt.Sprintf(" (each ±%.0f %%)", d.RangeRatio*100)
	}
	if d.PrefixTokens > 0 {
		what += fmt.Sprintf(", %d more shared by all", d.PrefixTokens)
	}
	if d.Kind == "random-mm" {
		what += ", with images"
	}
	return what
}
