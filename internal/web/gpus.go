package web

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"lab/gpu"
	"lab/internal/lab"
	"lab/store"
)

// gpus are the GPUs and the host at this moment, for as long as somebody looks. While something is measured the values are
// those that the run itself records: a second reader of the driver would disturb it. Only while nothing is, lab ui starts
// a sampler of its own, once a second.
type gpus struct {
	db      *store.DB
	sampler []string

	mu      sync.Mutex // guards the fields below
	lookers int
	cancel  context.CancelFunc // of the goroutine that reads; nil: there is none
	ended   chan struct{}      // closed when it has ended
	now     readings
}

// readings are the newest values of each device.
type readings struct {
	From    string // the run that they are of; empty: lab ui's own
	Note    string // why no GPU is there
	values  map[string]map[string]float64
	devices []lab.Device
	at      time.Time // of the newest
}

// newestOnly is how many batches of a live run are read at most: whoever looks only now has no use for what was before.
const newestOnly = 10

// stale is an age at which a reading says nothing of now any more.
const stale = 5 * time.Second

// look begins to read where nobody did; the returned function ends it.
func (g *gpus) look() (end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lookers++; g.lookers == 1 {
		before := g.ended // of an earlier reader, which may still be ending
		ctx, cancel := context.WithCancel(context.Background())
		g.cancel, g.ended = cancel, make(chan struct{})
		go func(ended chan struct{}) {
			defer close(ended)
			if before != nil {
				<-before
			}
			g.run(ctx)
		}(g.ended)
	}
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.lookers--; g.lookers == 0 {
			g.cancel()
		}
	})
}

// stop waits until nothing is read any more.
func (g *gpus) stop() {
	g.mu.Lock()
	ended := g.ended
	if g.cancel != nil {
		g.cancel()
	}
	g.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// run reads from the live run where there is one, else with a sampler of its own.
func (g *gpus) run(ctx context.Context) {
	for ctx.Err() == nil {
		if measuring(g.db.Announced()) {
			g.follow(ctx)
		} else {
			g.own(ctx)
		}
	}
}

// measuring says whether a lab process is at work. It may be between two runs: the next one begins at any moment.
func measuring(all []store.Announcement) bool { return len(all) > 0 }

// own samples until something is measured.
func (g *gpus) own(ctx context.Context) {
	g.begin("")
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the wait
	watching.Go(func() {
		lib := os.Getenv("LAB_NVML_LIB")
		if found, err := gpu.Probe(ctx, g.sampler, lab.Telemetry{}, ""); err == nil {
			g.describe(found.Devices)
		}
		cfg := gpu.Config{Epoch: lab.NewEpoch(), Telemetry: lab.Telemetry{Period: lab.Duration(time.Second)}, NVMLLib: lib}
		err := gpu.Watch(ctx, g.sampler, cfg, g.take, func(kind lab.EventKind, detail string) {
			if kind == lab.SamplerNote || kind == lab.SamplerLost || kind == lab.GPULost {
				g.say(detail)
			}
		})
		if err != nil {
			g.say(err.Error())
		}
	})
	for tick := time.NewTicker(lookEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			if measuring(g.db.Announced()) {
				tick.Stop()
				return
			}
		}
	}
}

// follow takes what the live run records, until nothing is measured.
func (g *gpus) follow(ctx context.Context) {
	g.begin("")
	run, stamp, next := "", "", 0
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		all := g.db.Announced()
		if !measuring(all) {
			return
		}
		if id := all[0].Status.Run; id != run && id != "" {
			run, stamp, next = id, "", 0
			g.begin(id)
		}
		if s := g.db.RunStamp(run); s != "" && s != stamp {
			if fresh, err := g.db.Since(run, next, newestOnly); err == nil {
				stamp = s
				g.describe(fresh.Run.Run.Host.GPUs)
				for _, b := range fresh.Batches {
					next = b.Number + 1
					for _, sample := range b.Samples {
						g.take(sample)
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (g *gpus) begin(run string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = readings{From: run, values: map[string]map[string]float64{}}
}

func (g *gpus) describe(devices []lab.Device) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.devices = devices
}

func (g *gpus) say(note string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.Note = note
}

func (g *gpus) take(s lab.Sample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now.values[s.Device] == nil {
		g.now.values[s.Device] = map[string]float64{}
	}
	maps.Copy(g.now.values[s.Device], s.Values)
	g.now.at = time.Now()
}

// gpuView is what the page shows.
type gpuView struct {
	From, Note string
	Measuring  bool // and so lab ui reads nothing itself
	Devices    []deviceView
}

type deviceView struct {
	Name   string
	Gauges []gauge
	Facts  []fact
}

// gauge is a value that has a most.
type gauge struct {
	Name, Text string
	Share      int // per cent
}

// gpusHTML is the board as the page shows it.
func (s *Site) gpusHTML() string {
	var b bytes.Buffer
	if err := s.templates["now"].ExecuteTemplate(&b, "gpus", s.gpus.view()); err != nil {
		return ""
	}
	return b.String()
}

func (g *gpus) view() gpuView {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := gpuView{From: g.now.From, Note: g.now.Note, Measuring: measuring(g.db.Announced())}
	if time.Since(g.now.at) > stale { // nobody has looked for a while
		return v
	}
	names := slices.Sorted(maps.Keys(g.now.values))
	for _, name := range names {
		if strings.HasPrefix(name, "gpu") {
			v.Devices = append(v.Devices, gpuOf(name, g.now.values[name], g.now.devices))
		}
	}
	if host := g.now.values["host"]; host != nil {
		v.Devices = append(v.Devices, hostOf(host))
	}
	if engine := g.now.values["engine"]; engine != nil && v.From != "" {
		v.Devices = append(v.Devices, engineOf(engine))
	}
	return v
}

func gpuOf(name string, values map[string]float64, devices []lab.Device) deviceView {
	v := deviceView{Name: name}
	var memory, limit float64
	for _, d := range devices {
		if fmt.Sprintf("gpu%d", d.Index) == name {
			v.Name = name + "  " + d.Name
			memory, limit = float64(d.Memory), d.PowerLimitW
		}
	}
	if own, ok := values[lab.GPUPowerLimit]; ok {
		limit = own
	}
	v.gauge("utilisation", values, lab.GPUUtil, 1, "%.0f %%", 100, "")
	v.gauge("power", values, lab.GPUPower, 1, "%.0f W", limit, " of %.0f W")
	v.gauge("memory", values, lab.GPUMemUsed, 1.0/(1<<30), "%.1f GiB", memory/(1<<30), " of %.0f GiB")
	v.gauge("SM clock", values, lab.GPUSMClock, 1, "%.0f MHz", values[lab.GPUMaxSMClock], " of %.0f MHz")
	if t, ok := values[lab.GPUTemp]; ok {
		v.Facts = append(v.Facts, fact{"temperature", fmt.Sprintf("%.0f °C", t)})
	}
	if bits, ok := values[lab.GPUThrottle]; ok {
		var held []string
		for _, s := range lab.Slowdowns() {
			if s.Held(int(bits)) {
				held = append(held, s.Code)
			}
		}
		if len(held) > 0 {
			v.Facts = append(v.Facts, fact{"clocks held down", strings.Join(held, ", ")})
		}
	}
	if n, ok := values[lab.GPUProcesses]; ok {
		v.Facts = append(v.Facts, fact{"processes", fmt.Sprintf("%.0f", n)})
	}
	return v
}

func hostOf(values map[string]float64) deviceView {
	v := deviceView{Name: "host"}
	v.gauge("CPU", values, lab.HostCPU, 1, "%.0f %%", 100, "")
	for _, f := range []struct {
		name, value, format string
		factor              float64
	}{{"memory used", lab.HostMemUsed, "%.1f GiB", 1.0 / (1 << 30)}, {"load (1 min)", lab.HostLoad1, "%.1f", 1}, {"steal", lab.HostSteal, "%.0f %%", 1}} {
		if x, ok := values[f.value]; ok {
			v.Facts = append(v.Facts, fact{f.name, fmt.Sprintf(f.format, x*f.factor)})
		}
	}
	return v
}

func engineOf(values map[string]float64) deviceView {
	v := deviceView{Name: "engine"}
	v.gauge("KV cache", values, lab.EngineKVUsage, 100, "%.0f %%", 100, "")
	for _, f := range []struct{ name, value string }{{"running", lab.EngineRunning}, {"waiting", lab.EngineWaiting}} {
		if x, ok := values[f.value]; ok {
			v.Facts = append(v.Facts, fact{f.name, fmt.Sprintf("%.0f", x)})
		}
	}
	return v
}

// gauge adds a value where it was read; without a most it is a plain fact.
func (v *deviceView) gauge(title string, values map[string]float64, name string, factor float64, format string, most float64, of string) {
	x, ok := values[name]
	if !ok {
		return
	}
	x *= factor
	text := fmt.Sprintf(format, x)
	if most <= 0 {
		v.Facts = append(v.Facts, fact{title, text})
		return
	}
	if of != "" {
		text += fmt.Sprintf(of, most)
	}
	v.Gauges = append(v.Gauges, gauge{title, text, int(min(100, 100*x/most))})
}
