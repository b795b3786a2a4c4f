package page

import "math"

// thin picks at most about n points of a curve so that its shape stays (largest triangle three buckets, Steinarsson 2013).
// A point whose value is NaN is a hole; each hole stays, and the points are shared out over the stretches between.
func thin(at, v []float64, n int) (thinAt, thinV []float64) {
	if len(at) <= n {
		return at, v
	}
	from := 0
	for i := 0; i <= len(v); i++ {
		if i < len(v) && !math.IsNaN(v[i]) {
			continue
		}
		if length := i - from; length > 0 {
			a, b := triangles(at[from:i], v[from:i], max(3, n*length/len(v)))
			thinAt, thinV = append(thinAt, a...), append(thinV, b...)
		}
		if i < len(v) && len(thinV) > 0 && !math.IsNaN(thinV[len(thinV)-1]) {
			thinAt, thinV = append(thinAt, at[i]), append(thinV, v[i])
		}
		from = i + 1
	}
	return thinAt, thinV
}

// triangles keeps the first and the last point, and of each bucket between the point that spans the largest triangle with
// the one kept before and the mean of the next bucket.
func triangles(at, v []float64, n int) (keptAt, keptV []float64) {
	if len(at) <= n {
		return at, v
	}
	keptAt, keptV = append(keptAt, at[0]), append(keptV, v[0])
	last := 0
	width := float64(len(at)-2) / float64(n-2)
	edge := func(k int) int { return 1 + int(float64(k)*width) }
	for k := range n - 2 {
		from, to := edge(k), edge(k+1)
		nextTo := min(edge(k+2), len(at))
		meanAt, meanV := mean(at[to:nextTo]), mean(v[to:nextTo])
		if to >= nextTo {
			meanAt, meanV = at[len(at)-1], v[len(v)-1]
		}
		best, area := from, -1.0
		for i := from; i < to; i++ {
			a := math.Abs((at[last]-meanAt)*(v[i]-v[last]) - (at[last]-at[i])*(meanV-v[last]))
			if a > area {
				best, area = i, a
			}
		}
		keptAt, keptV = append(keptAt, at[best]), append(keptV, v[best])
		last = best
	}
	return append(keptAt, at[len(at)-1]), append(keptV, v[len(v)-1])
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
