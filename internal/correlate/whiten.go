package correlate

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// residuals is what is left of y after the least-squares fit on a constant and the given series.
func residuals(y []float64, given ...[]float64) []float64 {
	ones := make([]float64, len(y))
	for i := range ones {
		ones[i] = 1
	}
	left := append([]float64(nil), y...)
	var basis [][]float64
	for _, column := range append([][]float64{ones}, given...) {
		c := append([]float64(nil), column...)
		whole := dot(c, c)
		for range 2 { // twice: once leaves what rounding hid
			for _, b := range basis {
				subtract(c, b)
			}
		}
		if length := dot(c, c); length > 1e-12*whole { // else it is made of the ones before
			scale := 1 / math.Sqrt(length)
			for i := range c {
				c[i] *= scale
			}
			basis = append(basis, c)
			subtract(left, c)
		}
	}
	return left
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// subtract takes the part along a unit vector out of x.
func subtract(x, unit []float64) {
	part := dot(x, unit)
	for i := range x {
		x[i] -= part * unit[i]
	}
}

// ramp is the time on a grid, for taking out a straight line.
func ramp(n int) []float64 {
	t := make([]float64, n)
	for i := range t {
		t[i] = float64(i)
	}
	return t
}

// autoregression fits AR(p) by Levinson and Durbin on biased autocovariances, p at most most, by the least of
// n ln(innovation variance) + 2p.
func autoregression(x []float64, most int) []float64 {
	n := len(x)
	mean := 0.0
	for _, v := range x {
		mean += v
	}
	mean /= float64(n)
	cov := make([]float64, most+1)
	for k := range cov {
		for i := k; i < n; i++ {
			cov[k] += (x[i] - mean) * (x[i-k] - mean)
		}
		cov[k] /= float64(n)
	}
	variance := cov[0]
	if variance <= 0 {
		return nil
	}
	var phi, best []float64
	least := float64(n) * math.Log(variance)
	for p := 1; p <= most; p++ {
		top := cov[p]
		for j, f := range phi {
			top -= f * cov[p-1-j]
		}
		k := top / variance
		next := make([]float64, p)
		next[p-1] = k
		for j, f := range phi {
			next[j] = f - k*phi[p-2-j]
		}
		phi = next
		if variance *= 1 - k*k; variance <= 0 {
			break
		}
		if score := float64(n)*math.Log(variance) + 2*float64(p); score < least {
			least, best = score, phi
		}
	}
	return best
}

// filter is what a series has beyond what its own past says, from its p-th value on.
func filter(x, phi []float64) []float64 {
	var out []float64
	for i := len(phi); i < len(x); i++ {
		v := x[i]
		for j, f := range phi {
			v -= f * x[i-1-j]
		}
		out = append(out, v)
	}
	return out
}

// mostOrder is the highest order of an autoregression.
const mostOrder = 10

// whitened takes a line in time and the given series out of x and y, and from what is left each one's own past.
func whitened(x, y []float64, given ...[]float64) (u, w []float64) {
	given = append([][]float64{ramp(len(x))}, given...)
	u, w = residuals(x, given...), residuals(y, given...)
	u, w = filter(u, autoregression(u, mostOrder)), filter(w, autoregression(w, mostOrder))
	n := min(len(u), len(w))
	return u[len(u)-n:], w[len(w)-n:]
}

// link is the strongest correlation of two whitened series, the first leading by lag.
type link struct {
	lag int
	r   float64
	n   int     // points it rests on
	p   float64 // corrected for the number of lags
}

// strongest looks at lags 0 to most. Correction by Bonferroni.
func strongest(u, w []float64, most int) link {
	best := link{p: 1}
	for lag := 0; lag <= most; lag++ {
		n := len(u) - lag
		if n < 10 {
			break
		}
		r := pearson(u[:n], w[lag:])
		t := r * math.Sqrt(float64(n-2)/(1-r*r))
		if p := twoSided(t, float64(n-2)); p < best.p || lag == 0 {
			best = link{lag, r, n, p}
		}
	}
	best.p = min(1, best.p*float64(most+1))
	return best
}

func pearson(x, y []float64) float64 {
	n := float64(len(x))
	var sx, sy, sxx, syy, sxy float64
	for i := range x {
		sx, sy = sx+x[i], sy+y[i]
	}
	mx, my := sx/n, sy/n
	for i := range x {
		a, b := x[i]-mx, y[i]-my
		sxx, syy, sxy = sxx+a*a, syy+b*b, sxy+a*b
	}
	if sxx == 0 || syy == 0 {
		return 0
	}
	return max(-1, min(1, sxy/math.Sqrt(sxx*syy)))
}

// interval is the 95 % interval of a correlation, by Fisher's z.
func (l link) interval() (low, high float64) {
	z, half := math.Atanh(l.r), 1.959964/math.Sqrt(float64(l.n-3))
	return math.Tanh(z - half), math.Tanh(z + half)
}

// rotations is how many random rotations of the second series the check by permutation makes.
const rotations = 199

// rotated is the share of rotations of w, by 10 places at least, whose strongest correlation is no weaker: a p that
// needs no distribution. The same series give the same answer.
func rotated(u, w []float64, most int) float64 {
	peak := func(w []float64) float64 {
		top := 0.0
		for lag := 0; lag <= most; lag++ {
			top = max(top, math.Abs(pearson(u[:len(u)-lag], w[lag:])))
		}
		return top
	}
	seen, beaten := peak(w), 1
	random := rand.New(rand.NewPCG(uint64(len(w)), 0x5817))
	for range rotations {
		by := 10 + random.IntN(len(w)-20)
		if peak(append(append([]float64(nil), w[by:]...), w[:by]...)) >= seen {
			beaten++
		}
	}
	return float64(beaten) / float64(rotations+1)
}

// twoSided is the probability of a t at least as far from zero.
func twoSided(t, df float64) float64 {
	if math.IsInf(t, 0) {
		return 0
	}
	return 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Survival(math.Abs(t))
}

// quantile is that of Student's t.
func quantile(p, df float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(p)
}
