package sim

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"time"
)

// gpu is the simulated GPU: its power and utilisation follow the steps, its temperature the power.
type gpu struct {
	energy float64   // joules until at
	temp   float64   // degrees Celsius at at
	at     time.Time // until when energy is added up
	watts  float64   // since at
	busy   time.Time // until when the step runs; zero: idle
}

// What the simulated GPU draws: figures of a large GPU that is idle, decodes, or computes prompts.
const (
	idleWatts    = 70
	decodeWatts  = 350
	prefillWatts = 600
	limitWatts   = 700
	fullClockMHz = 1980
	memClockMHz  = 2619
	gpuMemory    = 80 << 30

	// It takes on 63 % of a new temperature within warmTime.
	restTemp    = 40
	wattsPerDeg = 20
	warmTime    = 15 * time.Second

	// Reasons for a lowered clock, as NVML numbers them.
	bitIdle     = 0x1
	bitSetting  = 0x2
	bitPowerCap = 0x4
	bitThermal  = 0x20
)

func newGPU(now time.Time) gpu {
	return gpu{at: now, watts: idleWatts, temp: restTemp + float64(idleWatts)/wattsPerDeg}
}

// step sets what is drawn while a step runs: at the power limit all of it.
func (g *gpu) step(r stepResult, share float64, reasons int, now time.Time) {
	g.settle(now)
	weight := float64(r.prefill) / math.Max(1, float64(r.prefill+20*r.decode))
	g.watts = (decodeWatts + weight*(prefillWatts-decodeWatts)) * (0.4 + 0.6*share)
	if reasons&bitPowerCap != 0 {
		g.watts = limitWatts
	}
	g.busy = now.Add(r.took)
}

// settle adds up the energy until now; after the step's end the GPU is idle.
func (g *gpu) settle(now time.Time) {
	if !g.busy.IsZero() && g.busy.Before(now) {
		g.pass(g.busy)
		g.watts, g.busy = idleWatts, time.Time{}
	}
	g.pass(now)
}

// pass lets the time until then go by at the present power.
func (g *gpu) pass(then time.Time) {
	d := then.Sub(g.at)
	if d <= 0 {
		return
	}
	g.energy += g.watts * d.Seconds()
	target := restTemp + g.watts/wattsPerDeg
	g.temp = target + (g.temp-target)*math.Exp(-d.Seconds()/warmTime.Seconds())
	g.at = then
}

// held is for how long, in seconds, a reason has held the clock down so far.
func held(all []episode, reason int, since time.Duration) float64 {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b episode) int { return cmp.Compare(a.at, b.at) })
	var sum, counted time.Duration // counted: until here, so that episodes that overlap count once
	for _, e := range all {
		end := since
		if e.length > 0 {
			end = min(since, e.at+e.length)
		}
		if from := max(e.at, counted); e.reason == reason && end > from {
			sum += end - from
			counted = end
		}
	}
	return sum.Seconds()
}

// device answers GET /sim/gpu with values by the names that lab's samples have.
func (s *server) device(w http.ResponseWriter, _ *http.Request) {
	l := s.loop
	l.mu.Lock()
	now := time.Now()
	l.gpu.settle(now)
	g, since := l.gpu, now.Sub(l.ready)
	share, bits := l.clock(now)
	held := func(reason int) float64 { return round(held(l.faults.clocks, reason, since)) }
	usage := l.engine.usage()
	l.mu.Unlock()
	util := 98
	if !g.busy.After(now) {
		util = 0
		bits |= bitIdle
	}
	writeJSON(w, 200, object{"devices", []any{object{
		"index", 0, "uuid", "GPU-sim-0000", "name", "Simulated GPU", "memory", gpuMemory, "power_limit_w", limitWatts,
		"util_percent", util, "mem_util_percent", int(60 * usage),
		// vLLM takes the whole cache at the start, so what is used hardly moves.
		"mem_used_bytes", int64(s.c.memory * gpuMemory),
		"power_w", round(g.watts), "energy_j", round(g.energy),
		"sm_clock_mhz", math.Round(fullClockMHz * share), "sm_clock_max_mhz", fullClockMHz, "mem_clock_mhz", memClockMHz,
		"temp_c", math.Round(g.temp), "throttle_bits", bits,
		"throttle_power_cap_s", held(bitPowerCap), "throttle_thermal_s", held(bitThermal),
		"throttle_hw_thermal_s", 0, "throttle_power_brake_s", 0,
		"processes", 1, "foreign_processes", 0,
	}}})
}

func round(v float64) float64 { return math.Round(v*1000) / 1000 }
