package gpu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"lab/internal/lab"
)

// Config is what the sampler is told on its standard input.
type Config struct {
	Epoch     lab.Epoch     `json:"epoch"`
	Telemetry lab.Telemetry `json:"telemetry"`
	GPUs      []string      `json:"gpus,omitempty"`
	ServerPID int           `json:"server_pid,omitempty"` // 0: none of ours
	EngineURL string        `json:"engine_url,omitempty"` // scraped at EngineURL/metrics
	SimURL    string        `json:"sim_url,omitempty"`    // a simulated GPU
	NVMLLib   string        `json:"nvml_lib,omitempty"`
}

// open finds the GPUs to read. None is normal.
func (c Config) open() (Source, error) {
	switch {
	case c.SimURL != "":
		return OpenSimulated(c.SimURL)
	case c.Telemetry.Replay != "":
		return OpenReplay(c.Telemetry.Replay)
	}
	return OpenNVML(c.NVMLLib, c.GPUs, c.ServerPID)
}

// message is one line from the sampler to lab.
type message struct {
	Sample *lab.Sample `json:"sample,omitempty"`
	Note   string      `json:"note,omitempty"` // why there are no GPUs
	Lost   string      `json:"lost,omitempty"` // what will be missing
}

// output is the sampler's way to lab. The loop of the GPUs flushes it, so that a driver that hangs is heard as silence
// while the engine's readings go on.
type output struct {
	mu      sync.Mutex
	w       *bufio.Writer
	encoder *json.Encoder
}

func newOutput(out io.Writer) *output {
	w := bufio.NewWriterSize(out, 64<<10)
	return &output{w: w, encoder: json.NewEncoder(w)}
}

// say keeps no error: the writer reports it again at the next flush.
func (o *output) say(m message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.encoder.Encode(m)
}

func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Flush()
}

// Time limits of the sampler: a driver that does not persist takes seconds to start on a box with many GPUs; the last
// readings wait for a server that does not answer.
const (
	openLimit = 10 * time.Second
	lastLimit = scrapeTimeout + 500*time.Millisecond
)

// Serve is the whole life of the sampler process: it reads a Config from in, writes one JSON line per sample to out, and
// ends when in is closed or ctx ends. When the driver hangs it leaves the reading behind, which ends with the process.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader := bufio.NewReader(in)
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read sampler config: %w", err)
	}
	var cfg Config
	if err := json.Unmarshal(line, &cfg); err != nil {
		return fmt.Errorf("read sampler config: %w", err)
	}
	go func() { // lab has ended, in whatever way, when its end of the pipe is closed
		io.Copy(io.Discard, reader)
		cancel()
	}()
	o := newOutput(out)
	emit := func(s lab.Sample) { o.say(message{Sample: &s}) }
	l := newLoop(cfg, emit, o.flush)
	l.opened = openAside(cfg, o.say)
	ended := make(chan error, 1)
	go func() {
		var scraping sync.WaitGroup
		scraping.Go(func() { scrape(ctx, cfg, emit) })
		err := l.run(ctx)
		cancel()
		scraping.Wait()
		ended <- errors.Join(err, o.flush())
		if l.source != nil {
			l.source.Close()
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(lastLimit):
		return errors.New("take last readings: the driver hangs")
	}
}

// openAside opens the GPUs while the host is sampled already, because a driver can take long, or for ever.
func openAside(cfg Config, say func(message)) <-chan Source {
	opened := make(chan Source, 1)
	go func() {
		slow := time.AfterFunc(openLimit, func() {
			say(message{Lost: fmt.Sprintf("no GPU is sampled: the driver has not started after %s", openLimit)})
		})
		defer slow.Stop()
		source, err := cfg.open()
		if err != nil {
			say(message{Note: err.Error()})
			return
		}
		opened <- source
	}()
	return opened
}

// scrape reads the engine's metrics in a loop of its own: a server that answers late must not delay the GPUs.
func scrape(ctx context.Context, cfg Config, emit func(lab.Sample)) {
	if cfg.EngineURL == "" {
		return
	}
	l := &loop{clock: cfg.Epoch.Clock(), emit: emit}
	engine := newEngine(cfg.EngineURL)
	last := context.WithoutCancel(ctx) // the last reading is taken when ctx has ended; it has a time limit of its own
	l.add(time.Second, func() { l.emit(engine.read(last, l.clock.Now)) })
	l.run(ctx)
}

// task is one group of readings with its deadlines.
type task struct {
	period time.Duration
	read   func()
	served int // index of the last deadline that was served
}

// loop serves each task at absolute deadlines. A deadline stays due until it is served; when the loop is late, the
// deadlines that have passed meanwhile are counted as skipped, not caught up.
type loop struct {
	clock   lab.Clock
	emit    func(lab.Sample)
	fast    time.Duration // period of the fast group
	opened  <-chan Source // gives the GPUs when they are ready; nil: none
	source  Source        // the GPUs that are sampled
	start   time.Time
	tasks   []*task
	fault   error // of the output: nobody listens any more
	skipped int
	worst   time.Duration // lateness since the last report
}

// flushEvery bounds how old a sample is when lab sees it.
const flushEvery = 200 * time.Millisecond

func newLoop(cfg Config, emit func(lab.Sample), flush func() error) *loop {
	l := &loop{clock: cfg.Epoch.Clock(), emit: emit, fast: time.Duration(cfg.Telemetry.Period)}
	if l.fast <= 0 {
		l.fast = 50 * time.Millisecond
	}
	host, processes := newHostReader("/"), newTree(cfg.ServerPID)
	l.add(time.Second, func() { l.emit(host.read(l.clock.Now)) })
	l.add(time.Second, func() {
		for _, s := range processes.read(l.clock.Now) {
			l.emit(s)
		}
	})
	l.add(time.Second, func() { l.emit(l.self()) })
	l.add(10*time.Second, func() { l.emit(l.anchor()) })
	l.add(flushEvery, func() { l.fault = flush() })
	return l
}

// adopt starts to read the GPUs.
func (l *loop) adopt(source Source) {
	l.source, l.opened = source, nil
	for group, period := range groupPeriods(l.fast) {
		l.add(period, func() {
			for _, s := range source.Read(group, l.clock.Now) {
				l.emit(s)
			}
		})
	}
}

// add takes a task in; one that comes while the loop runs is due at the next of its deadlines.
func (l *loop) add(period time.Duration, read func()) {
	t := &task{period: period, read: read, served: -1}
	if !l.start.IsZero() {
		t.served = int(time.Since(l.start) / period)
	}
	l.tasks = append(l.tasks, t)
}

// run serves until ctx ends or nobody listens; the last readings are taken then, so that counters reach to the end.
func (l *loop) run(ctx context.Context) error {
	l.start = time.Now()
	for l.fault == nil {
		next := l.tasks[0]
		for _, t := range l.tasks[1:] {
			if t.due(l.start).Before(next.due(l.start)) {
				next = t
			}
		}
		timer := time.NewTimer(time.Until(next.due(l.start)))
		select {
		case <-ctx.Done():
			timer.Stop()
			for _, t := range l.tasks {
				t.read()
			}
			return l.fault
		case source := <-l.opened:
			timer.Stop()
			l.adopt(source)
		case <-timer.C:
			l.serve(next)
		}
	}
	return fmt.Errorf("write samples: %w", l.fault)
}

// serve does a task that is due, and notes how late it was and which of its deadlines have passed meanwhile.
func (l *loop) serve(t *task) {
	l.worst = max(l.worst, time.Since(t.due(l.start)))
	t.read()
	t.served++
	if passed := int(time.Since(l.start) / t.period); passed > t.served {
		l.skipped += passed - t.served
		t.served = passed
	}
}

func (t *task) due(start time.Time) time.Time {
	return start.Add(time.Duration(t.served+1) * t.period)
}

// self is the sampler's account of itself.
func (l *loop) self() lab.Sample {
	s := lab.Sample{At: l.clock.Now(), Device: "sampler", Values: map[string]float64{
		lab.SamplerSkip: float64(l.skipped), lab.SamplerLate: l.worst.Seconds(),
	}}
	l.worst = 0
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		s.Values[lab.SamplerCPU] = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	}
	return s
}

// anchor ties the wall clock to the run's clock, so that a step of the former can be seen later.
func (l *loop) anchor() lab.Sample {
	before := l.clock.Now()
	wall := time.Now().UnixNano()
	after := l.clock.Now()
	return lab.Sample{At: (before + after) / 2, Took: after - before, Device: "clock", Values: map[string]float64{
		lab.ClockWall: float64(wall) / 1e9,
	}}
}
