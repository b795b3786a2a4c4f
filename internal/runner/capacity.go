package runner

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"lab/internal/lab"
)

// How the capacity of a server is measured: so many requests in flight, unless its batch is smaller, each replaced as it
// ends, so many times over, for at most so long.
const (
	probeFlight = 256
	probeRounds = 4
	probeTime   = 30 * time.Second
)

// LoadPoints finds the rates of the phases that say theirs as a share of the capacity. Each server is started once and
// saturated in a closed loop; the smallest of their throughputs is the capacity, so that both arms of an A/B get the same
// load. Experiments that say their rates themselves come back as they are.
func (l *Lab) LoadPoints(ctx context.Context, arms ...Ready) ([]Ready, error) {
	arms = slices.Clone(arms)
	var asked []lab.Experiment
	for _, r := range arms {
		asked = append(asked, r.Experiment)
	}
	asked = adopt(asked)
	for i := range arms {
		arms[i].Experiment = asked[i]
	}
	capacity := math.Inf(1)
	for _, i := range toProbe(asked) {
		phase := slices.IndexFunc(asked[i].Phases, unsettled)
		found, err := l.capacity(ctx, arms[i], asked[i].Phases[phase].Load)
		if err != nil {
			return nil, err
		}
		capacity = min(capacity, found)
	}
	for _, r := range arms {
		for j := range r.Experiment.Phases {
			if load := &r.Experiment.Phases[j].Load; load.Unsettled() {
				load.Rate = lab.Number(round3(load.CapacityShare * capacity))
			}
		}
	}
	return arms, nil
}

func unsettled(p lab.Phase) bool { return p.Load.Unsettled() }

// toProbe says which of the arms must be measured before the rates are known, one for each server.
func toProbe(arms []lab.Experiment) []int {
	var all []int
	known := map[string]bool{}
	for i, e := range arms {
		if key := e.Server.Key(); slices.ContainsFunc(e.Phases, unsettled) && !known[key] {
			known[key] = true
			all = append(all, i)
		}
	}
	return all
}

// adopt takes for a rate that is not settled the one that another arm has for the same phase and share already, as the
// configuration of a baseline does. The arms that are given stay as they are.
func adopt(arms []lab.Experiment) []lab.Experiment {
	out := slices.Clone(arms)
	for i := range out {
		out[i].Phases = slices.Clone(out[i].Phases)
		for j := range out[i].Phases {
			p := &out[i].Phases[j]
			for _, other := range arms {
				for _, q := range other.Phases {
					if p.Load.Unsettled() && q.Name == p.Name && q.Load.CapacityShare == p.Load.CapacityShare {
						p.Load.Rate = q.Load.Rate
					}
				}
			}
		}
	}
	return out
}

// round3 keeps three digits: a rate that people can say, and that two plans can share.
func round3(v float64) float64 {
	scale := math.Pow(10, 2-math.Floor(math.Log10(v)))
	return math.Round(v*scale) / scale
}

// capacity is how many requests a second a server can carry.
func (l *Lab) capacity(ctx context.Context, r Ready, load lab.Load) (float64, error) {
	load.Rate, load.CapacityShare, load.Burstiness = 0, 0, 0
	load.Concurrency = probeFlight
	if n := r.Experiment.Server.MaxNumSeqs; n != nil {
		load.Concurrency = min(probeFlight, *n)
	}
	load.Requests, load.Duration = probeRounds*load.Concurrency, lab.Duration(probeTime)
	r.Experiment.Phases = []lab.Phase{{Name: "capacity", Load: load}}
	sealed, err := l.run(ctx, r, place{step: "capacity"})
	if err != nil {
		return 0, err
	}
	switch sealed.Run.Outcome {
	case lab.Failed:
		return 0, &ServerFailedError{sealed.Run}
	case lab.Interrupted:
		return 0, context.Cause(ctx)
	}
	f, ok := sealed.Summary.Figure("capacity", "request_throughput")
	if !ok || f.Value <= 0 {
		return 0, &ServerFailedError{lab.Run{ID: sealed.Run.ID, Outcome: lab.Failed, Failure: &lab.Failure{Class: lab.FailUnknown,
			Reason: fmt.Sprintf("no request succeeded while its capacity was measured (run %s)", sealed.Run.ID)}}}
	}
	return f.Value, nil
}
