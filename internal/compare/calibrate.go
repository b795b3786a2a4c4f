package compare

import (
	"fmt"
	"math"
	"time"

	"lab/internal/lab"
)

// Calibration is what equal arms showed on a box: how much each figure varies from run to run, and so how small a
// difference an A/B of the same kind can tell.
type Calibration struct {
	Plan  string    `json:"plan"`
	Made  time.Time `json:"made"`
	Pairs int       `json:"pairs"`
	Noise []Noise   `json:"noise"`
	Told  []lab.Row `json:"told_apart,omitempty"` // metrics by which the equal arms differed, corrected for their number
}

// Noise is that of one figure.
type Noise struct {
	Phase    string          `json:"phase"`
	Metric   string          `json:"metric"`
	Unit     string          `json:"unit"`
	CV       float64         `json:"run_cv"` // relative; of shares in their own unit
	Absolute bool            `json:"absolute,omitempty"`
	AA       float64         `json:"a_against_a"` // the difference that the equal arms showed
	P        float64         `json:"p"`
	MDE      map[int]float64 `json:"mde"` // pairs -> difference seen with 80 % power at the 5 % level
	N        int             `json:"n"`   // runs
}

// calibrated are the counts of pairs for which a calibration says what can be seen.
var calibrated = []int{3, 4, 6, 8}

// Calibrate reads the noise out of an A/B of equal arms.
func Calibrate(plan lab.Plan, runs []lab.Sealed) Calibration {
	v := Judge(plan, runs)
	c := Calibration{Plan: plan.ID, Made: plan.Made, Pairs: v.Look.Pairs}
	for _, row := range append(append([]lab.Row{v.Primary}, v.Guardrails...), v.Rows...) {
		if row.CV == nil || row.P == nil {
			continue
		}
		n := Noise{Phase: row.Phase, Metric: row.Metric, Unit: row.Unit, CV: *row.CV, Absolute: row.Absolute, AA: row.Delta, P: *row.P, N: 2 * row.N, MDE: map[int]float64{}}
		for _, pairs := range calibrated {
			n.MDE[pairs] = MDE(n.CV, pairs, 0.05)
		}
		c.Noise = append(c.Noise, n)
		if row.Flagged {
			c.Told = append(c.Told, row)
		}
	}
	return c
}

// Of finds the noise of a metric.
func (c Calibration) Of(phase, metric string) (Noise, bool) {
	for _, n := range c.Noise {
		if n.Phase == phase && n.Metric == metric {
			return n, true
		}
	}
	return Noise{}, false
}

// Floor warns of a verdict whose difference is smaller than the box can tell by its own noise; ok is false where it is
// not, or nothing is known.
func (c Calibration) Floor(v lab.Verdict) (lab.Finding, bool) {
	n, known := c.Of(v.Primary.Phase, v.Primary.Metric)
	if !known || v.Call != lab.Better && v.Call != lab.Worse && v.Call != lab.TradeOff {
		return lab.Finding{}, false
	}
	floor := MDE(n.CV, v.Look.Pairs, v.Plan.Alpha)
	if math.Abs(v.Primary.Delta) >= floor {
		return lab.Finding{}, false
	}
	unit := "%"
	if n.Absolute {
		unit = "pp"
	}
	seen, least := lab.Apart(math.Abs(v.Primary.Delta)*100, floor*100, 1)
	return lab.Finding{Code: "below-floor", Level: lab.Warning, Detail: fmt.Sprintf(
		"the difference of %s %s is smaller than what %d pairs can tell on this box: by its calibration %s runs vary by %.2g %[2]s, so %[6]s %[2]s is seen in 80 %% of cases",
		seen, unit, v.Look.Pairs, c.Plan, n.CV*100, least)}, true
}
