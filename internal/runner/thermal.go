package runner

import (
	"context"
	"fmt"
	"time"

	"lab/gpu"
	"lab/internal/lab"
)

const (
	startBand = 5.0             // degrees Celsius by which a run of an A/B may start hotter than the first measured one
	coolTime  = 5 * time.Minute // the longest wait for it
	coolPoll  = 2 * time.Second
)

// cool waits, before a run of an A/B, until its GPUs are about as cold as they were before the first measured run: what
// one run heats up must not slow the next. It waits a bounded time; a pair that started unlike nevertheless is flagged by
// the verdict. The temperature at the end goes into the run's record.
func (j *job) cool(ctx context.Context) error {
	hottest, known := j.hottest(j.before)
	if !known || j.run.Experiment.Attached() {
		return nil
	}
	j.run.StartTemp = &hottest
	if j.at.plan == nil || j.at.burnIn || j.at.profiled {
		return nil
	}
	limit, first, err := j.startLimit()
	if err != nil || first || hottest <= limit {
		return err
	}
	defer j.status.stage("starting", 0)
	j.status.stage("waiting for the GPU to cool", coolTime)
	for end := time.Now().Add(coolTime); hottest > limit && time.Now().Before(end); {
		is, wanted := lab.Apart(hottest, limit, 0)
		j.status.detail(fmt.Sprintf("%s °C, wanted %s °C", is, wanted))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(coolPoll):
		}
		found, err := gpu.Probe(ctx, []string{j.lab.Self}, lab.Telemetry{}, "")
		if err != nil {
			continue // a driver that does not answer just now is asked again
		}
		if now, known := j.hottest(found); known {
			hottest = now
		}
	}
	return nil
}

// hottest is the temperature of the hottest of the run's GPUs.
func (j *job) hottest(found gpu.Found) (degrees float64, known bool) {
	for _, uuid := range j.ready.devices() {
		if t, ok := found.Temperature[uuid]; ok && (!known || t > degrees) {
			degrees, known = t, true
		}
	}
	return degrees, known
}

// startLimit is the temperature above which a run of the plan does not start; first: there is no measured run yet.
func (j *job) startLimit() (limit float64, first bool, err error) {
	runs, err := j.lab.DB.PlanRuns(j.at.plan.ID)
	if err != nil {
		return 0, false, fmt.Errorf("read plan: %w", err)
	}
	for _, r := range runs { // in the order in which they were made
		if r.Run.Block > 0 && r.Run.StartTemp != nil && r.Run.Outcome != lab.Live {
			return *r.Run.StartTemp + startBand, false, nil
		}
	}
	return 0, true, nil
}
