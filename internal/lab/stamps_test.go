package lab

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestALagStandsInTheClassWhoseBoundsHoldIt(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 999, 1000, 1249, 1250, 1999, 2000, 2500, 999_999, time.Millisecond, time.Second, 9 * time.Second, time.Hour} {
		class := lagClass(d)
		if d < lagBound(class) || class < LagClasses-1 && d >= lagBound(class+1) {
			t.Errorf("%v is in class %d: from %v to %v", d, class, lagBound(class), lagBound(class+1))
		}
	}
	for class := 1; class < LagClasses; class++ {
		if lagBound(class) <= lagBound(class-1) || lagClass(lagBound(class)) != class {
			t.Errorf("class %d begins at %v, the one before at %v", class, lagBound(class), lagBound(class-1))
		}
	}
}

func TestTheLagsOfManyRequestsAddUpToTheirDistribution(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var sum Lags
	var all []time.Duration
	for range 200 {
		var one Lags
		for range 50 {
			d := time.Duration(random.ExpFloat64() * float64(80*time.Microsecond))
			one.Add(d)
			all = append(all, d)
		}
		sum.Merge(one)
	}
	slices.Sort(all)
	if sum.N() != len(all) || sum.Max != all[len(all)-1] {
		t.Fatalf("%d, longest %v; want %d, %v", sum.N(), sum.Max, len(all), all[len(all)-1])
	}
	for _, q := range []float64{0, 0.5, 0.99, 1} {
		got, ok := sum.Quantile(q)
		want := all[int(q*float64(len(all)-1))]
		if off := (got - want).Abs(); !ok || off > time.Microsecond && off > want/4 {
			t.Errorf("quantile %g: %v, want %v", q, got, want)
		}
	}
	var none Lags
	if v, ok := none.Quantile(0.5); ok {
		t.Errorf("of nothing the median is %v", v)
	}
}
