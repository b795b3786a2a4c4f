package runner

import "time"

// timeLeft says how long a series of runs will still take, by what its runs took so far. It knows nothing of what they
// measured.
type timeLeft struct {
	guess time.Duration // of one run, before the first has been made
	runs  int
	sum   time.Duration
}

func (t *timeLeft) add(d time.Duration) {
	t.runs++
	t.sum += d
}

// of is how long so many runs will take, the one that begins included. A plan may be decided earlier.
func (t *timeLeft) of(runs int) time.Duration {
	each := t.guess
	if t.runs > 0 {
		each = t.sum / time.Duration(t.runs)
	}
	return each * time.Duration(runs)
}
