package correlate

import (
	"math"
	"strings"

	"lab/internal/lab"
)

// Between compares the hardware of two arms over their runs, one figure a run, with Welch's interval: the run is the unit.
// A figure that one arm lacks is left out.
func Between(a, b []Hardware) []Difference {
	var all []Difference
	for _, f := range []struct {
		value, unit string
		of          func(Hardware) (float64, bool)
	}{
		{"power", "W", sumOfGPUs(lab.GPUPower)},
		{"sm clock", "MHz", meanOfGPUs(lab.GPUSMClock)},
		{"gpu utilisation", "%", meanOfGPUs(lab.GPUUtil)},
		{"temperature", "°C", meanOfGPUs(lab.GPUTemp)},
		{"gpu memory", "bytes", sumOfGPUs(lab.GPUMemUsed)},
		{"throttled", "share", throttledOf},
		{"energy per output token", "J", energyOf},
		{"stalls per 1000 gaps", "1/1000", stallsOf},
	} {
		x, y := each(a, f.of), each(b, f.of)
		if len(x) > 0 && len(y) > 0 {
			all = append(all, welch(f.value, f.unit, x, y))
		}
	}
	return all
}

func each(runs []Hardware, of func(Hardware) (float64, bool)) (values []float64) {
	for _, r := range runs {
		if v, ok := of(r); ok {
			values = append(values, v)
		}
	}
	return values
}

// overPhases is the mean of a figure over the judged phases of a run, each by its length.
func overPhases(h Hardware, of func(Phase) (float64, bool)) (float64, bool) {
	sum, length := 0.0, 0.0
	for _, p := range h.Phases {
		if v, ok := of(p); ok && p.Judged {
			d := (p.End - p.Start).Seconds()
			sum, length = sum+v*d, length+d
		}
	}
	return sum / length, length > 0
}

func gpuMeans(p Phase, value string) (sum float64, n int) {
	for _, m := range p.Means {
		if isGPU(m.Device) && m.Value == value && m.Coverage >= enough {
			sum, n = sum+m.Mean, n+1
		}
	}
	return sum, n
}

func sumOfGPUs(value string) func(Hardware) (float64, bool) {
	return func(h Hardware) (float64, bool) {
		return overPhases(h, func(p Phase) (float64, bool) {
			sum, n := gpuMeans(p, value)
			return sum, n > 0
		})
	}
}

func meanOfGPUs(value string) func(Hardware) (float64, bool) {
	return func(h Hardware) (float64, bool) {
		return overPhases(h, func(p Phase) (float64, bool) {
			sum, n := gpuMeans(p, value)
			return sum / float64(max(1, n)), n > 0
		})
	}
}

// throttledOf is the share of the time that clocks were held down by power, heat or brake, mean over the GPUs.
func throttledOf(h Hardware) (float64, bool) {
	return overPhases(h, func(p Phase) (float64, bool) {
		sum, gpus := 0.0, map[string]bool{}
		for _, m := range p.Means {
			if isGPU(m.Device) && m.Counter && strings.HasPrefix(m.Value, "throttle_") {
				sum += m.Mean
				gpus[m.Device] = true
			}
		}
		share := sum / (p.End - p.Start).Seconds() / float64(max(1, len(gpus)))
		return min(1, share), len(gpus) > 0 // two reasons may hold at once
	})
}

func energyOf(h Hardware) (float64, bool) {
	joules, tokens := 0.0, 0
	for _, p := range h.Phases {
		if p.Judged && p.Energy != nil {
			joules, tokens = joules+p.Energy.Joules, tokens+p.Energy.N
		}
	}
	return joules / float64(tokens), tokens > 0
}

func stallsOf(h Hardware) (float64, bool) {
	return 1000 * float64(h.Stalls.Count) / float64(h.Stalls.Gaps), h.Stalls.Gaps > 0
}

// welch is the difference of two means with its 95 % interval.
func welch(value, unit string, a, b []float64) Difference {
	meanA, varA := moments(a)
	meanB, varB := moments(b)
	d := Difference{Value: value, Unit: unit, A: meanA, B: meanB, Delta: meanB - meanA, NA: len(a), NB: len(b)}
	if len(a) < 2 || len(b) < 2 {
		return d
	}
	ea, eb := varA/float64(len(a)), varB/float64(len(b))
	d.DF = float64(len(a) + len(b) - 2)
	if ea+eb > 0 { // else it is the same in every run
		d.DF = (ea + eb) * (ea + eb) / (ea*ea/float64(len(a)-1) + eb*eb/float64(len(b)-1))
	}
	half := quantile(0.975, d.DF) * math.Sqrt(ea+eb)
	if half < 1e-9*max(math.Abs(meanA), math.Abs(meanB)) { // what rounding left
		half = 0
	}
	low, high := d.Delta-half, d.Delta+half
	d.Low, d.High = &low, &high
	return d
}

func moments(values []float64) (mean, variance float64) {
	for _, v := range values {
		mean += v
	}
	mean /= float64(len(values))
	for _, v := range values {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(max(1, len(values)-1))
}
