package compare

import (
	"math"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Spread is a figure over several runs of one configuration.
type Spread struct {
	Phase    string  `json:"phase"`
	Metric   string  `json:"metric"`
	Unit     string  `json:"unit"`
	Mean     float64 `json:"mean"`               // geometric; of shares arithmetic
	SD       float64 `json:"sd"`                 // from run to run: of the logarithm, so relative; of shares in their own unit
	Absolute bool    `json:"absolute,omitempty"` // it is a share
	N        int     `json:"n"`
}

// Spreads are the figures that all runs have and that are good or bad when they are high.
func Spreads(runs []lab.Sealed) []Spread {
	var all []Spread
	if len(runs) < 2 {
		return nil
	}
	for _, f := range runs[0].Summary.Figures {
		m, known := metric.Find(f.Metric)
		y, ok := values(f.Phase, m, runs)
		if !known || !ok || m.Sense == metric.Neither {
			continue
		}
		s := Spread{Phase: f.Phase, Metric: f.Metric, Unit: f.Unit, Mean: average(y), SD: math.Sqrt(variance(y)), Absolute: m.Share, N: len(y)}
		if !m.Share {
			s.Mean = math.Exp(s.Mean)
		}
		all = append(all, s)
	}
	return all
}
