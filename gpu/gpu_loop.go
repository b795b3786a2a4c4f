package gpu

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lab/internal/lab"
)

// gpuLoop reads the GPUs, keeps account of what that costs, and slows down when it costs too much.
type gpuLoop struct {
	loop
	clock    lab.Clock
	sample   func(lab.Sample)
	event    func(lab.Event)
	cpu      func() time.Duration // of this process
	asked    time.Duration        // period of the fast group
	measured renewals
	fast     *task
	groups   map[Group]*task
	budget   budget

	reading atomic.Int64 // when the driver was called, on the clock; 0: it is not being called
	stuck   atomic.Bool  // that it hangs has been said

	count   sync.Mutex // guards what another loop reports
	failed  map[int]int
	dropped int
	pace    time.Duration
}

// budget is what the sampler may cost, looked at from time to time.
type budget struct {
	at   time.Time
	cpu  time.Duration
	over bool // at the last look
}

// The rate of the fast group and what it may cost.
const (
	defaultPeriod = 50 * time.Millisecond
	measurePeriod = 20 * time.Millisecond // while the GPU's own periods are being measured
	leastPeriod   = 10 * time.Millisecond // drivers that are asked faster begin to answer nonsense
	slowestPeriod = 200 * time.Millisecond
	measureFor    = 2 * time.Second
	nearly        = 0.9 // a measured period is so exact
	lookEvery     = 5 * time.Second
	mostCPU       = 0.02 // of a core
	mostCall      = 0.2  // 95th percentile of a reading, of the period
)

func newGPULoop(cfg Config, sample func(lab.Sample), event func(lab.Event)) *gpuLoop {
	g := &gpuLoop{
		clock: cfg.Epoch.Clock(), sample: sample, event: event, cpu: ownCPU, asked: time.Duration(cfg.Telemetry.Period),
		measured: renewals{seen: map[renewalKey]*renewal{}}, groups: map[Group]*task{}, failed: map[int]int{},
	}
	if g.asked <= 0 {
		g.asked = defaultPeriod
	}
	return g
}

// run waits for the GPUs and reads them until ctx ends.
func (g *gpuLoop) run(ctx context.Context, opened <-chan Source) {
	var source Source
	select {
	case <-ctx.Done():
		return
	case source = <-opened:
	}
	defer source.Close()
	var listening sync.WaitGroup
	listening.Go(func() { source.Listen(ctx, g.clock.Now, g.event) })
	defer listening.Wait()
	g.adopt(source)
	g.loop.run(ctx)
}

// adopt lays out the readings of a source. While the GPU's own periods are measured, power and energy are read fast.
func (g *gpuLoop) adopt(source Source) {
	fast := g.asked
	if g.measured.told = !source.Renews(); !g.measured.told {
		fast = min(g.asked, measurePeriod)
		settle := g.add(measureFor, func() {})
		settle.read = func() { g.settle(settle) }
	}
	g.paced(fast)
	g.mu.Lock()
	defer g.mu.Unlock()
	for group, period := range groupPeriods(fast) {
		t := g.add(period, func() { g.take(source, group) })
		t.stats = &spread{}
		g.groups[group] = t
	}
	g.fast = g.groups[Fast]
	g.budget = budget{at: time.Now(), cpu: g.cpu()}
	g.add(lookEvery, g.look)
}

func (g *gpuLoop) paced(period time.Duration) {
	g.count.Lock()
	defer g.count.Unlock()
	g.pace = period
}

// take reads one group and hands it on.
func (g *gpuLoop) take(source Source, group Group) {
	began := g.clock.Now()
	g.reading.Store(int64(max(1, began)))
	r := source.Read(group, g.clock.Now)
	g.reading.Store(0)
	for _, e := range r.Events {
		g.event(e)
	}
	if g.stuck.Swap(false) {
		g.event(lab.Event{At: g.clock.Now(), Kind: lab.GPUBack, Detail: fmt.Sprintf("the driver answers again after %.1f s", (g.clock.Now() - began).Seconds())})
	}
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Took > silence { // nobody knows of which moment its values are
			*s = lab.Sample{At: s.At, Took: s.Took, Device: s.Device, Error: fmt.Sprintf("the driver took %.1f s to answer", s.Took.Seconds())}
		}
		g.sample(*s)
	}
	switch group {
	case Fast:
		g.measured.see(r)
	case Util:
		g.measured.see(r)
		g.paceUtil(r.Kept)
	}
	g.count.Lock()
	defer g.count.Unlock()
	g.dropped += r.Dropped
	for code, n := range r.Failed {
		g.failed[code] += n
	}
}

// paceUtil reads what the driver keeps once a second; a driver that keeps nothing is asked at the group's own rate.
func (g *gpuLoop) paceUtil(kept bool) {
	period := groupPeriods(0)[Util]
	if kept {
		period = time.Second
	}
	if t := g.groups[Util]; t.period != period {
		g.repace(t, period)
	}
}

// watchdog says once that the driver does not answer. It is called from another loop.
func (g *gpuLoop) watchdog() {
	since := g.reading.Load()
	if since != 0 && g.clock.Now()-time.Duration(since) > silence && !g.stuck.Swap(true) {
		g.event(lab.Event{At: g.clock.Now(), Kind: lab.SamplerLost, Detail: fmt.Sprintf("no reading of the GPUs for %s: the driver hangs", silence)})
	}
}

// settle tells the periods that are known, and once takes up the rate for the run: as asked, or twice in each period of
// the GPU, so that no renewal is missed.
func (g *gpuLoop) settle(t *task) {
	for _, s := range g.measured.news(g.clock.Now()) {
		g.sample(s)
	}
	if first := t.served < 0; first || g.measured.told {
		return
	}
	g.measured.told = true
	period := g.asked
	half := (g.measured.shortest() / 2).Round(time.Millisecond)
	if half > 0 && float64(half) < nearly*float64(period) {
		period = max(leastPeriod, half)
	}
	if period != g.fast.period {
		g.repace(g.fast, period)
		g.paced(period)
	}
}

// look keeps the budget: a sampler that at two looks in a row cost too much of a core or of the driver's time reads half
// as often.
func (g *gpuLoop) look() {
	now, cpu := time.Now(), g.cpu()
	share := float64(cpu-g.budget.cpu) / float64(max(1, now.Sub(g.budget.at)))
	whole := now.Sub(g.budget.at) >= lookEvery/2
	before := g.budget.over
	g.budget = budget{at: now, cpu: cpu}
	g.mu.Lock()
	calls := g.fast.stats.recent
	for _, t := range g.groups {
		t.stats.recent = nil
	}
	g.mu.Unlock()
	if !whole || len(calls) == 0 || g.fast.period >= slowestPeriod || !g.measured.told {
		return
	}
	slices.Sort(calls)
	call := calls[len(calls)*95/100]
	over := share > mostCPU || float64(call) > mostCall*float64(g.fast.period)
	if g.budget.over = over && !before; !over || !before { // one dear look may be the machine's
		return
	}
	period := min(slowestPeriod, 2*g.fast.period)
	used, may := lab.Apart(100*share, 100*mostCPU, 1)
	g.event(lab.Event{At: g.clock.Now(), Kind: lab.SamplerNote, Detail: fmt.Sprintf(
		"power and energy are read every %s instead of %s: the sampler used %s %% of a core (limit %s %%), and a reading took %s at the 95th percentile (limit %.0f %% of the period)",
		period, g.fast.period, used, may, call.Round(10*time.Microsecond), 100*mostCall)})
	g.repace(g.fast, period)
	g.paced(period)
}

// account is the sampler's account of itself, with the lateness of the loop that asks.
func (g *gpuLoop) account(other *loop) lab.Sample {
	mine, theirs := g.report(), other.report()
	s := lab.Sample{At: g.clock.Now(), Device: "sampler", Values: map[string]float64{
		lab.SamplerSkip: float64(mine.skipped + theirs.skipped), lab.SamplerLate: max(mine.worst, theirs.worst).Seconds(),
		lab.SamplerCPU: g.cpu().Seconds(),
	}}
	g.count.Lock()
	defer g.count.Unlock()
	if g.pace > 0 {
		s.Values[lab.SamplerPeriod] = g.pace.Seconds()
		s.Values[lab.SamplerDropped] = float64(g.dropped)
	}
	for code, n := range g.failed {
		s.Values[lab.SamplerErrors+strconv.Itoa(code)] = float64(n)
	}
	return s
}

// spreads is how the readings of each group went so far.
func (g *gpuLoop) spreads() lab.Sample {
	s := lab.Sample{At: g.clock.Now(), Device: "sampler", Values: map[string]float64{}}
	g.mu.Lock()
	defer g.mu.Unlock()
	for group, t := range g.groups {
		t.stats.values(group.String(), s.Values)
	}
	return s
}

// ownCPU is the processor time that this process has used.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
