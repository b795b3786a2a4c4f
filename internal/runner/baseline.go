package runner

import (
	"context"
	"fmt"
	"time"

	"lab/internal/lab"
)

// mostSpoilt is how many runs of a series may be invalid before it is given up.
const mostSpoilt = 3

// Capture makes the runs of a baseline that are missing, as Repeat does.
func (l *Lab) Capture(ctx context.Context, r Ready, c lab.Capture, have int) error {
	_, err := l.repeat(ctx, r, place{baseline: &c}, have, c.Runs)
	return err
}

// Repeat makes so many valid runs of an experiment, a fresh server each, after one start that is not measured. A run that
// is invalid is made again; too many of them are an *InvalidError, a server that failed is a *ServerFailedError.
func (l *Lab) Repeat(ctx context.Context, r Ready, runs int) ([]lab.Sealed, error) {
	return l.repeat(ctx, r, place{}, 0, runs)
}

// repeat makes the valid runs that are missing to so many.
func (l *Lab) repeat(ctx context.Context, r Ready, at place, have, want int) (made []lab.Sealed, err error) {
	left := timeLeft{}
	if left.guess, _, err = l.timeOf(r.Experiment); err != nil {
		return nil, err
	}
	if !r.Experiment.Attached() {
		at.burnIn, at.step, at.left = true, "burn-in", left.of(1+want-have)
		if err := l.one(ctx, r, at); err != nil {
			return nil, err
		}
		at.burnIn = false
	}
	for spoilt := 0; have+len(made) < want; {
		if ctx.Err() != nil {
			return made, context.Cause(ctx)
		}
		at.step, at.left = fmt.Sprintf("run %d of %d", have+len(made)+1, want), left.of(want-have-len(made))
		start := time.Now()
		sealed, err := l.run(ctx, r, at)
		if err != nil {
			return made, err
		}
		left.add(time.Since(start))
		switch {
		case sealed.Run.Outcome == lab.Failed:
			return made, &ServerFailedError{sealed.Run}
		case sealed.Run.Outcome == lab.Interrupted:
			return made, context.Cause(ctx)
		case sealed.Run.Valid():
			made = append(made, sealed)
		default:
			if spoilt++; spoilt == mostSpoilt {
				return made, &InvalidError{sealed.Run}
			}
		}
	}
	return made, nil
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
