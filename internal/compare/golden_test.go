package compare

import (
	"math"
	"testing"

	"lab/internal/lab"
)

func TestCriticalValuesOfTheUsualPlansAgreeWithTheTables(t *testing.T) {
	for _, tc := range []struct{ alpha, df, wide, narrow float64 }{
		{.05, 3, 3.182446, 2.353363}, {.05, 5, 2.570582, 2.015048}, {.05, 7, 2.364624, 1.894579},
		{.05, 9, 2.262157, 1.833113}, {.05, 13, 2.160369, 1.770933}, {.05, 17, 2.109816, 1.739607},
		{.0224, 3, 4.352769, 3.327579}, {.0224, 5, 3.261839, 2.661559}, {.0224, 7, 2.918117, 2.439375},
		{.0224, 9, 2.752093, 2.329279}, {.0224, 13, 2.590644, 2.220228}, {.0224, 17, 2.511797, 2.166192},
		{.0178, 3, 4.740658, 3.645672}, {.0178, 5, 3.472578, 2.855346}, {.0178, 7, 3.080615, 2.596618},
		{.0178, 9, 2.892900, 2.469491}, {.0178, 13, 2.711478, 2.344334}, {.0178, 17, 2.623306, 2.282613},
	} {
		near(t, "two-sided", quantile(1-tc.alpha/2, tc.df), tc.wide, 5e-7)
		near(t, "equivalence", quantile(1-tc.alpha, tc.df), tc.narrow, 5e-7)
	}
}

func TestTheEquivalenceIntervalsReproduceTheWorkedExample(t *testing.T) {
	f, _ := fitOf(example, "ABBAABBA")
	for _, tc := range []struct{ alpha, low, high float64 }{
		{.0224, .032523202, .043064812}, {.05, .033803515, .041784499},
	} {
		half := quantile(1-tc.alpha, f.df) * f.se
		near(t, "low", f.delta-half, tc.low, 5e-10)
		near(t, "high", f.delta+half, tc.high, 5e-10)
	}
}

func TestTheVerdictOfTheWorkedExampleIsWorseByAtLeastTheMargin(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	v := Judge(plan, runs)
	r := v.Primary
	near(t, "ratio", 1+r.Delta, 1.038517, 5e-7)
	near(t, "low", 1+*r.Low, 1.033244, 5e-7)
	near(t, "high", 1+*r.High, 1.043817, 5e-7)
	near(t, "p", *r.P, 7.281e-6, 5e-10)
	near(t, "drift over ten slots", math.Log1p(*r.Drift), .01571239, 5e-9)
	if v.Call != lab.Worse || v.Qualifier != "by at least 3 %" || r.N != 4 {
		t.Errorf("call %s, %q, n %d", v.Call, v.Qualifier, r.N)
	}
}

// The factors of two independent samples (t with 2n-2 degrees of freedom) that are published for 80 % power; the slot
// costs one degree of freedom more, so a plan's own factor is a little above and comes near as pairs grow.
func TestTheDetectableDifferenceComesNearTheTwoSampleFactors(t *testing.T) {
	for _, tc := range []struct {
		pairs  int
		factor float64
		within float64
	}{{3, 3.08, .35}, {4, 2.38, .15}, {5, 2.03, .08}, {8, 1.51, .03}, {20, .91, .01}} {
		got := MDE(1, tc.pairs, .05)
		if got < tc.factor-.01 || got > tc.factor+tc.within {
			t.Errorf("%d pairs: factor %.3f, want at or a little above %.2f", tc.pairs, got, tc.factor)
		}
	}
	for _, cv := range []float64{.004, .012, .05} {
		n := PairsNeeded(cv, .03, .05)
		if MDE(cv, n, .05) > .03 || n > 2 && MDE(cv, n-1, .05) <= .03 {
			t.Errorf("CV %g: %d pairs are not the fewest", cv, n)
		}
	}
	if n := PairsNeeded(10, .03, .05); n != 0 {
		t.Errorf("hopeless noise needs %d pairs, want 0: unknown", n)
	}
}
