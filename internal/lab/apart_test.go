package lab

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestAValueOverALimitNeverLooksEqualToIt(t *testing.T) {
	for _, tc := range []struct {
		v, limit     float64
		decimals     int
		value, bound string
	}{
		{7.31, 5, 1, "7.3", "5.0"}, {5.02, 5, 1, "5.02", "5.00"}, {4.9996, 5, 0, "4.9996", "5.0000"}, {5, 5, 1, "5.0", "5.0"}, {-3.04, -3, 1, "-3.04", "-3.00"},
	} {
		if v, bound := Apart(tc.v, tc.limit, tc.decimals); v != tc.value || bound != tc.bound {
			t.Errorf("%g against %g: %s and %s, want %s and %s", tc.v, tc.limit, v, bound, tc.value, tc.bound)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		limit := random.Float64() * 100
		v := limit + (random.Float64()-.5)/float64(uint64(1)<<random.IntN(30))
		text, bound := Apart(v, limit, random.IntN(3))
		one, _ := strconv.ParseFloat(text, 64)
		other, _ := strconv.ParseFloat(bound, 64)
		if (one > other) != (v > limit) || (one < other) != (v < limit) {
			t.Errorf("%.17g against %.17g is told as %s against %s", v, limit, text, bound)
		}
	}
}
