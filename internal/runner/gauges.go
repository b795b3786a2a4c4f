package runner

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
)

// stale is the age from which a reading is not shown any more.
const stale = 5 * time.Second

// gauges keep the last readings of everything that is sampled, for the live view.
type gauges struct {
	host    []lab.Device // the GPUs of the box
	last    map[string]*device
	counted map[string]map[string]float64 // counters of the engine and the client when the stage began
}

// device is one thing that is sampled.
type device struct {
	at     time.Duration // of the newest sample
	values map[string]float64
	joules float64       // since the first sample
	power  time.Duration // when it was last read
	before map[string]float64
	spent  time.Duration // between the last two samples of the client
}

func (g *gauges) take(s lab.Sample) {
	if len(s.Values) == 0 {
		return
	}
	if g.last == nil {
		g.last = map[string]*device{}
	}
	d, known := g.last[s.Device]
	if !known {
		d = &device{values: map[string]float64{}}
		g.last[s.Device] = d
	}
	d.integrate(s)
	if s.Device == "client" {
		d.before, d.spent = maps.Clone(d.values), s.At-d.at
	}
	maps.Copy(d.values, s.Values)
	d.at = max(d.at, s.At)
}

// integrate adds up energy: from the counter, or where the GPU has none, from its power.
func (d *device) integrate(s lab.Sample) {
	if counter, ok := s.Values[lab.GPUEnergy]; ok {
		if was, known := d.values[lab.GPUEnergy]; known && counter > was {
			d.joules += counter - was
		}
		return
	}
	watts, ok := s.Values[lab.GPUPower]
	if _, counts := d.values[lab.GPUEnergy]; !ok || counts {
		return
	}
	if was, known := d.values[lab.GPUPower]; known && s.At > d.power {
		d.joules += (watts + was) / 2 * (s.At - d.power).Seconds()
	}
	d.power = s.At
}

// begin notes the counters of a stage that begins.
func (g *gauges) begin() {
	g.counted = map[string]map[string]float64{}
	for name, d := range g.last {
		g.counted[name] = maps.Clone(d.values)
	}
}

// gained is how much a counter grew in the stage.
func (g *gauges) gained(name, counter string) (float64, bool) {
	d, known := g.last[name]
	if !known {
		return 0, false
	}
	now, ok := d.values[counter]
	if before, had := g.counted[name][counter]; ok && had {
		return now - before, true
	}
	if g.counted[name] == nil && g.counted != nil { // first seen in this stage: it begins there
		g.counted[name] = maps.Clone(d.values)
	}
	return 0, false
}

// energy is what each GPU has used since it was first sampled.
func (g *gauges) energy() map[string]float64 {
	used := map[string]float64{}
	for name, d := range g.last {
		if strings.HasPrefix(name, "gpu") {
			used[name] = d.joules
		}
	}
	return used
}

// fresh are the last values of one thing; none where they are old.
func (g *gauges) fresh(name string, at time.Duration) lab.Gauges {
	d, known := g.last[name]
	if !known || at-d.at > stale {
		return lab.Gauges{Device: name}
	}
	return lab.Gauges{Device: name, Values: maps.Clone(d.values)}
}

// show gives what a reading shows, with what came of it since earlier ones, the oldest first.
func (g *gauges) show(now reading, earlier []reading) (gpus []lab.Gauges, engine, host, client lab.Gauges) {
	for _, name := range slices.SortedFunc(maps.Keys(now.joules), byNumber) {
		one := g.fresh(name, now.at)
		for _, d := range g.host {
			if name == "gpu"+strconv.Itoa(d.Index) {
				one.Name, one.Memory = d.Name, d.Memory
			}
		}
		if joules, ok := perToken(name, now, earlier); ok && one.Values != nil {
			one.Values[lab.GaugePerToken] = joules
		}
		gpus = append(gpus, one)
	}
	engine = g.fresh("engine", now.at)
	delete(engine.Values, lab.EnginePreempt) // the server counts since it began, the view since the phase did
	if n, ok := g.gained("engine", lab.EnginePreempt); ok && engine.Values != nil {
		engine.Values[lab.EnginePreempt] = n
	}
	return gpus, engine, g.fresh("host", now.at), g.client(now.at)
}

// perToken is the energy of a GPU for each output token, since the first of the readings that knows of it.
func perToken(name string, now reading, earlier []reading) (joules float64, ok bool) {
	for _, before := range earlier {
		if was, had := before.joules[name]; had {
			used, tokens := now.joules[name]-was, now.counts.Tokens-before.counts.Tokens
			return used / float64(tokens), used > 0 && tokens > 0
		}
	}
	return 0, false
}

func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// client turns the counters of lab itself into what it used between its last two samples, which are a second apart.
func (g *gauges) client(at time.Duration) lab.Gauges {
	c := g.fresh("client", at)
	d := g.last["client"]
	if c.Values == nil || d.spent < time.Second/2 { // the first and the last sample of a load may lie close to another
		return c
	}
	for counter, name := range map[string]string{lab.ClientCPU: lab.GaugeCPU, lab.ClientRunWait: lab.GaugeRunWait} {
		was, had := d.before[counter]
		if now, has := d.values[counter]; had && has && now >= was {
			c.Values[name] = (now - was) / d.spent.Seconds()
		}
	}
	return c
}
