package runner

import (
	"context"
	"fmt"
	"time"

	"lab/internal/lab"
)

// ServerFailedError is a server under test that did not start, died or hung; the run with the details is stored.
type ServerFailedError struct {
	Run lab.Run
}

func (e *ServerFailedError) Error() string {
	who := "server"
	if e.Run.Arm != "" {
		who = "server of arm " + e.Run.Arm
	}
	return fmt.Sprintf("%s failed (%s): %s", who, e.Run.Failure.Class, e.Run.Failure.Reason)
}

// AB makes the runs of a plan: each arm once unmeasured, so that compile caches fill and both arms meet the same
// machine, then the blocks in the plan's order, a fresh server each. It returns nil when all runs were made. A server
// that failed ends it with a *ServerFailedError, the user's interrupt with its cause; every run made is stored.
func (l *Lab) AB(ctx context.Context, plan lab.Plan, a, b Ready, maxTime time.Duration) error {
	if err := l.DB.SavePlan(plan); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	began := time.Now()
	arms := map[string]Ready{"A": a, "B": b}
	if plan.Fresh {
		for _, arm := range []string{"A", "B"} {
			at := place{plan: &plan, arm: arm, step: "burn-in " + arm, burnIn: true}
			if err := l.one(ctx, arms[arm], at); err != nil {
				return err
			}
		}
	}
	var longest time.Duration
	for slot, arm := range plan.Order {
		block := slot/2 + 1
		if slot%2 == 0 && maxTime > 0 && time.Since(began)+2*longest > maxTime {
			return nil // whole blocks only, and decided by time alone, not by what was seen
		}
		at := place{plan: &plan, arm: string(arm), block: block, slot: slot,
			step: fmt.Sprintf("pair %d of %d", block, plan.Pairs)}
		start := time.Now()
		if err := l.one(ctx, arms[string(arm)], at); err != nil {
			return err
		}
		longest = max(longest, time.Since(start))
	}
	return nil
}

func (l *Lab) one(ctx context.Context, r Ready, at place) error {
	if ctx.Err() != nil { // stopped while the run before was being wound up
		return context.Cause(ctx)
	}
	sealed, err := l.run(ctx, r, at)
	if err != nil {
		return err
	}
	switch sealed.Run.Outcome {
	case lab.Failed:
		return &ServerFailedError{sealed.Run}
	case lab.Interrupted:
		return context.Cause(ctx)
	}
	return nil
}
