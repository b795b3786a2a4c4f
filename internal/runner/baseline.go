package runner

import (
	"context"
	"fmt"

	"lab/internal/lab"
)

// mostSpoilt is how many runs of a capture may be invalid before it is given up.
const mostSpoilt = 3

// Capture makes the runs of a baseline that are missing, a fresh server each, after one start that is not measured. A
// run that is invalid is made again.
func (l *Lab) Capture(ctx context.Context, r Ready, c lab.Capture, have int) error {
	if !r.Experiment.Attached() {
		if err := l.one(ctx, r, place{baseline: &c, step: "burn-in", burnIn: true}); err != nil {
			return err
		}
	}
	spoilt := 0
	for n := have; n < c.Runs; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sealed, err := l.run(ctx, r, place{baseline: &c, step: fmt.Sprintf("run %d of %d", n+1, c.Runs)})
		if err != nil {
			return err
		}
		switch {
		case sealed.Run.Outcome == lab.Failed:
			return &ServerFailedError{sealed.Run}
		case sealed.Run.Outcome == lab.Interrupted:
			return context.Cause(ctx)
		case sealed.Run.Valid():
			n++
		default:
			if spoilt++; spoilt == mostSpoilt {
				return &InvalidError{sealed.Run}
			}
		}
	}
	return nil
}

// InvalidError is a series of runs that was given up because they must not be judged.
type InvalidError struct {
	Run lab.Run // the last of them
}

func (e *InvalidError) Error() string {
	for _, f := range e.Run.Findings {
		if f.Level == lab.Invalid {
			return fmt.Sprintf("%d runs are invalid, the last (%s) because of %s: %s", mostSpoilt, e.Run.ID, f.Code, f.Detail)
		}
	}
	return fmt.Sprintf("%d runs are invalid", mostSpoilt)
}
