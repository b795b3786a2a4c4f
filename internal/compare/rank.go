package compare

import (
	"cmp"
	"math"
	"slices"
)

// Standing is one configuration among several in the order of a figure.
type Standing struct {
	Place  int      `json:"place"`         // in what was ranked
	N      int      `json:"n"`             // runs
	Mean   float64  `json:"mean"`          // of the figure over its runs
	Behind float64  `json:"behind"`        // relative difference to the first one, of geometric means; of itself 0
	Low    *float64 `json:"low,omitempty"` // interval of Behind; nil where one of the two has a single run, or nothing varies
	High   *float64 `json:"high,omitempty"`
	Told   bool     `json:"told_apart"` // from the first one: the interval leaves out 0
}

// rankLevel is the chance that any two configurations that are alike are told apart.
const rankLevel = 0.05

// Rank puts configurations in order by a figure over their runs, the best first, and says which of them the runs tell apart
// from the first. Those without a run, or with a value that is not above zero, are left out.
//
// Differences are of logarithms. Of two intervals the narrower one holds: Welch's, of the noise of both configurations alone,
// and one of the noise of all together, or a configuration's own where that is larger, which helps where each has few
// runs. The level is shared out over both, and over all pairs, since the first one was picked by the same runs.
func Rank(runs [][]float64, higher bool) []Standing {
	var all []Standing
	scale := make([][]float64, len(runs))
	for i, values := range runs {
		if len(values) > 0 && slices.Min(values) > 0 {
			all = append(all, Standing{Place: i, N: len(values), Mean: average(values)})
			scale[i] = logs(values)
		}
	}
	slices.SortStableFunc(all, func(a, b Standing) int {
		if higher {
			a, b = b, a
		}
		return cmp.Compare(a.Mean, b.Mean)
	})
	pooled, df := pool(scale)
	pairs := float64(len(all)*(len(all)-1)) / 2
	for i := 1; i < len(all); i++ {
		best, other := scale[all[0].Place], scale[all[i].Place]
		delta := average(other) - average(best)
		all[i].Behind = math.Expm1(delta)
		if pooled == 0 {
			continue
		}
		level := 1 - rankLevel/pairs/4 // two-sided, and shared by both intervals
		half := quantile(level, df) * math.Sqrt(noise(best, pooled)+noise(other, pooled))
		if f, ok := welchT(best, other); ok {
			half = min(half, quantile(level, f.df)*f.se)
		}
		all[i].Low, all[i].High = finite(math.Expm1(delta-half)), finite(math.Expm1(delta+half))
		all[i].Told = math.Abs(delta) > half
	}
	return all
}

// pool is the variance within the groups that have two values and more, and its degrees of freedom.
func pool(groups [][]float64) (v, df float64) {
	for _, g := range groups {
		if n := float64(len(g)); n > 1 {
			v, df = v+variance(g)*(n-1), df+n-1
		}
	}
	return v / max(1, df), df
}

// noise is the variance of the mean of values, each of which varies by pooled at least.
func noise(values []float64, pooled float64) float64 {
	if len(values) > 1 {
		pooled = max(pooled, variance(values))
	}
	return pooled / float64(len(values))
}

func logs(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return out
}

// Front marks the configurations that no other beats in one of two figures without losing in the other. Each is given by
// its means {x, y}; lower is better in x and higher in y where higherY, else lower too. NaN: it has no such figure.
func Front(means [][2]float64, higherY bool) []bool {
	better := func(a, b [2]float64) bool { // a beats b
		ya, yb := a[1], b[1]
		if higherY {
			ya, yb = -ya, -yb
		}
		return a[0] <= b[0] && ya <= yb && (a[0] < b[0] || ya < yb)
	}
	front := make([]bool, len(means))
	for i, m := range means {
		front[i] = !math.IsNaN(m[0]) && !math.IsNaN(m[1]) && !slices.ContainsFunc(means, func(o [2]float64) bool { return better(o, m) })
	}
	return front
}
