package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/correlate"
	"lab/internal/lab"
)

// sampledTitles are what sampled values are called before people. A counter is shown only where it moved.
func sampledTitles() []struct{ device, value, title string } {
	return []struct{ device, value, title string }{
		{"gpu", lab.GPUUtil, "busy"},
		{"gpu", lab.GPUPower, "power"},
		{"gpu", lab.GPUSMClock, "SM clock"},
		{"gpu", lab.GPUTemp, "temperature"},
		{"gpu", lab.GPUMemUsed, "memory in use"},
		{"gpu", lab.GPUSMUtil, "SMs busy"},
		{"gpu", lab.GPUTensorUtil, "tensor cores busy"},
		{"gpu", lab.GPUDRAMUtil, "memory bandwidth"},
		{"gpu", lab.GPUThrottlePower, "held by power cap"},
		{"gpu", lab.GPUThrottleThermal, "held by heat (software)"},
		{"gpu", lab.GPUThrottleHWThermal, "held by heat (hardware)"},
		{"gpu", lab.GPUThrottleBrake, "held by power brake"},
		{"gpu", lab.GPUECCCorrected, "ECC errors corrected"},
		{"gpu", lab.GPUECCUncorrected, "ECC errors not corrected"},
		{"host", lab.HostCPU, "CPU"},
		{"host", lab.HostSteal, "CPU stolen"},
		{"host", lab.HostMemUsed, "memory in use"},
		{"server", lab.ProcCPU, "CPU time"},
		{"server", lab.ProcRSS, "memory"},
		{"engine", lab.EngineRunning, "requests running"},
		{"engine", lab.EngineWaiting, "requests waiting"},
		{"engine", lab.EngineKVUsage, "KV cache in use"},
		{"engine", lab.EnginePreempt, "preemptions"},
	}
}

// deviceClass is the kind of a device: gpu0 and gpu1 are both "gpu".
func deviceClass(device string) string { return strings.TrimRight(device, "0123456789") }

// SampledName is what a series is called: the device and the value.
func SampledName(device, value string) string {
	for _, t := range sampledTitles() {
		if t.device == deviceClass(device) && t.value == value {
			return device + " " + t.title
		}
	}
	return device + " " + strings.ReplaceAll(value, "_", " ")
}

// SampledUnit is the unit at the end of a sampled value's name; a count has none.
func SampledUnit(name string) string {
	_, last, ok := strings.Cut(name, "_")
	for ok && strings.Contains(last, "_") {
		_, last, ok = strings.Cut(last, "_")
	}
	units := map[string]string{"percent": "%", "w": "W", "j": "J", "mhz": "MHz", "c": "°C", "bytes": "bytes", "s": "s", "share": "share"}
	return cmp.Or(units[last], "count")
}

// hardwarePhase prints the means of one phase.
func (p *printer) hardwarePhase(phase correlate.Phase) {
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}}
	g.head("", "mean", "min", "max", "covered", "n")
	for _, t := range sampledTitles() {
		for _, m := range phase.Means {
			if t.device != deviceClass(m.Device) || t.value != m.Value || m.Coverage <= 0 || m.Counter && m.Mean == 0 {
				continue
			}
			unit, low, high := SampledUnit(m.Value), "", ""
			mean := value(m.Mean, unit)
			if m.Counter {
				mean = "+" + mean // what it grew by
			} else {
				low, high = value(m.Min, unit), value(m.Max, unit)
			}
			g.add(m.Device+" "+t.title, mean, low, high, fmt.Sprintf("%.0f %%", m.Coverage*100), fmt.Sprint(m.N))
		}
	}
	p.phase = phase.Name
	defer func() { p.phase = "" }()
	p.line("")
	p.line("phase %s, %s", phase.Name, length(phase.End-phase.Start))
	if len(g.rows) == 1 {
		p.line("  nothing was sampled beside it")
		return
	}
	p.grid(g, "  ")
}

// energy prints where the energy went, over the whole time and by phase.
func (p *printer) energy(h correlate.Hardware) {
	phased := slices.ContainsFunc(h.Phases, func(phase correlate.Phase) bool { return phase.Energy != nil })
	if h.Energy == nil && !phased {
		return
	}
	p.line("")
	label := "energy   "
	if e := h.Energy; e != nil {
		text := fmt.Sprintf("%s over the sampled time by the counter", joules(e.Counter))
		if e.Integrated > 0 && e.Matched > 0 {
			text += fmt.Sprintf("; while power was read too, %s against %s by the power added up (%s)", joules(e.Matched), joules(e.Integrated), percent(e.Integrated/e.Matched-1))
		}
		text += fmt.Sprintf(". Requests took %s, idle %s", joules(e.Requests), joules(e.Idle))
		if e.IdlePowerW > 0 {
			text += fmt.Sprintf(" (at %s W)", digits(e.IdlePowerW))
		}
		if e.Withheld > 0 {
			text += fmt.Sprintf("; of %s nobody can say", joules(e.Withheld))
		}
		p.paragraph(label, text+".")
		label = "         "
	}
	for _, phase := range h.Phases {
		if phase.Energy != nil {
			p.paragraph(label, fmt.Sprintf("phase %s: %s.", phase.Name, phaseEnergy(*phase.Energy)))
		}
		label = "         "
	}
}

func phaseEnergy(e correlate.PhaseEnergy) string {
	parts := []string{joules(e.Joules)}
	add := func(v float64, what string) {
		if v > 0 {
			parts = append(parts, digits(v)+" J per "+what)
		}
	}
	add(e.PerOutputToken, fmt.Sprintf("output token (n = %d)", e.N))
	add(e.AboveIdlePerToken, "output token above idle")
	add(e.PerToken, "token in or out")
	add(e.PerRequest, "request")
	var shares []string
	for _, s := range []struct {
		name string
		v    float64
	}{{"prefill", e.Prefill}, {"decode", e.Decode}, {"idle", e.Idle}, {"withheld", e.Withheld}} {
		if s.v > 0 {
			shares = append(shares, s.name+" "+joules(s.v))
		}
	}
	return strings.Join(parts, ", ") + "; " + strings.Join(shares, ", ")
}

// joules keeps a whole joule where there are many.
func joules(v float64) string {
	switch {
	case math.Abs(v) < 1e-4: // what rounding left
		return "0 J"
	case math.Abs(v) >= 1000:
		return fmt.Sprintf("%.0f J", v)
	}
	return digits(v) + " J"
}

// coverage prints how each device was read, and what was read badly.
func (p *printer) coverage(all []correlate.Coverage) {
	if len(all) == 0 {
		p.paragraph("sampled  ", "nothing beside the load")
		return
	}
	var devices, read []string
	whole := map[string]*deviceCoverage{}
	for _, c := range all {
		d := whole[c.Device]
		if d == nil {
			d = &deviceCoverage{}
			whole[c.Device] = d
			devices = append(devices, c.Device)
		}
		d.add(c)
	}
	for _, device := range devices {
		// Not the parts of a device, nor the sampler's account of itself.
		if d := whole[device]; d.fastest.N > 1 && slices.Contains([]string{"gpu", "host", "server", "engine", "client"}, deviceClass(device)) {
			read = append(read, fmt.Sprintf("%s each %s (n = %d)", device, period(d.fastest.Period), d.fastest.N))
		}
	}
	text := strings.Join(read, ", ")
	devices = slices.DeleteFunc(devices, func(device string) bool { return whole[device].bad == 0 })
	if len(devices) == 0 {
		text += "; without a gap or an error"
	}
	p.paragraph("sampled  ", text)
	for _, device := range devices {
		p.paragraph("         ", device+": "+whole[device].trouble())
	}
}

// deviceCoverage is the coverage of a device: that of the value that is read most often, and the worst of all.
type deviceCoverage struct {
	fastest      correlate.Coverage
	values, bad  int // values, and those with gaps or errors
	gaps, errors int
	gap          time.Duration
}

func (d *deviceCoverage) add(c correlate.Coverage) {
	if c.N > d.fastest.N {
		d.fastest = c
	}
	d.values++
	if c.Gaps == 0 && c.Errors == 0 {
		return
	}
	d.bad++
	d.gaps, d.errors = max(d.gaps, c.Gaps), max(d.errors, c.Errors)
	if c.Gaps > 0 {
		d.gap = max(d.gap, c.MaxGap)
	}
}

func (d *deviceCoverage) trouble() string {
	var parts []string
	switch {
	case d.gaps == 1:
		parts = append(parts, "a gap of "+period(d.gap))
	case d.gaps > 1:
		parts = append(parts, fmt.Sprintf("up to %d gaps, the longest of %s", d.gaps, period(d.gap)))
	}
	switch {
	case d.errors == 1:
		parts = append(parts, "a reading that failed")
	case d.errors > 1:
		parts = append(parts, fmt.Sprintf("up to %d readings that failed", d.errors))
	}
	return strings.Join(parts, ", and ") + fmt.Sprintf(", in %d of %d values (--json has each)", d.bad, d.values)
}

// period writes a spacing in two digits: it is a schedule, seen through jitter.
func period(d time.Duration) string {
	if d >= 950*time.Millisecond {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
}

// few cuts a list short and says by how much.
func few(all []string, n int) []string {
	if len(all) <= n+1 {
		return all
	}
	return append(slices.Clone(all[:n]), fmt.Sprintf("%d more", len(all)-n))
}
