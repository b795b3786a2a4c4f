package loadgen

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"syscall"
	"time"

	"lab/internal/lab"
)

// probeEvery is how often the client looks whether it still gets to run in time: a prime, so as not to beat with the load.
const probeEvery = 11 * time.Millisecond

// self is the client's view of itself from one sample to the next. It takes one when the load begins, one a second, and one
// when the load has ended: so a counter's difference is that of the load, however short it is.
type self struct {
	driver  *driver
	heap    *heap
	read    []metrics.Sample
	gc      spread
	sched   spread
	threads threads
}

func newSelf(d *driver, h *heap) *self {
	s := &self{driver: d, heap: h, read: []metrics.Sample{
		{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/latencies:seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"},
	}}
	s.since()
	return s
}

// watch looks until ctx ends: at the client's CPU, its garbage collector, the worst lateness of a timer and of a reading, how
// long its goroutines waited for a processor and its threads for a core. It also keeps the wall clock in sight.
func (s *self) watch(ctx context.Context) {
	wait := sleepUntil
	if s.driver.client != nil { // as in driver.open
		w := newWaiter()
		defer w.close()
		wait = w.until
	}
	var late time.Duration
	next := time.Now()
	report := next.Add(time.Second)
	for {
		next = next.Add(probeEvery)
		if !wait(ctx, next) {
			s.sample(late)
			return
		}
		now := time.Now()
		late = max(late, now.Sub(next))
		if now.After(next.Add(probeEvery)) {
			next = now
		}
		if c := s.driver.client; c != nil {
			c.wall.anchor()
		}
		if now.After(report) {
			s.sample(late)
			s.heap.adjust()
			late = 0
			if report = report.Add(time.Second); report.Before(now) { // it was stopped for longer
				report = now.Add(time.Second)
			}
		}
	}
}

// since brings both distributions up to date: they then hold what came since the last call.
func (s *self) since() {
	metrics.Read(s.read)
	s.gc.take(s.read[0].Value)
	s.sched.take(s.read[1].Value)
}

func (s *self) sample(late time.Duration) {
	d := s.driver
	at := d.Clock.Now()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return
	}
	var collector debug.GCStats
	debug.ReadGCStats(&collector) // unlike runtime.ReadMemStats it does not stop the program
	values := map[string]float64{
		lab.ClientCPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds(),
		lab.ClientCores:  float64(runtime.GOMAXPROCS(0)), // no more than its affinity and its group of processes allow
		lab.ClientGC:     collector.PauseTotal.Seconds(),
		lab.ClientLate:   late.Seconds(),
		lab.ClientFlight: float64(d.Progress.Snapshot().InFlight),
	}
	s.since()
	put := func(name string, v float64, ok bool) {
		if ok {
			values[name] = v
		}
	}
	longest, ok := s.gc.quantile(1)
	put(lab.ClientGCMax, longest, ok)
	p99, ok := s.sched.quantile(0.99)
	put(lab.ClientWait99, p99, ok)
	longest, ok = s.sched.quantile(1)
	put(lab.ClientWaitMax, longest, ok)
	if v := s.read[2].Value; v.Kind() == metrics.KindFloat64 {
		values[lab.ClientGCCPU] = v.Float64()
	}
	waited, ok := s.threads.waited()
	put(lab.ClientRunWait, waited.Seconds(), ok)
	resident, ok := resident()
	put(lab.ClientRSS, float64(resident), ok)
	if c := d.client; c != nil {
		c.measure(values, at)
	}
	d.Sample(lab.Sample{At: at, Took: d.Clock.Now() - at, Device: "client", Values: values})
}

// measure adds what its connections and its clocks say.
func (c *client) measure(values map[string]float64, at time.Duration) {
	if lag, ok := c.lag.take(); ok {
		values[lab.ClientLag] = lag.Seconds()
	}
	sum, most := c.dialer.unread()
	values[lab.ClientUnread], values[lab.ClientUnreadMax] = float64(sum), float64(most)
	values[lab.ClientSteps] = float64(c.wall.steps.Load())
	values[lab.ClockWall] = float64(c.wall.distance.Load()+int64(at)) / 1e9
}

// spread is what one of the Go runtime's distributions gained between two readings.
type spread struct {
	before, gained []uint64
	bounds         []float64
}

func (s *spread) take(v metrics.Value) {
	if v.Kind() != metrics.KindFloat64Histogram {
		return // this Go has it no more
	}
	h := v.Float64Histogram()
	if s.before == nil {
		s.before, s.gained, s.bounds = make([]uint64, len(h.Counts)), make([]uint64, len(h.Counts)), h.Buckets
	}
	s.gain(h.Counts)
}

func (s *spread) gain(counts []uint64) {
	for i, n := range counts {
		s.gained[i], s.before[i] = n-s.before[i], n
	}
}

// quantile is the upper bound of the class that holds it.
func (s *spread) quantile(q float64) (float64, bool) {
	total := uint64(0)
	for _, n := range s.gained {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank, below := uint64(math.Ceil(q*float64(total))), uint64(0)
	for i, n := range s.gained {
		if below += n; below < rank || n == 0 {
			continue
		}
		if bound := s.bounds[i+1]; !math.IsInf(bound, 1) {
			return bound, true
		}
		return s.bounds[i], true
	}
	return 0, false
}

// worst keeps the longest of what many goroutines saw.
type worst struct{ plusOne atomic.Int64 } // 0: nothing was seen

func (w *worst) add(d time.Duration) {
	for {
		known := w.plusOne.Load()
		if int64(d) < known || w.plusOne.CompareAndSwap(known, int64(d)+1) {
			return
		}
	}
}

// take gives it and begins anew.
func (w *worst) take() (time.Duration, bool) {
	v := w.plusOne.Swap(0)
	return time.Duration(v - 1), v > 0
}
