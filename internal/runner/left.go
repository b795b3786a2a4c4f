package runner

import (
	"fmt"
	"time"
)

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

// step adds to what is being done how long the runs that are left will take, the one that begins included. A plan may be
// decided earlier.
func (t *timeLeft) step(title string, left int) string {
	each := t.guess
	if t.runs > 0 {
		each = t.sum / time.Duration(t.runs)
	}
	return fmt.Sprintf("%s, at most about %s left", title, about(each*time.Duration(left)))
}

// about is a duration to two digits, as one says it.
func about(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", max(1, d.Round(time.Second).Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
