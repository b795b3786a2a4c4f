package compare

import (
	"math"
	"math/rand/v2"

	"lab/internal/lab"
)

// noises are the ways in which the runs of an A/B differ beyond chance; docs/statistics.md describes them.
var noises = []string{"none", "linear", "warm-up", "ar1", "heavy", "carry-over"}

// trialCV is the noise from run to run of the model: relative standard deviation of a run's figure.
const trialCV = 0.012

// slotNoise are the parts of log y that the kind of noise adds at each slot.
func slotNoise(random *rand.Rand, kind, order string) []float64 {
	n := len(order)
	out := make([]float64, n)
	slow := newAR(random, 0.8, 0.02)
	for t := range out {
		switch kind {
		case "linear":
			out[t] = 0.03 * float64(t) / float64(n-1)
		case "warm-up":
			out[t] = -0.04 * math.Exp(-float64(t)/2)
		case "ar1":
			out[t] = slow()
		case "carry-over":
			if t > 0 && order[t-1] == 'B' {
				out[t] = 0.015
			}
		}
	}
	return out
}

// newAR gives the values of a stationary autoregression of first order.
func newAR(random *rand.Rand, rho, sd float64) func() float64 {
	x := sd * random.NormFloat64()
	return func() float64 {
		now := x
		x = rho*x + sd*math.Sqrt(1-rho*rho)*random.NormFloat64()
		return now
	}
}

// noisyRuns makes the figures of an A/B's runs: time per token in seconds, B slower by effect.
func noisyRuns(random *rand.Rand, kind, order string, effect float64) []float64 {
	values := slotNoise(random, kind, order)
	for t := range values {
		start := trialCV * random.NormFloat64()
		if kind == "heavy" && random.Float64() < 0.1 {
			start *= 5
		}
		values[t] += start
		if order[t] == 'B' {
			values[t] += math.Log1p(effect)
		}
		values[t] = 0.010 * math.Exp(values[t])
	}
	return values
}

// trialPlan is that of an A/B with the looks at their nominal level, deciding by time per token.
func trialPlan(random *rand.Rand, looks []int, level, margin float64) lab.Plan {
	e := lab.Experiment{Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Rate: 1}}}}
	pairs, seed := looks[len(looks)-1], random.Uint64()
	return lab.Plan{Pairs: pairs, Looks: looks, Order: Order(pairs, seed), Seed: seed, Phase: "load", Primary: "tpot.mean",
		Margin: margin, Alpha: level, Fresh: true, A: e, B: e}
}

// pairsOf are the runs of a plan with the values, all of them valid.
func pairsOf(p lab.Plan, values []float64) record {
	r := record{slots: true, blocks: make([]block, len(values)/2)}
	for t, v := range values {
		run := &r.blocks[t/2][t%2]
		run.Run = lab.Run{Arm: p.Order[t : t+1], Block: t/2 + 1, Slot: t, Outcome: lab.Complete}
		run.Summary.Figures = []lab.Figure{{Phase: "load", Metric: "tpot.mean", Value: v, Unit: "s", N: 600}}
	}
	return r
}
