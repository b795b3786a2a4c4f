package loadgen

import (
	"context"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// Do sends one request and fills its record: HTTP, or a stand-in of a test.
type Do func(ctx context.Context, r Request, rec *lab.RequestRecord)

// Options says what to drive and where the records go.
type Options struct {
	Target   Target
	Phase    lab.Phase
	Prompts  Prompts
	Times    []time.Duration // of an open loop, from the start of the phase; nil: Arrivals
	Clock    lab.Clock
	Record   func(lab.RequestRecord) // from many goroutines; must not block
	Sample   func(lab.Sample)        // the client's measurements of itself
	Progress *Progress
	Do       Do // nil: HTTP to Target
}

// Report says when a phase ran and what it sent.
type Report struct {
	Start, End time.Duration
	Offered    int // requests sent
	Repeated   int // of these, with a prompt that the phase had sent before: the file is shorter than the load
}

// Warm sends the phase's warm-up: requests of the same kind, recorded under lab.Warmup; the prompts should be others than
// those of the phase. The first request of a kind can take seconds in a fresh server.
func Warm(ctx context.Context, o Options) error {
	l := o.Phase.Load
	if l.Warmup == 0 {
		return nil
	}
	if l.Concurrency == 0 {
		l.Concurrency = min(l.Warmup, 8)
	}
	l.Rate, l.RampUp, l.Requests, l.Duration, l.Dataset = 0, nil, l.Warmup, 0, lab.Dataset{}
	o.Phase, o.Times = lab.Phase{Name: lab.Warmup, Load: l}, nil
	_, err := Run(ctx, o)
	return err
}

// Run drives one phase to its end and returns when every request has ended. When ctx ends, nothing more is sent and
// what is in flight is ended and recorded as canceled with the cause.
func Run(ctx context.Context, o Options) (Report, error) {
	bodies, err := newBodies(o.Target.Model, o.Phase.Load)
	if err != nil {
		return Report{}, err
	}
	d := &driver{Options: o}
	if d.Do == nil {
		c := newClient(o.Target, o.Clock, o.Progress.token)
		defer c.close()
		c.keep = o.Phase.Load.KeepText
		d.Do = c.do
		d.client = c
	}
	return d.run(ctx, bodies), nil
}

// driver is one phase while it runs.
type driver struct {
	Options
	client *client
	start  time.Duration
	flight sync.WaitGroup
	ready  int // connections that stand when the phase begins
	most   int // connections that are opened before they are needed
}

func (d *driver) run(ctx context.Context, b bodies) Report {
	l, source := d.Phase.Load, d.Prompts
	times := d.Times
	if times == nil {
		times = Arrivals(l)
	}
	n := l.Requests
	if l.Open() {
		n = len(times)
	}
	feed, stop := context.WithCancel(ctx)
	requests := make(chan Request, ahead(n, l.Concurrency, len(b.request(0, source.At(0)).Body)))
	first := atOnce(cap(requests), l.Concurrency, times)
	for i := range first {
		requests <- b.request(i, source.At(i))
	}
	var builder sync.WaitGroup
	builder.Go(func() { build(feed, requests, source, b, first, n) })
	if d.client != nil && !l.OnDemand {
		d.most = connections(l, times)
		d.ready = min(d.most, max(wave, mostWithin(times, headStart)))
		if !d.client.connect(ctx, d.ready) {
			d.most = d.ready
		}
		if l.Open() {
			d.client.dialer.spare(min(d.most, mostSpares))
		}
	}
	roomy := newHeap()
	defer roomy.restore()
	measured, end := context.WithCancel(ctx)
	var self sync.WaitGroup
	me := newSelf(d, roomy)
	me.sample(0) // what it has used up to here
	self.Go(func() { me.watch(measured) })
	d.start = d.Clock.Now()
	report := Report{Start: d.start}
	if l.Open() {
		report.Offered = d.open(ctx, requests, times)
	} else {
		report.Offered = d.closed(ctx, requests)
	}
	d.flight.Wait()
	report.End = d.Clock.Now()
	end()
	self.Wait()
	stop()
	builder.Wait()
	if distinct := source.Distinct(); distinct > 0 {
		report.Repeated = max(0, report.Offered-distinct)
	}
	return report
}

// ahead is how many requests may be built before it is their turn, so that building them takes nothing from it: all, unless
// their number is open or they would fill the memory.
func ahead(n, concurrency, size int) int {
	const memory = 64 << 20
	most := max(memory/size, concurrency)
	if n > 0 {
		return min(n, most)
	}
	return min(max(2*concurrency, 256), most)
}

// atOnce is how many of these are built before the phase begins: those of a closed loop's first two rounds, or of an open
// loop's first moments. Building them all would hold up the first request.
func atOnce(ahead, concurrency int, times []time.Duration) int {
	return min(ahead, max(2*concurrency, mostWithin(times, burst), wave))
}

// build makes what was not built before the phase, in order. Without a number it goes on until ctx ends. While more wait than
// there were in the beginning it takes a tenth of a core at most: the load comes first.
func build(ctx context.Context, out chan<- Request, source Prompts, b bodies, first, n int) {
	defer close(out)
	const spell, share = 100 * time.Microsecond, 10
	began := time.Now()
	for i := first; n == 0 || i < n; i++ {
		select {
		case out <- b.request(i, source.At(i)):
		case <-ctx.Done():
			return
		}
		if worked := time.Since(began); worked > spell && len(out) > first {
			sleepUntil(ctx, time.Now().Add((share-1)*worked))
			began = time.Now()
		}
	}
}

// open sends each request at its moment, whatever the server does. With a bound on requests in flight a request may
// have to wait for one to end: it then leaves late, and its intended moment says so. All of the schedule is sent, also
// what had to wait beyond the phase's duration: leaving it out would hide the overload.
func (d *driver) open(ctx context.Context, requests <-chan Request, times []time.Duration) int {
	var slots chan struct{}
	if n := d.Phase.Load.Concurrency; n > 0 {
		slots = make(chan struct{}, n)
	}
	wait := sleepUntil
	if d.client != nil { // a test's stand-in may live in virtual time, of which the kernel knows nothing
		w := newWaiter()
		defer w.close()
		wait = w.until
	}
	for i, at := range times {
		r, ok := <-requests
		if !ok || !wait(ctx, d.Clock.Time(d.start+at)) {
			return i
		}
		if slots != nil {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return i
			}
		}
		d.flight.Go(func() {
			d.one(ctx, r, d.start+at)
			if slots != nil {
				<-slots
			}
		})
	}
	return len(times)
}

// closed keeps a number of requests in flight: each slot sends its next one when its last has ended. It begins when its
// connection stands: these are opened in waves, and what a wave is for does not wait for the next.
func (d *driver) closed(ctx context.Context, requests <-chan Request) int {
	l := d.Phase.Load
	var offered atomic.Int64
	var begun sync.WaitGroup
	for slot := range l.Concurrency {
		if slot >= d.ready && slot < d.most && slot%wave == 0 {
			begun.Wait() // a connection that its slot has not taken yet is idle, and the next wave would
			if !d.client.connect(ctx, min(wave, d.most-slot)) {
				d.most = slot
			}
		}
		begun.Add(1)
		d.flight.Go(func() { d.slot(ctx, requests, &offered, sync.OnceFunc(begun.Done)) })
	}
	d.flight.Wait()
	return int(offered.Load())
}

// slot sends one request after the other, and says when it has its connection, or will not need one.
func (d *driver) slot(ctx context.Context, requests <-chan Request, offered *atomic.Int64, begun func()) {
	defer begun()
	limit := time.Duration(d.Phase.Load.Duration)
	told := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { begun() }})
	for ; ctx.Err() == nil; told = ctx {
		intended := d.Clock.Now()
		if limit > 0 && intended-d.start >= limit {
			return
		}
		r, ok := <-requests
		if !ok {
			return
		}
		offered.Add(1)
		rec := d.one(told, r, intended)
		begun()
		if refused(rec) {
			sleepUntil(ctx, time.Now().Add(refusedPause))
		}
	}
}

// refusedPause keeps a closed loop from storming a server that fails every request at once, until somebody notices.
const refusedPause = 50 * time.Millisecond

func refused(r lab.RequestRecord) bool {
	return !r.OK() && len(r.Chunks) == 0 && r.Done-r.Sent < refusedPause
}

// one sends a request and records what became of it.
func (d *driver) one(ctx context.Context, r Request, intended time.Duration) lab.RequestRecord {
	rec := lab.RequestRecord{
		Seq: r.Seq, Phase: d.Phase.Name, Prompt: r.Prompt, Intended: intended,
		WantInput: r.Input, WantOutput: r.Output,
	}
	if limit := time.Duration(d.Phase.Load.RequestTimeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errRequestTimeout)
		defer cancel()
	}
	d.Progress.sent(d.Clock.Now())
	d.Do(ctx, r, &rec)
	d.Progress.ended(rec)
	d.Record(rec)
	return rec
}

// sleepUntil is false where ctx ends first.
func sleepUntil(ctx context.Context, when time.Time) bool {
	wait := time.Until(when)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
