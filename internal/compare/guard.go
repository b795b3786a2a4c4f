package compare

import (
	"cmp"
	"slices"
)

// holm adjusts p-values so that the chance of any false one among them stays at the level (Holm 1979). The result is in
// the order of p.
func holm(p []float64) []float64 {
	order := ascending(p)
	adjusted := make([]float64, len(p))
	worst := 0.0
	for rank, i := range order {
		worst = max(worst, float64(len(p)-rank)*p[i])
		adjusted[i] = min(1, worst)
	}
	return adjusted
}

// discoveries says which p-values stand out among all of them, so that at the level's share of those that do is false
// (Benjamini and Hochberg 1995).
func discoveries(p []float64, level float64) []bool {
	order := ascending(p)
	last := -1
	for rank, i := range order {
		if p[i] <= float64(rank+1)*level/float64(len(p)) {
			last = rank
		}
	}
	out := make([]bool, len(p))
	for rank, i := range order {
		out[i] = rank <= last
	}
	return out
}

// ascending gives the indices of p in the order of its values.
func ascending(p []float64) []int {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	return order
}
