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
		want string
	}{
		{0, 18, "pair, at most about 54 min left"},
		{4 * time.Minute, 40, "pair, at most about 2.7 h left"},
		{2 * time.Minute, 2, "pair, at most about 6 min left"},
		{0, 0, "pair, at most about 1 s left"},
	} {
		if tc.took > 0 {
			left.add(tc.took)
		}
		if got := left.step("pair", tc.runs); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
