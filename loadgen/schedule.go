package loadgen

import (
	"math"
	"math/rand/v2"
	"time"

	"lab/internal/lab"
)

// Arrivals are the intended send times of an open loop, as offsets from the start of the phase: known before the first
// request, from rate, burstiness and seed alone, so that both arms of an A/B get the same. Gaps are gamma distributed
// with shape = burstiness and mean 1/rate: 1 makes a Poisson process, +Inf constant gaps. Rate +Inf sends all at 0.
// There are Requests of them, or as many as fall into Duration, whichever is fewer. Where only Requests ends the phase,
// the times are scaled so that the last request leaves at exactly Requests/rate, as `vllm bench serve` does since July
// 2025: the rate achieved is then the rate asked for. Nil for a closed loop.
func Arrivals(l lab.Load) []time.Duration {
	if !l.Open() {
		return nil
	}
	if l.RampUp == nil && math.IsInf(float64(l.Rate), 1) {
		return make([]time.Duration, l.Requests)
	}
	var seconds []float64
	random := rand.New(rand.NewPCG(l.Seed, 0xa55))
	limit := time.Duration(l.Duration).Seconds()
	at := 0.0
	for i := 0; l.Requests == 0 || i < l.Requests; i++ {
		at += gap(random, rateOf(l, i), float64(l.Burstiness))
		if limit > 0 && at >= limit {
			break
		}
		seconds = append(seconds, at)
	}
	scale := 1.0
	if limit == 0 && l.RampUp == nil && at > 0 {
		scale = float64(l.Requests) / float64(l.Rate) / at
	}
	times := make([]time.Duration, len(seconds))
	for i, s := range seconds {
		times[i] = time.Duration(s * scale * float64(time.Second))
	}
	return times
}

// gap draws the time before the next request: gamma distributed with mean 1/rate.
func gap(random *rand.Rand, rate, shape float64) float64 {
	if shape == 0 {
		shape = 1
	}
	if math.IsInf(shape, 1) {
		return 1 / rate
	}
	return gamma(random, shape) / (shape * rate)
}

// rateOf is the rate at request i.
func rateOf(l lab.Load, i int) float64 {
	if l.RampUp != nil {
		return l.RampUp.At(i, l.Requests)
	}
	return float64(l.Rate)
}

// gamma draws from the gamma distribution with the given shape and scale 1, by Marsaglia and Tsang, "A simple method
// for generating gamma variables", 2000.
func gamma(random *rand.Rand, shape float64) float64 {
	if shape == 1 {
		return random.ExpFloat64()
	}
	boost := 1.0
	if shape < 1 { // their remark for small shapes: gamma(a) = gamma(a+1) * U^(1/a)
		boost = math.Pow(random.Float64(), 1/shape)
		shape++
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := random.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		u := random.Float64()
		if math.Log(u) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v * boost
		}
	}
}
