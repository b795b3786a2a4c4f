package runner

import (
	"fmt"
	"time"

	"lab/internal/lab"
)

// SweepEstimate says what a sweep will cost before it goes on.
type SweepEstimate struct {
	Runs   int // still to be made
	Starts int // of servers
	Each   []time.Duration
	Total  time.Duration
	Basis  string // what the time rests on
}

// EstimateSweep looks at what this box did with the same cells before; Each is by step, 0 where it is done.
func (l *Lab) EstimateSweep(s lab.Sweep, steps []SweepStep) (SweepEstimate, error) {
	e := SweepEstimate{Each: make([]time.Duration, len(steps))}
	entries, err := l.DB.List()
	if err != nil {
		return e, fmt.Errorf("read history: %w", err)
	}
	type mean struct {
		sum time.Duration
		n   int
	}
	history := map[string]mean{}
	for _, entry := range entries {
		if entry.Outcome == lab.Complete {
			m := history[entry.Key]
			history[entry.Key] = mean{m.sum + entry.Took, m.n + 1}
		}
	}
	known, assumed := 0, ""
	for i, step := range steps {
		if step.Done {
			continue
		}
		e.Runs++
		if step.Start {
			e.Starts++
		}
		x := s.Experiment(step.Cell, step.Repeat)
		if m := history[x.Key()]; m.n > 0 {
			e.Each[i] = m.sum / time.Duration(m.n)
			known++
		} else {
			e.Each[i], assumed = assumeTime(x)
			if !step.Start {
				start, _ := assumeStart(x)
				e.Each[i] -= start
			}
		}
		e.Total += e.Each[i]
	}
	switch {
	case known == e.Runs:
		e.Basis = "from earlier runs of the same cells"
	case known > 0:
		e.Basis = fmt.Sprintf("%d of %d from earlier runs of the same cells, the rest %s", known, e.Runs, assumed)
	default:
		e.Basis = assumed
	}
	return e, nil
}
