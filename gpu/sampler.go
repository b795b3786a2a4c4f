package gpu

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
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
	Note   string      `json:"note,omitempty"`
}

// Serve is the whole life of the sampler process: it reads a Config from in, writes one JSON line per sample to out, and
// ends when in is closed or ctx ends.
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
	w := bufio.NewWriterSize(out, 64<<10)
	encoder := json.NewEncoder(w)
	source, err := cfg.open()
	if err != nil {
		encoder.Encode(message{Note: err.Error()})
		source = nil
	} else {
		defer source.Close()
	}
	loop := newLoop(ctx, cfg, source, func(s lab.Sample) { encoder.Encode(message{Sample: &s}) })
	loop.flush = w.Flush
	return loop.run(ctx)
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
	flush   func() error
	tasks   []*task
	skipped int
	late    time.Duration // of the reading under way
	worst   time.Duration // lateness since the last report
}

// flushEvery bounds how old a sample is when lab sees it.
const flushEvery = 200 * time.Millisecond

func newLoop(ctx context.Context, cfg Config, source Source, emit func(lab.Sample)) *loop {
	l := &loop{clock: cfg.Epoch.Clock(), emit: emit, flush: func() error { return nil }}
	fast := time.Duration(cfg.Telemetry.Period)
	if fast <= 0 {
		fast = 50 * time.Millisecond
	}
	if source != nil {
		for group, period := range groupPeriods(fast) {
			l.add(period, func() {
				for _, s := range source.Read(group, l.clock.Now) {
					l.emit(s)
				}
			})
		}
	}
	host := &hostReader{}
	l.add(time.Second, func() { l.emit(host.read(l.clock.Now)) })
	processes := newTree(cfg.ServerPID)
	l.add(time.Second, func() {
		if s, ok := processes.read(l.clock.Now); ok {
			l.emit(s)
		}
	})
	if cfg.EngineURL != "" {
		engine := newEngine(cfg.EngineURL)
		last := context.WithoutCancel(ctx) // the last reading is taken when ctx has ended; it has a time limit of its own
		l.add(time.Second, func() { l.emit(engine.read(last, l.clock.Now)) })
	}
	l.add(time.Second, func() { l.emit(l.self()) })
	l.add(10*time.Second, func() { l.emit(l.anchor()) })
	l.add(flushEvery, func() {})
	return l
}

func (l *loop) add(period time.Duration, read func()) {
	l.tasks = append(l.tasks, &task{period: period, read: read, served: -1})
}

// run serves until ctx ends; the last readings are taken then, so that counters reach to the end.
func (l *loop) run(ctx context.Context) error {
	start := time.Now()
	for {
		next := l.tasks[0]
		for _, t := range l.tasks[1:] {
			if t.due(start).Before(next.due(start)) {
				next = t
			}
		}
		if !sleepUntil(ctx, next.due(start)) {
			for _, t := range l.tasks {
				t.read()
			}
			return l.flush()
		}
		l.late = time.Since(next.due(start))
		l.worst = max(l.worst, l.late)
		next.read()
		next.served++
		if passed := int(time.Since(start) / next.period); passed > next.served {
			l.skipped += passed - next.served
			next.served = passed
		}
		if next.period == flushEvery {
			if err := l.flush(); err != nil {
				return fmt.Errorf("write samples: %w", err)
			}
		}
	}
}

func (t *task) due(start time.Time) time.Time {
	return start.Add(time.Duration(t.served+1) * t.period)
}

func sleepUntil(ctx context.Context, when time.Time) bool {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
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

// GPUProcess is a process that uses a GPU.
type GPUProcess struct {
	PID    int    `json:"pid"`
	UUID   string `json:"uuid"`
	Memory uint64 `json:"memory"` // bytes; 0: the driver does not say
}

// Found is what a probe says of the GPUs.
type Found struct {
	Devices    []lab.Device      `json:"devices,omitempty"`
	Driver     string            `json:"driver,omitempty"`
	Library    string            `json:"library,omitempty"`     // the driver library that was loaded
	Note       string            `json:"note,omitempty"`        // why there is none
	MemoryUsed map[string]uint64 `json:"memory_used,omitempty"` // bytes by UUID
	Processes  []GPUProcess      `json:"processes,omitempty"`
}

// ServeProbe is the life of a probe process: Config in, Found out.
func ServeProbe(in io.Reader, out io.Writer) error {
	var cfg Config
	if err := json.NewDecoder(in).Decode(&cfg); err != nil {
		return fmt.Errorf("read probe config: %w", err)
	}
	return json.NewEncoder(out).Encode(probe(cfg))
}

func probe(cfg Config) Found {
	var found Found
	source, err := cfg.open()
	if err != nil {
		found.Note = err.Error()
		return found
	}
	defer source.Close()
	if found.Devices, err = source.Devices(); err != nil {
		found.Note = err.Error()
		return found
	}
	if n, ok := source.(interface{ describe(*Found) }); ok {
		n.describe(&found)
	}
	found.MemoryUsed = map[string]uint64{}
	for _, s := range source.Read(Mid, func() time.Duration { return 0 }) {
		for _, d := range found.Devices {
			if used, ok := s.Values[lab.GPUMemUsed]; ok && s.Device == deviceName(d.Index) {
				found.MemoryUsed[d.UUID] = uint64(used)
			}
		}
	}
	return found
}

// libraryFromEnv is where a driver library may be named, for tests and odd installations.
func libraryFromEnv(lib string) string {
	if lib != "" {
		return lib
	}
	return os.Getenv("LAB_NVML_LIB")
}
