package metric

import (
	"slices"
	"time"

	"lab/internal/lab"
)

// restarted: what a server did before a restart and after it is no measurement of one server. It shows by the moment at
// which its process says that it started, or by a counter that falls. Where moments come back, several servers answer
// under one address, and neither says anything.
func (c *checker) restarted() {
	var starts []float64
	var last map[string]float64
	fell, fellAt := "", time.Duration(0)
	for _, s := range engineSamples(c.tables.Samples) {
		if v, ok := s.Values[lab.EngineStarted]; ok && (len(starts) == 0 || starts[len(starts)-1] != v) {
			if slices.Contains(starts, v) {
				return
			}
			starts = append(starts, v)
			if len(starts) == 2 {
				fellAt = s.At
			}
		}
		for _, name := range []string{lab.EnginePrompt, lab.EngineGenerated, lab.EngineSteps} {
			v, ok := s.Values[name]
			if before, had := last[name]; ok && had && v < before && fell == "" && len(starts) < 2 {
				fell, fellAt = name, s.At
			}
		}
		last = s.Values
	}
	switch {
	case len(starts) > 1:
		c.add(lab.Invalid, "server-restarted", "the server was restarted during the run, by its own word %d time(s), the first seen at %.1f s: what ran before and after is not one measurement", len(starts)-1, fellAt.Seconds())
	case fell != "":
		c.add(lab.Invalid, "server-restarted", "the server's counter of %s fell at %.1f s: it was restarted during the run", fell, fellAt.Seconds())
	}
}

// engineSamples are the readings of /metrics that gave something, in the order of time.
func engineSamples(all []lab.Sample) []lab.Sample {
	var engine []lab.Sample
	for _, s := range all {
		if s.Device == "engine" && len(s.Values) > 0 {
			engine = append(engine, s)
		}
	}
	slices.SortStableFunc(engine, func(a, b lab.Sample) int { return int(a.At - b.At) })
	return engine
}
