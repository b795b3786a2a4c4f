package correlate

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// series is one value of one device over the run, in order of time.
type series struct {
	device, value string
	at            []time.Duration
	v             []float64
	sum           []float64       // sum[i]: integral of the held values from at[0] to at[i], in value-seconds
	held          []time.Duration // held[i]: how much of that time readings speak for
	period        time.Duration   // median spacing
}

// key names a series.
type key struct{ device, value string }

// readings are all series of a run, and how many readings failed by device.
type readings struct {
	all    map[key]*series
	keys   []key // sorted
	errors map[string]int
	gpus   []string
}

// absurd is no reading of anything, NaN neither.
const absurd = 1e30

// collect sorts samples into series. A gauge's reading speaks for the time until the next one, but no longer than
// maxHold periods: beyond that nothing is known.
func collect(samples []lab.Sample) readings {
	r := readings{all: map[key]*series{}, errors: map[string]int{}}
	for _, s := range samples {
		if s.Device == "sampler" || s.Device == "clock" { // of the sampling, not of what is sampled
			continue
		}
		if s.Error != "" {
			r.errors[s.Device]++
		}
		for name, v := range s.Values {
			if !(math.Abs(v) < absurd) {
				continue
			}
			k := key{s.Device, name}
			one := r.all[k]
			if one == nil {
				one = &series{device: s.Device, value: name}
				r.all[k] = one
				r.keys = append(r.keys, k)
			}
			one.at, one.v = append(one.at, s.At), append(one.v, v)
		}
	}
	slices.SortFunc(r.keys, func(a, b key) int {
		return cmp.Or(strings.Compare(a.device, b.device), strings.Compare(a.value, b.value))
	})
	for _, k := range r.keys {
		r.all[k].prepare()
		if isGPU(k.device) && !slices.Contains(r.gpus, k.device) {
			r.gpus = append(r.gpus, k.device)
		}
	}
	return r
}

func isGPU(device string) bool { return strings.HasPrefix(device, "gpu") }

// of finds a series; one that was never read is nil, and every question to it is answered with "not known".
func (r readings) of(device, value string) *series { return r.all[key{device, value}] }

// maxHold is for how many periods a reading speaks at most.
const maxHold = 3

func (s *series) prepare() {
	if !slices.IsSorted(s.at) {
		order := make([]int, len(s.at))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.at[a], s.at[b]) })
		at, v := make([]time.Duration, len(order)), make([]float64, len(order))
		for i, j := range order {
			at[i], v[i] = s.at[j], s.v[j]
		}
		s.at, s.v = at, v
	}
	spacing := make([]time.Duration, 0, len(s.at))
	for i := 1; i < len(s.at); i++ {
		spacing = append(spacing, s.at[i]-s.at[i-1])
	}
	if len(spacing) > 0 {
		slices.Sort(spacing)
		s.period = spacing[len(spacing)/2]
	}
	s.sum, s.held = make([]float64, len(s.at)), make([]time.Duration, len(s.at))
	for i := 1; i < len(s.at); i++ {
		d := min(s.at[i]-s.at[i-1], maxHold*s.period)
		s.sum[i] = s.sum[i-1] + s.v[i-1]*d.Seconds()
		s.held[i] = s.held[i-1] + d
	}
}

// before is the index of the last reading at or before a moment, -1 where there is none.
func (s *series) before(at time.Duration) int {
	i, found := slices.BinarySearch(s.at, at)
	for found && i+1 < len(s.at) && s.at[i+1] == at {
		i++
	}
	if found {
		return i
	}
	return i - 1
}

// integral is the prefix integral at a moment, and how much of the time until then readings speak for.
func (s *series) integral(at time.Duration) (float64, time.Duration) {
	i := s.before(at)
	if i < 0 {
		return 0, 0
	}
	d := min(at-s.at[i], maxHold*s.period)
	return s.sum[i] + s.v[i]*d.Seconds(), s.held[i] + d
}

// mean is the time-weighted mean over a window and the share of the window that readings speak for.
func (s *series) mean(from, to time.Duration) (mean, coverage float64) {
	if s == nil || to <= from {
		return 0, 0
	}
	a, heldA := s.integral(from)
	b, heldB := s.integral(to)
	held := heldB - heldA
	if held <= 0 {
		return 0, 0
	}
	return (b - a) / held.Seconds(), min(1, held.Seconds()/(to-from).Seconds())
}

// within are the indices [i, j) of the readings in a window, both ends included.
func (s *series) within(from, to time.Duration) (int, int) {
	i, _ := slices.BinarySearch(s.at, from)
	return i, max(i, s.before(to)+1)
}

// least is the lowest reading that speaks for some of a window.
func (s *series) least(from, to time.Duration) (float64, bool) {
	if s == nil {
		return 0, false
	}
	i, j := s.within(from, to)
	if b := s.before(from); b >= 0 && from-s.at[b] <= maxHold*s.period {
		i = b
	}
	if i >= j {
		return 0, false
	}
	return slices.Min(s.v[i:j]), true
}

// rise is the increase of a counter over a window, interpolated at both ends; a fall (a reset) counts as nothing. ok is
// false where the readings do not reach around the window.
func (s *series) rise(from, to time.Duration) (float64, bool) {
	if s == nil || len(s.at) < 2 || to <= from {
		return 0, false
	}
	slack := max(2*s.period, 1500*time.Millisecond) // counters are read at both ends of a run, some once a second
	if s.at[0] > from+slack || s.at[len(s.at)-1] < to-slack {
		return 0, false
	}
	sum := 0.0
	i := max(1, s.before(from)+1)
	for ; i < len(s.at) && s.at[i-1] < to; i++ {
		step := s.v[i] - s.v[i-1]
		if step <= 0 || s.at[i] == s.at[i-1] {
			continue
		}
		part := min(to, s.at[i]) - max(from, s.at[i-1])
		sum += step * part.Seconds() / (s.at[i] - s.at[i-1]).Seconds()
	}
	return sum, true
}

// step is the increase of a counter between the readings on either side of a moment, and when these were.
func (s *series) step(at time.Duration) (rise float64, from, to time.Duration, ok bool) {
	if s == nil {
		return 0, 0, 0, false
	}
	i, _ := slices.BinarySearch(s.at, at)
	if i < 1 || i >= len(s.at) {
		return 0, 0, 0, false
	}
	return s.v[i] - s.v[i-1], s.at[i-1], s.at[i], true
}

// isCounter says which values only grow.
func isCounter(device, value string) bool {
	switch value {
	case lab.GPUEnergy, lab.GPUThrottlePower, lab.GPUThrottleThermal, lab.GPUThrottleHWThermal, lab.GPUThrottleBrake,
		lab.GPUPCIeTx, lab.GPUPCIeRx, lab.GPUECCCorrected, lab.GPUECCUncorrected,
		lab.HostCPUPressure, lab.HostMemoryPressure, lab.HostIOPressure, lab.HostDiskRead, lab.HostDiskWrite, lab.HostDiskBusy,
		lab.ProcCPU, lab.EnginePreempt, lab.EngineHits, lab.EngineQueries, lab.EnginePrompt, lab.EngineGenerated, lab.EngineSteps,
		lab.EngineQueueTime, lab.EngineQueueCount, lab.EnginePrefillTime, lab.EnginePrefillCount, lab.EngineDecodeTime, lab.EngineDecodeCount,
		lab.EngineDrafts, lab.EngineDraftTokens, lab.EngineAccepted, lab.ClientGC, lab.ClientSteps:
		return true
	}
	return device == "engine" && strings.HasPrefix(value, lab.EngineAcceptedAt)
}

// averaging is over how long a reading of a value is a mean, and how often it is renewed; zero: it holds for its moment.
func (r readings) averaging(device, value string) (window, update time.Duration) {
	renewed := func(name string, usual time.Duration) time.Duration {
		if s := r.of(device, name); s != nil && s.v[len(s.v)-1] > 0 {
			return time.Duration(s.v[len(s.v)-1] * float64(time.Second))
		}
		return usual
	}
	if !isGPU(device) {
		return 0, 0
	}
	switch value {
	case lab.GPUPower:
		return 100 * time.Millisecond, renewed(lab.GPUPowerPeriod, 100*time.Millisecond)
	case lab.GPUPowerAverage:
		return time.Second, renewed(lab.GPUPowerPeriod, 100*time.Millisecond)
	case lab.GPUUtil, lab.GPUMemUtil:
		d := renewed(lab.GPUUtilPeriod, 200*time.Millisecond)
		return d, d
	case lab.GPUSMUtil, lab.GPUSMOccupancy, lab.GPUTensorUtil, lab.GPUDRAMUtil:
		if s := r.of(device, value); s != nil {
			return s.period, 0
		}
	}
	return 0, 0
}

// median of values, which it reorders. There must be one.
func median(values []float64) float64 {
	n := len(values)
	high := nth(values, n/2)
	if n%2 == 1 {
		return high
	}
	low := values[0]
	for _, v := range values[1 : n/2] {
		if cmp.Less(low, v) {
			low = v
		}
	}
	return (low + high) / 2
}

// nth is the value that would stand at a place if the values were sorted (Hoare's selection). It reorders them: none before
// that place is greater, none behind it less.
func nth(values []float64, place int) float64 {
	for from, to := 0, len(values)-1; from < to; {
		pivot := values[from+(to-from)/2]
		i, j := from, to
		for i <= j {
			for cmp.Less(values[i], pivot) {
				i++
			}
			for cmp.Less(pivot, values[j]) {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case place <= j:
			to = j
		case place >= i:
			from = i
		default:
			return values[place]
		}
	}
	return values[place]
}

// rank is the value at rank q*(n-1) of sorted values, interpolated.
func rank(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
