package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
	"lab/profiling"
	"lab/supervisor"
)

// errCaptured ends the load of a profiled run: the window is closed, and what comes after it is not wanted.
var errCaptured = errors.New("the profile is captured")

// capture is the window of a profiled run: it opens when its condition holds, closes after so many steps, and is over when
// the server's files are whole. The request that closes it is sent once and awaited for as long as the server lives.
type capture struct {
	job    *job
	window lab.ProfileWindow
	start  lab.ProfileStart
	setup  supervisor.Profiler
	folder *profiling.Folder
	files  string // where the traces are
	access supervisor.Access
	record *lab.Profile
	until  time.Duration // the last moment at which the window was surely open and nothing written

	engine engineWatch
	recent latencies

	ready chan struct{} // closed when the warm-up is over
	first sync.Once     // closes ready
	open  chan struct{} // closed when a window that opens with the first request is open, or lost
	over  chan struct{} // closed when the load has ended
	done  chan struct{} // closed when the goroutine has ended
	busy  atomic.Int64  // until this moment, as an offset, the server had a reason to give no token
}

// newCapture is called before the server starts; nil: the run is not profiled.
func (j *job) newCapture(setup supervisor.Profiler, dir string) (*capture, error) {
	w := *j.run.Experiment.Profile
	start, err := lab.ParseProfileStart(w.Start)
	if err != nil {
		return nil, fmt.Errorf("read profile.start: %w", err) // validated before
	}
	bound := "lab"
	if setup.Bounded {
		bound = "server"
	}
	return &capture{
		job: j, window: w, start: start, setup: setup, folder: profiling.OpenFolder(dir), files: dir,
		record: &lab.Profile{
			Mechanism: setup.Mechanism, Settings: setup.Settings, Bound: bound, Condition: w.Start, Workers: setup.Workers,
			Remarks: setup.Remarks, Estimate: profiling.Room(w, setup.Workers),
		},
		ready: make(chan struct{}), open: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// begin watches the load from now on. end ends the load; ctx ends when the server goes down or the user stops the run.
func (c *capture) begin(ctx context.Context, end context.CancelCauseFunc, url string) {
	if c == nil {
		return
	}
	c.access = c.job.lab.access(c.job.run.Experiment.Server, url)
	c.engine.url = url
	go func() {
		defer close(c.done)
		opened := sync.OnceFunc(func() { close(c.open) })
		defer opened()
		err := c.run(ctx, opened)
		if err != nil && ctx.Err() == nil {
			err = c.dying(ctx, err, end)
		}
		c.lost(err)
		c.job.status.detail("")
		end(errCaptured)
	}()
}

// endOfDying is how long a server whose engine is dead may take to end: vllm looks every 5 s whether it should.
const endOfDying = 10 * time.Second

// dying sees whether a capture was lost because the server is: its end may show only now.
func (c *capture) dying(ctx context.Context, lost error, end context.CancelCauseFunc) error {
	var death *supervisor.DeathError
	if err := supervisor.Alive(ctx, c.access); ctx.Err() == nil && !errors.As(err, &death) {
		return lost
	}
	select {
	case <-ctx.Done(): // whoever watches the server knows why it died
	case <-time.After(endOfDying):
		end(death)
	}
	return fmt.Errorf("%w: %w", lost, context.Cause(ctx))
}

// lost keeps the first reason why there is no whole capture.
func (c *capture) lost(err error) {
	if err != nil && c.record.Lost == "" {
		c.record.Lost = err.Error()
	}
}

// warmed says that the warm-up of a judged phase is over. A window that opens with the first request is open when it returns.
func (c *capture) warmed() {
	if c == nil {
		return
	}
	c.first.Do(func() { close(c.ready) })
	if c.start.Kind == "warm" {
		<-c.open
	}
}

// took is told of each request that ended.
func (c *capture) took(r lab.RequestRecord) {
	if c != nil {
		c.recent.add(c.start.Kind, r)
	}
}

// finish says that the load has ended and waits for the window.
func (c *capture) finish() {
	if c != nil {
		close(c.over)
		<-c.done
	}
}

// excused is until when the server had a reason to give no token.
func (c *capture) excused() time.Duration {
	if c == nil {
		return 0
	}
	return time.Duration(c.busy.Load())
}

func (c *capture) now() time.Duration { return c.job.clock.Now() }

// run is the window from its condition to its files.
func (c *capture) run(ctx context.Context, opened func()) error {
	select {
	case <-c.ready:
	case <-c.over:
		return errors.New("the load ended before its warm-up did")
	case <-ctx.Done():
		return cut(ctx, "before the window opened")
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	if err := c.turnOn(ctx); err != nil {
		return err
	}
	opened()
	base := c.engine.last.steps
	c.job.status.stage("profiling", 0)
	c.watchWindow(ctx, base)
	c.job.status.stage("writing traces", 0)
	if ctx.Err() != nil {
		return cut(ctx, "while the window was open")
	}
	if err := c.turnOff(ctx, base); err != nil {
		return err
	}
	c.compare(ctx)
	return nil
}

// cut says what ended a window before its time.
func cut(ctx context.Context, when string) error {
	return fmt.Errorf("%w, %s", context.Cause(ctx), when)
}

// await waits until the condition of the window holds.
func (c *capture) await(ctx context.Context) error {
	if c.start.Kind == "warm" {
		c.record.Met, c.record.MetAt = "the warm-up was over", c.now()
		return nil
	}
	var steady steadiness
	for {
		switch c.pause(ctx, pollCondition) {
		case ended:
			return fmt.Errorf("the load ended before %s held (%s)", c.start.Source, c.nearest(&steady))
		case canceled:
			return cut(ctx, "before the window opened")
		}
		e, ok := c.engine.poll(ctx)
		if !ok {
			continue
		}
		met := ""
		switch c.start.Kind {
		case "steady":
			met = steady.look(e, c.recent.count())
		case "queue":
			if e.waiting >= c.start.Depth {
				met = fmt.Sprintf("%d requests waited", e.waiting)
			}
		default:
			if v, n, ok := c.recent.percentile(c.start.Rank); ok && v > c.start.Limit {
				met = fmt.Sprintf("p%g of %s over the last %d requests was %s", c.start.Rank, c.start.Kind, n, v.Round(100*time.Microsecond))
			}
		}
		c.job.status.detail("waits for " + c.start.Source)
		if met != "" {
			c.record.Met, c.record.MetAt = met, c.now()
			return nil
		}
	}
}

// nearest says how far a condition that never held was from holding.
func (c *capture) nearest(s *steadiness) string {
	switch c.start.Kind {
	case "steady":
		return s.why
	case "queue":
		return fmt.Sprintf("at most %d requests waited", c.engine.deepest)
	}
	v, n, ok := c.recent.percentile(c.start.Rank)
	if !ok {
		return fmt.Sprintf("%d requests had ended, and it takes %d", n, fewestLatencies)
	}
	return fmt.Sprintf("at the end it was %s over %d requests", v.Round(100*time.Microsecond), n)
}

// turnOn opens the window.
func (c *capture) turnOn(ctx context.Context) error {
	c.job.status.stage("starting the profiler", 0)
	c.engine.poll(ctx)
	asked := c.now()
	answer := supervisor.AskProfiler(ctx, c.access, true)
	c.record.Start = reply(asked, c.now(), answer)
	c.busy.Store(int64(c.now()))
	if answer.Err != nil {
		return fmt.Errorf("the profiler could not be started: %w", answer.Err)
	}
	if !c.record.Start.OK() {
		return fmt.Errorf("the server refused to start its profiler: status %d %s", answer.Status, answer.Text)
	}
	c.engine.poll(ctx)
	return nil
}

func reply(asked, came time.Duration, r supervisor.ProfilerReply) *lab.ProfileReply {
	out := &lab.ProfileReply{Asked: asked, Took: came - asked, Status: r.Status, Text: r.Text}
	if r.Err != nil {
		out.Text = r.Err.Error()
	}
	return out
}

// watchWindow returns when the engine has made the steps, the workers have written their traces by themselves, or the load
// has ended.
func (c *capture) watchWindow(ctx context.Context, base int) {
	for {
		if c.pause(ctx, pollWindow) != waited {
			return
		}
		c.engine.poll(ctx)
		made := c.engine.last.steps - base
		c.job.status.detail(fmt.Sprintf("%d of %d steps", max(0, made), c.window.Iterations))
		if c.setup.Bounded && made >= c.window.Iterations-2 { // from here on the workers may be writing
			c.busy.Store(int64(c.now()))
		}
		if made >= c.window.Iterations {
			return
		}
		c.until = c.now()
		if size, _, err := c.folder.Look(); err == nil && size > 0 && c.setup.Bounded {
			c.busy.Store(int64(c.now()))
			return
		}
	}
}

// How the wait for the next look ended.
type wake int

const (
	waited wake = iota
	ended
	canceled
)

// How often the engine is asked. Within the window and after it is the same, since asking slows the server too.
const (
	pollCondition = 100 * time.Millisecond
	pollWindow    = 25 * time.Millisecond
	pollFiles     = 250 * time.Millisecond
)

func (c *capture) pause(ctx context.Context, d time.Duration) wake {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return canceled
	case <-c.over:
		return ended
	case <-timer.C:
		return waited
	}
}
