package metric

import (
	"cmp"
	"math"
	"slices"
	"time"

	"lab/internal/lab"
)

// arrived computes how the requests of an open loop really left, against what was asked.
func (w *window) arrived(name string) (value float64, n int, ok bool) {
	sent := w.sent()
	if !w.phase.Load.Open() || len(sent) < 2 {
		return 0, 0, false
	}
	first, last := sent[0], sent[len(sent)-1]
	rate := func(of func(lab.RequestRecord) time.Duration) float64 {
		low, high := of(first), of(first)
		for _, r := range sent {
			low, high = min(low, of(r)), max(high, of(r))
		}
		return float64(len(sent)-1) / (high - low).Seconds()
	}
	switch name {
	case "sent_rate":
		return rate(sentAt), len(sent), sentAt(last) > sentAt(first)
	case "sent_ratio":
		asked := rate(intendedAt)
		return rate(sentAt) / asked, len(sent), !math.IsInf(asked, 1) && sentAt(last) > sentAt(first)
	case "arrival_ks":
		return w.gapDistance(sent)
	case "arrival_dispersion":
		return dispersion(sent)
	}
	return 0, 0, false
}

func sentAt(r lab.RequestRecord) time.Duration { return r.Sent }

func intendedAt(r lab.RequestRecord) time.Duration { return r.Intended }

// sent are the requests that left, in the order in which they did.
func (w *window) sent() []lab.RequestRecord {
	all := slices.DeleteFunc(slices.Clone(w.requests), func(r lab.RequestRecord) bool { return r.Sent == 0 })
	slices.SortFunc(all, func(a, b lab.RequestRecord) int { return cmp.Compare(a.Sent, b.Sent) })
	return all
}

// gapDistance is the Kolmogorov-Smirnov distance between the gaps that were and the distribution that was asked: gamma with
// the load's burstiness as its shape. Each gap is taken times the rate asked at its place, so that a ramp is one distribution
// too. Constant gaps and a data set's own times are no distribution to be held to.
func (w *window) gapDistance(sent []lab.RequestRecord) (float64, int, bool) {
	l := w.phase.Load
	shape := float64(l.Burstiness)
	if shape == 0 {
		shape = 1
	}
	if l.Timed() || math.IsInf(shape, 1) || l.RampUp == nil && math.IsInf(float64(l.Rate), 1) {
		return 0, 0, false
	}
	gaps := make([]float64, 0, len(sent)-1)
	for i, r := range sent[1:] {
		rate := float64(l.Rate)
		if l.RampUp != nil {
			rate = l.RampUp.At(r.Seq, l.Requests)
		}
		gaps = append(gaps, (r.Sent-sent[i].Sent).Seconds()*rate)
	}
	return distance(gaps, func(x float64) float64 { return gammaShare(shape, shape*x) }), len(gaps), true
}

// distance is the Kolmogorov-Smirnov statistic of values against a distribution function.
func distance(values []float64, share func(float64) float64) float64 {
	slices.Sort(values)
	n, most := float64(len(values)), 0.0
	for i, v := range values {
		p := share(v)
		most = max(most, p-float64(i)/n, float64(i+1)/n-p)
	}
	return most
}

// gammaShare is the regularised lower incomplete gamma function P(shape, x): the share of a gamma distribution with scale 1
// that lies below x. By its series below shape+1, above by its continued fraction (Lentz's method).
func gammaShare(shape, x float64) float64 {
	const precise, most = 1e-12, 10_000
	if x <= 0 {
		return 0
	}
	log, _ := math.Lgamma(shape)
	factor := math.Exp(shape*math.Log(x) - x - log)
	if x < shape+1 {
		term := 1 / shape
		sum := term
		for i := 1; i < most && term > sum*precise; i++ {
			term *= x / (shape + float64(i))
			sum += term
		}
		return min(1, sum*factor)
	}
	const tiny = 1e-300
	b := x + 1 - shape
	c, d := 1/tiny, 1/b
	h := d
	for i := 1; i < most; i++ {
		a := -float64(i) * (float64(i) - shape)
		b += 2
		if d = a*d + b; math.Abs(d) < tiny {
			d = tiny
		}
		if c = b + a/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < precise {
			break
		}
	}
	return max(0, 1-factor*h)
}

// dispersion is variance / mean of the counts in each whole second after the first sending.
func dispersion(sent []lab.RequestRecord) (float64, int, bool) {
	const fewest = 5 // seconds; of fewer the variance says nothing
	start := sent[0].Sent
	seconds := int((sent[len(sent)-1].Sent - start) / time.Second)
	if seconds < fewest {
		return 0, 0, false
	}
	counts := make([]float64, seconds)
	for _, r := range sent {
		if i := int((r.Sent - start) / time.Second); i < seconds {
			counts[i]++
		}
	}
	average, squares := mean(counts), 0.0
	for _, c := range counts {
		squares += (c - average) * (c - average)
	}
	return squares / float64(seconds-1) / average, seconds, average > 0
}
