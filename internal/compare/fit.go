package compare

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// Order is the order of the arms: blocks of two runs, A first and B first in turn, the first block's order by a coin
// drawn from the seed. With it neither a drift of the machine nor what an arm leaves to the next favours one of them.
func Order(pairs int, seed uint64) string {
	coin := int(rand.New(rand.NewPCG(seed, 0xc011)).Uint64() & 1)
	order := make([]byte, 0, 2*pairs)
	for block := range pairs {
		if (block+coin)%2 == 0 {
			order = append(order, "AB"...)
		} else {
			order = append(order, "BA"...)
		}
	}
	return string(order)
}

// fit is the least-squares fit of y = mu + delta*arm + slope*slot.
type fit struct {
	delta, se float64 // of B against A
	df        float64
	sigma     float64 // residual standard deviation: the noise from run to run
	slope     float64 // per slot
}

// leastSquares fits by first taking the slot's part out of the arm. ok is false where arm and slot cannot be told
// apart, or too few runs are there.
func leastSquares(y, arm, slot []float64) (f fit, ok bool) {
	n := float64(len(y))
	if n < 4 {
		return f, false
	}
	meanY, meanA, meanS := average(y), average(arm), average(slot)
	var scc, sca float64
	for i := range y {
		c := slot[i] - meanS
		scc += c * c
		sca += c * arm[i]
	}
	k := sca / scc
	var srr, sry float64
	for i := range y {
		r := arm[i] - meanA - k*(slot[i]-meanS)
		srr += r * r
		sry += r * y[i]
	}
	if srr < 1e-12 || scc == 0 {
		return f, false
	}
	f.delta = sry / srr
	var scy float64
	for i := range y {
		scy += (slot[i] - meanS) * (y[i] - f.delta*arm[i])
	}
	f.slope = scy / scc
	mu := meanY - f.delta*meanA
	var rss float64
	for i := range y {
		e := y[i] - mu - f.delta*arm[i] - f.slope*(slot[i]-meanS)
		rss += e * e
	}
	f.df = n - 3
	f.sigma = math.Sqrt(rss / f.df)
	f.se = f.sigma / math.Sqrt(srr)
	return f, true
}

// pairedT is the test of the differences within pairs: d is B minus A of each block. ok is false where they do not vary.
func pairedT(d []float64) (f fit, ok bool) {
	n := float64(len(d))
	if n < 2 {
		return f, false
	}
	f.delta, f.df = average(d), n-1
	f.se = math.Sqrt(variance(d) / n)
	f.sigma = f.se * math.Sqrt(n/2)
	return f, f.se > 0
}

// welchT is the test of two groups of different variance, by Welch.
func welchT(a, b []float64) (f fit, ok bool) {
	if len(a) < 2 || len(b) < 2 {
		return f, false
	}
	qa, qb := variance(a)/float64(len(a)), variance(b)/float64(len(b))
	f.delta, f.se = average(b)-average(a), math.Sqrt(qa+qb)
	f.df = (qa + qb) * (qa + qb) / (qa*qa/float64(len(a)-1) + qb*qb/float64(len(b)-1))
	return f, f.se > 0
}

// p is the two-sided probability of a difference at least as large where there is none.
func (f fit) p() float64 { return twoSided(f.delta/f.se, f.df) }

func variance(values []float64) float64 {
	mean, sum := average(values), 0.0
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return sum / float64(len(values)-1)
}

func average(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// quantile is that of Student's t.
func quantile(p, df float64) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(p)
}

// twoSided is the probability of a t at least as far from zero.
func twoSided(t, df float64) float64 {
	return 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Survival(math.Abs(t))
}

// upper is the probability of a t at least as large.
func upper(t, df float64) float64 { return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Survival(t) }

// MDE is the relative difference that a plan sees with 80 % power, given the noise from run to run (cv, relative), the
// pairs and the two-sided error level.
func MDE(cv float64, pairs int, alpha float64) float64 {
	df := float64(2*pairs - 3)
	return (quantile(1-alpha/2, df) + quantile(0.8, df)) * cv * math.Sqrt(2/float64(pairs))
}

// mostPairs bounds the search of PairsNeeded; no plan is longer.
const mostPairs = 1000

// PairsNeeded is the smallest number of pairs that sees a difference of the margin; 0 where even a thousand do not. The
// search starts below the answer for a normal distribution, which is smaller than that for Student's t.
func PairsNeeded(cv, margin, alpha float64) int {
	const fewest = 2
	z := distuv.UnitNormal.Quantile(1-alpha/2) + distuv.UnitNormal.Quantile(0.8)
	least := 2 * (z * cv / margin) * (z * cv / margin)
	if !(least <= mostPairs) {
		return 0
	}
	for n := max(fewest, int(least)); n <= mostPairs; n++ {
		if MDE(cv, n, alpha) <= margin {
			return n
		}
	}
	return 0
}
