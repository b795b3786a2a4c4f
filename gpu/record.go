package gpu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"lab/internal/lab"
)

// Recording is what a box's GPUs gave while they were recorded.
type Recording struct {
	Driver  string             `json:"driver"`
	Length  float64            `json:"length_s"`
	GPUs    []RecordedGPU      `json:"gpus"`
	Sampler map[string]float64 `json:"sampler"` // the sampler's last account of itself, by its sample names
	Events  []string           `json:"events,omitempty"`
}

// RecordedGPU is one of the GPUs; what is not known is 0.
type RecordedGPU struct {
	lab.Device
	Readings  int                `json:"readings"` // of power
	Periods   map[string]float64 `json:"periods,omitempty"`
	Joules    float64            `json:"joules,omitempty"`            // by the energy counter
	FromPower float64            `json:"joules_from_power,omitempty"` // the integral of power between the same moments
}

// Record samples the GPUs of this box for a while, as beside a run, and writes what they gave as a trace. One that is
// interrupted is written too, beside the error.
func Record(ctx context.Context, self []string, cfg Config, d time.Duration, w io.Writer) (Recording, error) {
	found, err := Probe(ctx, self, cfg.Telemetry, cfg.SimURL)
	if err != nil {
		return Recording{}, err
	}
	if len(found.Devices) == 0 {
		return Recording{}, &NoGPUError{found.Note}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, errRecorded)
	defer cancel()
	cfg.Epoch = lab.NewEpoch()
	clock := cfg.Epoch.Clock()
	var mu sync.Mutex
	var samples []lab.Sample
	var events []lab.Event
	err = Watch(ctx, self, cfg, func(s lab.Sample) {
		mu.Lock()
		defer mu.Unlock()
		samples = append(samples, s)
	}, func(kind lab.EventKind, detail string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, lab.Event{At: clock.Now(), Kind: kind, Detail: detail})
	})
	if err != nil {
		return Recording{}, err
	}
	mu.Lock()
	defer mu.Unlock()
	cut := context.Cause(ctx)
	if errors.Is(cut, errRecorded) {
		cut = nil
	} else {
		cut, d = fmt.Errorf("record GPUs: %w", cut), clock.Now()
	}
	if len(samples) == 0 {
		return Recording{}, cut
	}
	slices.SortStableFunc(samples, func(a, b lab.Sample) int { return int(a.At - b.At) })
	if err := writeTrace(w, found.Driver, found.Devices, samples, events); err != nil {
		return Recording{}, fmt.Errorf("write trace: %w", err)
	}
	return sumUp(found, samples, events, d), cut
}

// NoGPUError says why there is no GPU to record.
type NoGPUError struct{ Why string }

func (e *NoGPUError) Error() string { return "record GPUs: there is none: " + e.Why }

// errRecorded is the end of a recording that went its whole length.
var errRecorded = errors.New("recorded")

// sumUp tells what was recorded.
func sumUp(found Found, samples []lab.Sample, events []lab.Event, d time.Duration) Recording {
	r := Recording{Driver: found.Driver, Length: d.Seconds(), Sampler: map[string]float64{}}
	for _, device := range found.Devices {
		g := RecordedGPU{Device: device, Periods: map[string]float64{}}
		g.sum(samples)
		r.GPUs = append(r.GPUs, g)
	}
	for _, s := range samples {
		if s.Device == "sampler" {
			for name, v := range s.Values {
				r.Sampler[name] = v
			}
		}
	}
	for _, e := range events {
		r.Events = append(r.Events, string(e.Kind)+" "+e.Detail)
	}
	return r
}

// sum adds up a GPU's energy in two ways, between the first and the last reading that has both.
func (g *RecordedGPU) sum(samples []lab.Sample) {
	first, power, at := math.NaN(), 0.0, time.Duration(0)
	for _, s := range samples {
		if s.Device != deviceName(g.Index) {
			continue
		}
		for _, name := range []string{lab.GPUPowerPeriod, lab.GPUEnergyPeriod, lab.GPUUtilPeriod} {
			if v, ok := s.Values[name]; ok {
				g.Periods[name] = v
			}
		}
		watts, ok := s.Values[lab.GPUPower]
		if !ok {
			continue
		}
		g.Readings++
		if joules, ok := s.Values[lab.GPUEnergy]; ok {
			if math.IsNaN(first) {
				first = joules
			} else {
				g.FromPower += (power + watts) / 2 * (s.At - at).Seconds()
				g.Joules = joules - first
			}
			power, at = watts, s.At
		}
	}
}

// traceColumns are the values that make a row, with what makes the trace's unit of the sample's, and their decimals.
var traceColumns = []struct {
	name     string
	factor   float64
	decimals int
}{
	{lab.GPUUtil, 1, 0}, {lab.GPUMemUtil, 1, 0}, {lab.GPUPower, 1e3, 0}, {lab.GPUMemUsed, 1, 0}, {lab.GPUTemp, 1, 0},
	{lab.GPUSMClock, 1, 0}, {lab.GPUMemClock, 1, 0}, {lab.GPUThrottle, 1, 0}, {"", 1, 0}, {"", 1, 0}, // PCIe comes as fields
	{lab.GPUSMUtil, 1, 2}, {lab.GPUSMOccupancy, 1, 2}, {lab.GPUTensorUtil, 1, 2}, {lab.GPUDRAMUtil, 1, 2},
}

// writeTrace writes samples, in order of time, in the format of trace. It leaves out the GPUs' UUIDs and the numbers of
// processes: a trace is for other boxes.
func writeTrace(w io.Writer, driver string, devices []lab.Device, samples []lab.Sample, events []lab.Event) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "# recorded by lab: values as the driver gave them, each from the moment at which it was read")
	for i, d := range devices {
		r := &recorder{w: out, name: deviceName(d.Index), have: map[string]bool{}, said: map[string]string{}}
		if len(devices) > 1 || i > 0 {
			fmt.Fprintf(out, "device %d\n", i)
		}
		fmt.Fprintf(out, "set name %s\nset driver %s\n", d.Name, driver)
		if d.PowerLimitW > 0 {
			fmt.Fprintf(out, "set power_limit_mw %.0f\n", d.PowerLimitW*1e3)
		}
		if d.Memory > 0 {
			fmt.Fprintf(out, "set mem_total %d\n", d.Memory)
		}
		r.record(samples)
		r.events(events)
		r.lacks()
	}
	return out.Flush()
}

// recorder writes one GPU.
type recorder struct {
	w     io.Writer
	name  string
	have  map[string]bool
	said  map[string]string // what a line last said
	marks []columnMark
	begun time.Duration // of the processes that are there
	procs int
	kept  bool // utilisation came as the driver kept it
	gpmAt time.Duration
	end   time.Duration
}

// columnMark is a value of a row from a moment on.
type columnMark struct {
	at     time.Duration
	column int
	text   string
}

func millis(at time.Duration) string { return fmt.Sprintf("%.1f", max(0, at.Seconds()*1e3)) }

func (r *recorder) record(samples []lab.Sample) {
	fmt.Fprintln(r.w, "set power_period_ms 0.01\nset energy_period_ms 0.01")
	for _, s := range samples {
		r.end = max(r.end, s.At)
		if s.Device != r.name {
			continue
		}
		if s.Error != "" && s.Took > silence {
			fmt.Fprintf(r.w, "hang %s %s *\n", millis(s.At-s.Took/2), millis(s.At+s.Took/2))
		}
		for name := range s.Values {
			r.have[name] = true
		}
		r.settings(s)
		r.columns(s)
		r.counters(s)
	}
	r.rows()
	r.processes(r.end+time.Hour, 0)
}

// settings are what a trace says once.
func (r *recorder) settings(s lab.Sample) {
	for name, key := range map[string]string{lab.GPUMemReserved: "mem_reserved", lab.GPUMaxSMClock: "max_sm_mhz", lab.GPUPState: "pstate"} {
		if v, ok := s.Values[name]; ok && r.said[key] == "" {
			r.said[key] = "said"
			fmt.Fprintf(r.w, "set %s %.0f\n", key, v)
		}
	}
	if v, ok := s.Values[lab.GPUUtilPeriod]; ok && v > 0 {
		fmt.Fprintf(r.w, "set util_period_ms %.1f\n", v*1e3)
	}
	if _, ok := s.Values[lab.GPUSMUtil]; ok && r.said["gpm"] == "" {
		r.said["gpm"] = "said"
		fmt.Fprintln(r.w, "set gpm 1")
	}
	if v, ok := s.Values[lab.GPUProcesses]; ok && int(v) != r.procs {
		r.processes(s.At, int(v))
	}
	if v, ok := s.Values[lab.GPUECCCorrected]; ok {
		line := fmt.Sprintf("%.0f %.0f", v, s.Values[lab.GPUECCUncorrected])
		at := s.At
		if r.said["ecc"] == "" {
			at = 0
		}
		if line != r.said["ecc"] {
			fmt.Fprintf(r.w, "ecc %s %s\n", millis(at), line)
		}
		r.said["ecc"] = line
	}
}

// processes ends those that were there and begins others. Their numbers are above any of Linux, so that they mean nobody.
func (r *recorder) processes(at time.Duration, n int) {
	for i := range r.procs {
		fmt.Fprintf(r.w, "proc %s %s %d 0\n", millis(r.begun), millis(at), 1<<30+i)
	}
	r.begun, r.procs = at, n
}

// columns notes the values that make rows. A mean of GPM holds from the reading before.
func (r *recorder) columns(s lab.Sample) {
	at := s.At
	if _, ok := s.Values[lab.GPUSMUtil]; ok {
		if r.gpmAt > 0 {
			at = r.gpmAt
		}
		r.gpmAt = s.At
	}
	if _, ok := s.Values[lab.GPUUtil]; ok && s.Took == 0 {
		r.kept = true
	}
	for i, c := range traceColumns {
		v, ok := s.Values[c.name]
		if !ok {
			continue
		}
		text := fmt.Sprintf("%.*f", c.decimals, v*c.factor)
		if i == colReasons {
			text = fmt.Sprintf("%x", uint64(v))
		}
		r.marks = append(r.marks, columnMark{at, i, text})
	}
}

// rows writes a row at each moment at which a value changed.
func (r *recorder) rows() {
	slices.SortStableFunc(r.marks, func(a, b columnMark) int { return int(a.at - b.at) })
	row, last := [columns]string{}, ""
	for i := range row {
		row[i] = "0"
	}
	for _, m := range slices.Backward(r.marks) { // before its first reading a value was what it was then
		row[m.column] = m.text
	}
	for i, m := range r.marks {
		row[m.column] = m.text
		if i+1 < len(r.marks) && r.marks[i+1].at == m.at {
			continue
		}
		if text := strings.Join(row[:], " "); text != last {
			fmt.Fprintf(r.w, "%s %s\n", millis(m.at), text)
			last = text
		}
	}
}

// counters writes fields where they changed.
func (r *recorder) counters(s lab.Sample) {
	for _, f := range slices.Concat(fastFields, seldomFields) {
		v, ok := s.Values[f.name]
		if !ok || f.id == fieldPower {
			continue
		}
		text := fmt.Sprintf("%.0f", v/f.factor)
		if key := fieldKey(f.id); r.said[key] != text {
			r.said[key] = text
			fmt.Fprintf(r.w, "field %d at %s %s\n", f.id, millis(s.At), text)
		}
	}
}

// events writes what the driver reported, and when the GPU was lost.
func (r *recorder) events(events []lab.Event) {
	lost, why := time.Duration(-1), int(gpuIsLost)
	back := func(at time.Duration) {
		if lost >= 0 {
			fmt.Fprintf(r.w, "fail %s %s * %d\n", millis(lost), millis(at), why)
		}
		lost = -1
	}
	for _, e := range events {
		text, mine := strings.CutPrefix(e.Detail, r.name)
		if !mine {
			continue
		}
		switch e.Kind {
		case lab.GPUXid:
			var number int
			if _, err := fmt.Sscanf(text, ": Xid %d", &number); err == nil {
				fmt.Fprintf(r.w, "xid %s %d\n", millis(e.At), number)
			}
		case lab.GPULost:
			lost = e.At
			if _, code, ok := strings.Cut(text, "(NVML code "); ok {
				fmt.Sscanf(code, "%d", &why)
			}
		case lab.GPUBack:
			back(e.At)
		}
	}
	back(r.end + time.Hour)
}

// lacks says what the GPU did not give, so that a replay does not give it either.
func (r *recorder) lacks() {
	for _, f := range slices.Concat(fastFields, seldomFields) {
		if !r.have[f.name] {
			fmt.Fprintf(r.w, "field %d none\n", f.id)
		}
	}
	lacking := map[string]bool{"nvmlDeviceGetSamples": !r.kept}
	for name, functions := range map[string][]string{
		lab.GPUEnergy: {"nvmlDeviceGetTotalEnergyConsumption"}, lab.GPUUtil: {"nvmlDeviceGetUtilizationRates"},
		lab.GPUMemUsed: {"nvmlDeviceGetMemoryInfo_v2"}, lab.GPUTemp: {"nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"},
		lab.GPUSMClock: {"nvmlDeviceGetClockInfo"}, lab.GPUMaxSMClock: {"nvmlDeviceGetMaxClockInfo"}, lab.GPUThrottle: {"nvmlDeviceGetCurrentClocksEventReasons"},
		lab.GPUProcesses: {"nvmlDeviceGetComputeRunningProcesses_v3"}, lab.GPUPowerLimit: {"nvmlDeviceGetEnforcedPowerLimit"},
		lab.GPUPState: {"nvmlDeviceGetPerformanceState"}, lab.GPUECCCorrected: {"nvmlDeviceGetTotalEccErrors"},
	} {
		for _, f := range functions {
			lacking[f] = !r.have[name]
		}
	}
	var functions []string
	for f, lacks := range lacking {
		if lacks {
			functions = append(functions, f)
		}
	}
	slices.Sort(functions)
	for _, f := range functions {
		fmt.Fprintf(r.w, "fail 0 1e12 %s %d\n", f, int(notSupported))
	}
}
