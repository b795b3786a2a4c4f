package loadgen

import (
	"context"
	"sync"
	"time"

	"lab/internal/lab"
)

// Do sends one request and fills its record: HTTP, or a stand-in of a test.
type Do func(ctx context.Context, r Request, rec *lab.RequestRecord)

// Options says what to drive and where the records go.
type Options struct {
	Target   Target
	Phase    lab.Phase
	Pool     uint64 // pool of prompts of the measured requests; 0 unless the server has seen that pool before
	Vocab    int    // random token ids are below it
	Clock    lab.Clock
	Record   func(lab.RequestRecord) // from many goroutines; must not block
	Sample   func(lab.Sample)        // the client's measurements of itself
	Progress *Progress
	Do       Do // nil: HTTP to Target
}

// Report says when a phase ran.
type Report struct {
	Start, End time.Duration
	Offered    int
}

// Warm sends the phase's warm-up: requests of the same kind with other prompts, recorded under lab.Warmup. The first
// request of a kind can take seconds in a fresh server.
func Warm(ctx context.Context, o Options) error {
	l := o.Phase.Load
	if l.Warmup == 0 {
		return nil
	}
	if l.Concurrency == 0 {
		l.Concurrency = min(l.Warmup, 8)
	}
	l.Rate, l.Requests, l.Duration = 0, l.Warmup, 0
	o.Phase = lab.Phase{Name: lab.Warmup, Load: l}
	o.Pool = warmup
	_, err := Run(ctx, o)
	return err
}

// Run drives one phase to its end and returns when every request has ended. When ctx ends, nothing more is sent and
// what is in flight is ended and recorded as canceled with the cause.
func Run(ctx context.Context, o Options) (Report, error) {
	source, err := newPrompts(o.Phase.Load, o.Vocab, o.Pool)
	if err != nil {
		return Report{}, err
	}
	bodies, err := newBodies(o.Target.Model, o.Phase.Load)
	if err != nil {
		return Report{}, err
	}
	if _, err := bodies.request(0, source.at(0)); err != nil {
		return Report{}, err
	}
	d := &driver{Options: o}
	if d.Do == nil {
		c := newClient(o.Target, o.Clock, o.Progress.token)
		defer c.close()
		d.Do = c.do
		d.client = c
	}
	measured, stop := context.WithCancel(ctx)
	var self sync.WaitGroup
	self.Go(func() { d.measureSelf(measured) })
	defer self.Wait()
	defer stop()
	return d.run(ctx, source, bodies), nil
}

// driver is one phase while it runs.
type driver struct {
	Options
	client *client
	start  time.Duration
	flight sync.WaitGroup
}

func (d *driver) run(ctx context.Context, source prompts, b bodies) Report {
	l := d.Phase.Load
	feed, stop := context.WithCancel(ctx)
	requests := make(chan Request, 2*max(l.Concurrency, 128)) // built ahead of their moment
	var builder sync.WaitGroup
	builder.Go(func() { build(feed, requests, source, b, l.Requests) })
	times := Arrivals(l)
	if d.client != nil {
		d.client.connect(ctx, expected(l))
	}
	d.start = d.Clock.Now()
	var offered int
	if l.Open() {
		offered = d.open(ctx, requests, times)
	} else {
		offered = d.closed(ctx, requests)
	}
	d.flight.Wait()
	stop()
	builder.Wait()
	return Report{Start: d.start, End: d.Clock.Now(), Offered: offered}
}

// build makes the requests in order, ahead of their need. Without a number it goes on until ctx ends.
func build(ctx context.Context, out chan<- Request, source prompts, b bodies, n int) {
	defer close(out)
	for i := 0; n == 0 || i < n; i++ {
		r, err := b.request(i, source.at(i))
		if err != nil { // the first one was tried before the start, so this is one odd line of a file
			r = Request{Seq: i, Path: b.path, Body: []byte("{}")}
		}
		select {
		case out <- r:
		case <-ctx.Done():
			return
		}
	}
}

// open sends each request at its moment, whatever the server does. With a bound on requests in flight a request may
// have to wait for one to end: it then leaves late, and its intended moment says so.
func (d *driver) open(ctx context.Context, requests <-chan Request, times []time.Duration) int {
	var slots chan struct{}
	if n := d.Phase.Load.Concurrency; n > 0 {
		slots = make(chan struct{}, n)
	}
	for i, at := range times {
		r, ok := <-requests
		if !ok || !sleepUntil(ctx, d.Clock.Time(d.start+at)) {
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

// closed keeps a number of requests in flight: each worker sends its next one when its last has ended.
func (d *driver) closed(ctx context.Context, requests <-chan Request) int {
	l := d.Phase.Load
	var mu sync.Mutex
	offered := 0
	for range l.Concurrency {
		d.flight.Go(func() {
			for ctx.Err() == nil {
				intended := d.Clock.Now()
				if l.Duration > 0 && intended-d.start >= time.Duration(l.Duration) {
					return
				}
				r, ok := <-requests
				if !ok {
					return
				}
				mu.Lock()
				offered++
				mu.Unlock()
				if rec := d.one(ctx, r, intended); refused(rec) {
					sleepUntil(ctx, time.Now().Add(refusedPause))
				}
			}
		})
	}
	d.flight.Wait()
	return offered
}

// refusedPause keeps a closed loop from storming a server that refuses at once, until somebody notices that it is down.
const refusedPause = 50 * time.Millisecond

func refused(r lab.RequestRecord) bool {
	return (r.Error == lab.ErrConnect || r.Error == lab.ErrStatus) && r.Done-r.Sent < refusedPause
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

// expected is how many connections a load will need at once, roughly: opening them beforehand keeps the handshakes out
// of the first requests' times.
func expected(l lab.Load) int {
	if l.Concurrency > 0 {
		return min(l.Concurrency, 1024)
	}
	return 0
}

// connect opens connections and leaves them idle for the requests to come. It is no error if that does not work: the
// requests will say so.
func (c *client) connect(ctx context.Context, n int) {
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() { c.ping(ctx) })
	}
	wait.Wait()
}
