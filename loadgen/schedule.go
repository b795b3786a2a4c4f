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
// There are Requests of them, or as many as fall into Duration, whichever is fewer. Nil for a closed loop.
func Arrivals(l lab.Load) []time.Duration {
	if !l.Open() {
		return nil
	}
	rate, shape := float64(l.Rate), float64(l.Burstiness)
	if shape == 0 {
		shape = 1
	}
	if math.IsInf(rate, 1) {
		return make([]time.Duration, l.Requests)
	}
	random := rand.New(rand.NewPCG(l.Seed, 0xa55))
	var times []time.Duration
	at := 0.0
	for l.Requests == 0 || len(times) < l.Requests {
		gap := 1 / rate
		if !math.IsInf(shape, 1) {
			gap = gamma(random, shape) / (shape * rate)
		}
		at += gap
		when := time.Duration(at * float64(time.Second))
		if l.Duration > 0 && when >= time.Duration(l.Duration) {
			break
		}
		times = append(times, when)
	}
	return times
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
