package sim

import (
	"math"
	"net/http"
	"time"
)

// gpu is the simulated GPU: its power and utilisation follow the steps.
type gpu struct {
	energy float64   // joules until at
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

	// Reasons for a lowered clock, as NVML numbers them.
	bitIdle    = 0x1
	bitThermal = 0x20
)

// step sets what is drawn while a step runs.
func (g *gpu) step(r stepResult, share float64, now time.Time) {
	g.settle(now)
	weight := float64(r.prefill) / math.Max(1, float64(r.prefill+20*r.decode))
	g.watts = (decodeWatts + weight*(prefillWatts-decodeWatts)) * (0.4 + 0.6*share)
	g.busy = now.Add(r.took)
}

// settle adds up the energy until now; after the step's end the GPU is idle.
func (g *gpu) settle(now time.Time) {
	if !g.busy.IsZero() && g.busy.Before(now) {
		g.energy += g.watts * max(0, g.busy.Sub(g.at).Seconds())
		if g.busy.After(g.at) {
			g.at = g.busy
		}
		g.watts, g.busy = idleWatts, time.Time{}
	}
	g.energy += g.watts * now.Sub(g.at).Seconds()
	g.at = now
}

// device answers GET /sim/gpu.
func (s *server) device(w http.ResponseWriter, _ *http.Request) {
	l := s.loop
	l.mu.Lock()
	now := time.Now()
	l.gpu.settle(now)
	g, share := l.gpu, l.clockShare()
	held := float64(l.engine.kv) / float64(l.engine.physics.KVTokens)
	l.mu.Unlock()
	util, bits := 0, bitIdle
	if g.busy.After(now) {
		util, bits = 98, 0
	}
	if share < 1 {
		bits |= bitThermal
	}
	writeJSON(w, 200, object{"devices", []any{object{
		"index", 0, "uuid", "GPU-sim-0000", "name", "Simulated GPU", "memory", gpuMemory, "power_limit_w", limitWatts,
		"util_percent", util, "mem_util_percent", int(60 * held),
		// vLLM takes the whole cache at the start, so what is used hardly moves.
		"mem_used_bytes", int64(s.c.memory * gpuMemory),
		"power_w", round(g.watts), "energy_j", round(g.energy),
		"sm_clock_mhz", math.Round(fullClockMHz * share), "mem_clock_mhz", memClockMHz,
		"temp_c", round(40 + g.watts/20), "throttle_bits", bits,
	}}})
}

func round(v float64) float64 { return math.Round(v*1000) / 1000 }
