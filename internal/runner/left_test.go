package runner

import (
	"testing"
	"time"
)

func TestTheTimeLeftIsGuessedUntilARunHasBeenMade(t *testing.T) {
	left := timeLeft{guess: 3 * time.Minute}
	for _, tc := range []struct {
		took time.Duration
		runs int
		want time.Duration
	}{
		{0, 18, 54 * time.Minute},
		{4 * time.Minute, 40, 160 * time.Minute},
		{2 * time.Minute, 2, 6 * time.Minute},
		{0, 0, 0},
	} {
		if tc.took > 0 {
			left.add(tc.took)
		}
		if got := left.of(tc.runs); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
	}
}
