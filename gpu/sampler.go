package gpu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
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
	Began     time.Duration `json:"began,omitempty"` // when the first sampler of this run was started: time 0 of a replay
}

// open finds the GPUs to read. None is normal.
func (c Config) open() (Source, error) {
	switch {
	case c.Telemetry.Replay != "": // also beside a simulator: it was asked for by name
		start := time.Now()
		if c.Began > 0 {
			start = c.Epoch.Clock().Time(c.Began)
		}
		return OpenReplay(c.Telemetry.Replay, start, c.ServerPID)
	case c.SimURL != "":
		return OpenSimulated(c.SimURL)
	}
	return OpenNVML(c.NVMLLib, c.GPUs, c.ServerPID)
}

// message is one line from the sampler to lab.
type message struct {
	Sample *lab.Sample   `json:"sample,omitempty"`
	Kind   lab.EventKind `json:"kind,omitempty"` // of what happened
	Detail string        `json:"detail,omitempty"`
}

// output is the sampler's way to lab. The loop of the host flushes it, so that silence means that the whole sampler is
// stuck or gone.
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

func (o *output) sample(s lab.Sample) { o.say(message{Sample: &s}) }

// event is flushed at once, because lab takes the time at which it hears of it.
func (o *output) event(e lab.Event) {
	o.say(message{Kind: e.Kind, Detail: e.Detail})
	o.flush()
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
	g := newGPULoop(cfg, o.sample, o.event)
	ended := make(chan error, 1)
	go func() { // the GPUs, which a driver can hold for ever
		g.run(ctx, openAside(cfg, o.event))
		ended <- nil
	}()
	var others sync.WaitGroup
	others.Go(func() { scrape(ctx, cfg, o.sample) })
	err = newHostLoop(cfg, g, o).run(ctx)
	cancel()
	others.Wait()
	select {
	case <-ended:
		return errors.Join(err, o.flush())
	case <-time.After(lastLimit):
		return errors.Join(err, o.flush(), errors.New("take last readings: the driver hangs"))
	}
}

// openAside opens the GPUs while the host is sampled already, because a driver can take long, or for ever.
func openAside(cfg Config, event func(lab.Event)) <-chan Source {
	opened := make(chan Source, 1)
	go func() {
		slow := time.AfterFunc(openLimit, func() {
			event(lab.Event{Kind: lab.SamplerLost, Detail: fmt.Sprintf("%s: the driver has not started after %s", lab.NoGPU, openLimit)})
		})
		source, err := cfg.open()
		inTime := slow.Stop()
		switch {
		case err != nil:
			event(lab.Event{Kind: lab.SamplerNote, Detail: lab.NoGPU + ": " + err.Error()})
			return
		case !inTime:
			event(lab.Event{Kind: lab.GPUBack, Detail: "the driver has started"})
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
	l := &loop{}
	clock, engine := cfg.Epoch.Clock(), newEngine(cfg.EngineURL)
	last := context.WithoutCancel(ctx) // the last reading is taken when ctx has ended; it has a time limit of its own
	l.add(time.Second, func() { emit(engine.read(last, clock.Now)) })
	l.run(ctx)
}

// flushEvery bounds how old a sample is when lab sees it.
const flushEvery = 200 * time.Millisecond

// newHostLoop reads everything but GPUs and the engine, watches the loop of the GPUs, and sends what was read.
func newHostLoop(cfg Config, g *gpuLoop, o *output) *loop {
	l := &loop{}
	clock, host, processes := cfg.Epoch.Clock(), newHostReader("/"), newTree(cfg.ServerPID)
	l.add(time.Second, func() { o.sample(host.read(clock.Now)) })
	l.add(time.Second, func() {
		for _, s := range processes.read(clock.Now) {
			o.sample(s)
		}
	})
	l.add(time.Second, func() { o.sample(g.account(l)) })
	l.add(10*time.Second, func() { o.sample(g.spreads()) })
	l.add(10*time.Second, func() { o.sample(anchor(clock)) })
	l.add(flushEvery, func() {
		g.watchdog()
		l.fault = o.flush()
	})
	return l
}

// anchor ties the wall clock to the run's clock, so that a step of the former can be seen later.
func anchor(clock lab.Clock) lab.Sample {
	before := clock.Now()
	wall := time.Now().UnixNano()
	after := clock.Now()
	return lab.Sample{At: (before + after) / 2, Took: after - before, Device: "clock", Values: map[string]float64{
		lab.ClockWall: float64(wall) / 1e9,
	}}
}
