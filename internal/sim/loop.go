package sim

import (
	"math"
	"sync"
	"time"
)

// loop runs an engine in real time on one goroutine: it makes a step, waits until the step's time is over, and hands
// the tokens out. When the machine is busy it falls behind and catches up in the waits, so that a loaded machine does
// not change the physics.
type loop struct {
	mu       sync.Mutex
	engine   *engine
	incoming chan *sequence
	batch    []func(at time.Time) // deliveries of the step under way
	faults   faults
	ready    time.Time
	hung     bool
	dead     chan struct{} // closed when the engine has crashed
	gpu      gpu
	done     chan struct{}
}

func newLoop(p Physics, f faults) *loop {
	return &loop{
		engine: newEngine(p), incoming: make(chan *sequence, 4096), faults: f,
		dead: make(chan struct{}), done: make(chan struct{}), gpu: newGPU(),
	}
}

// deliver is called by sequences inside step: what they hand out leaves when the step's time is over.
func (l *loop) deliver(f func(at time.Time)) { l.batch = append(l.batch, f) }

// run goes on until stop closes or the engine crashes.
func (l *loop) run(stop <-chan struct{}) {
	defer close(l.done)
	base := l.engine.physics.Speed
	crash := after(l.faults.crashAfter)
	next := time.Now()
	for {
		if !l.engine.busy() {
			select {
			case s := <-l.incoming:
				l.lock(func() { l.engine.add(s) })
				next = time.Now()
			case <-crash:
				close(l.dead)
				return
			case <-stop:
				return
			}
		}
		select {
		case <-crash:
			close(l.dead)
			return
		case <-stop:
			return
		default:
		}
		if l.faults.hangAfter > 0 && time.Since(l.ready) > l.faults.hangAfter {
			l.lock(func() { l.hung = true })
			<-stop
			return
		}
		var result stepResult
		l.lock(func() {
			l.takeIncoming()
			l.engine.physics.Speed = base * l.slowdown()
			result = l.engine.step()
			l.gpu.step(result, l.clockShare())
		})
		next = next.Add(result.took)
		time.Sleep(time.Until(next))
		at := time.Now()
		for _, f := range l.batch {
			f(at)
		}
		l.batch = l.batch[:0]
	}
}

func after(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

func (l *loop) lock(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *loop) takeIncoming() {
	for {
		select {
		case s := <-l.incoming:
			l.engine.add(s)
		default:
			return
		}
	}
}

func (l *loop) slowdown() float64 {
	factor := 1 / l.clockShare()
	if l.faults.slowFactor > 0 && time.Since(l.ready) > l.faults.slowAfter {
		factor *= l.faults.slowFactor
	}
	return factor
}

func (l *loop) clockShare() float64 {
	if l.faults.throttle > 0 && time.Since(l.ready) > l.faults.throttleAt {
		return l.faults.throttle
	}
	return 1
}

// gpu is the simulated GPU: its power and utilisation follow the steps.
type gpu struct {
	energy float64 // joules until at
	at     time.Time
	watts  float64 // since at
	busy   time.Time
	share  float64 // of the full clock

}

// What the simulated GPU draws: figures of a large GPU that is idle, decodes, or computes prompts.
const (
	idleWatts    = 70
	decodeWatts  = 350
	prefillWatts = 600
	fullClockMHz = 1980
	gpuMemory    = 80 << 30
)

func newGPU() gpu { return gpu{at: time.Now(), watts: idleWatts, share: 1} }

// step sets what is drawn while a step runs.
func (g *gpu) step(r stepResult, share float64) {
	now := time.Now()
	g.settle(now)
	weight := float64(r.prefill) / math.Max(1, float64(r.prefill+20*r.decode))
	g.watts = (decodeWatts + weight*(prefillWatts-decodeWatts)) * (0.4 + 0.6*share)
	g.share = share
	g.busy = now.Add(r.took)
}

// settle adds up the energy until now.
func (g *gpu) settle(now time.Time) {
	if !g.busy.IsZero() && g.busy.Before(now) {
		g.energy += g.watts * max(0, g.busy.Sub(g.at).Seconds())
		g.at, g.watts, g.busy = later(g.at, g.busy), idleWatts, time.Time{}
	}
	g.energy += g.watts * now.Sub(g.at).Seconds()
	g.at = now
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// device is the answer of GET /sim/gpu.
func (l *loop) device() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := &l.gpu
	now := time.Now()
	g.settle(now)
	util, bits := 0, 1 // bit 0: idle
	if g.busy.After(now) {
		util, bits = 98, 0
	}
	if g.share < 1 {
		bits |= 0x20 // software thermal slowdown
	}
	return map[string]any{
		"index": 0, "uuid": "GPU-sim-0000", "name": "Simulated GPU", "memory": gpuMemory, "power_limit_w": 700,
		"util_percent": util, "mem_util_percent": util * 6 / 10,
		"mem_used_bytes": int64(0.9*gpuMemory) + int64(l.engine.kv)<<10,
		"power_w":        g.watts, "energy_j": g.energy,
		"sm_clock_mhz": math.Round(fullClockMHz * g.share), "mem_clock_mhz": 2619,
		"temp_c": 40 + g.watts/20, "throttle_bits": bits,
	}
}
