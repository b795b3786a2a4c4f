package gpu

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"lab/internal/lab"
)

// OpenReplay reads a recorded trace as a Source; its time 0 is start.
func OpenReplay(name string, start time.Time, serverPID int) (Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	defer f.Close()
	t, err := parseTrace(name, f)
	if err != nil {
		return nil, err
	}
	return replay(t, func() float64 { return time.Since(start).Seconds() * 1e3 }, serverPID), nil
}

// replay is a trace as a Source on a clock of its own, in ms.
func replay(t *trace, now func() float64, serverPID int) *reader {
	r := newReader(serverPID)
	for i, g := range t.gpus {
		r.add(i, &traceBoard{g: g, now: now})
	}
	r.about.Driver = t.gpus[0].set["driver"]
	r.listen = func(ctx context.Context, at func() time.Duration, event func(lab.Event)) {
		t.listen(ctx, now, at, event)
	}
	return r
}

// listen hands on what the driver reported, at its time.
func (t *trace) listen(ctx context.Context, now func() float64, at func() time.Duration, event func(lab.Event)) {
	type report struct {
		ms   float64
		text string
	}
	var all []report
	for i, g := range t.gpus {
		for _, x := range g.xids {
			all = append(all, report{x.ms, xidText(i, uint64(x.value))})
		}
		for k, e := range g.ecc {
			if e.ms > 0 && e.uncorrected > 0 && (k == 0 || e.uncorrected > g.ecc[k-1].uncorrected) {
				all = append(all, report{e.ms, doubleBitText(i)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b report) int { return cmp.Compare(a.ms, b.ms) })
	from := now() // what was reported before anybody listened is not known
	for _, r := range all {
		if r.ms < from {
			continue
		}
		timer := time.NewTimer(time.Duration((r.ms - now()) * 1e6))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			event(lab.Event{At: at(), Kind: lab.GPUXid, Detail: r.text})
		}
	}
}

// What is said of the driver's own reports.
func xidText(index int, number uint64) string {
	return fmt.Sprintf("%s: Xid %d", deviceName(index), number)
}

func doubleBitText(index int) string { return deviceName(index) + ": uncorrectable ECC error" }

// traceBoard is one GPU of a trace.
type traceBoard struct {
	g           *traceGPU
	now         func() float64
	last, newer float64 // moments of GPM samples
}

// trouble is what goes wrong with a function now: it takes long, it hangs, or it fails.
func (b *traceBoard) trouble(function string) code {
	wait(b.g.number("call_latency_us") / 1e3)
	ms := b.now()
	for _, f := range b.g.faults {
		if ms < f.from || ms >= f.to || f.function != "*" && f.function != function {
			continue
		}
		switch f.kind {
		case "slow":
			wait(f.value)
		case "hang":
			wait(f.to - b.now())
		default:
			return code(f.value)
		}
	}
	return success
}

// wait sleeps for so many milliseconds.
func wait(ms float64) {
	if ms > 0 {
		time.Sleep(time.Duration(min(ms, 1e9) * 1e6))
	}
}

func (b *traceBoard) identity() lab.Device {
	return lab.Device{
		UUID: b.g.set["uuid"], Name: b.g.set["name"],
		Memory: lab.Bytes(b.g.number("mem_total")), PowerLimitW: b.g.number("power_limit_mw") / 1e3,
	}
}

func (b *traceBoard) ask(q question) (float64, code) {
	function := map[question]string{
		askSMClock: "nvmlDeviceGetClockInfo", askMemClock: "nvmlDeviceGetClockInfo", askMaxSMClock: "nvmlDeviceGetMaxClockInfo",
		askTemperature: "nvmlDeviceGetTemperatureV", askReasons: "nvmlDeviceGetCurrentClocksEventReasons",
		askPowerLimit: "nvmlDeviceGetEnforcedPowerLimit", askPState: "nvmlDeviceGetPerformanceState",
		askEnergy: "nvmlDeviceGetTotalEnergyConsumption", askCorrected: "nvmlDeviceGetTotalEccErrors", askUncorrected: "nvmlDeviceGetTotalEccErrors",
		askMIG: "nvmlDeviceGetMigMode", askVirtual: "nvmlDeviceGetVirtualizationMode", askGPM: "nvmlGpmQueryDeviceSupport",
	}[q]
	c := b.trouble(function)
	if q == askTemperature && c.absent() {
		c = b.trouble("nvmlDeviceGetTemperature")
	}
	if c != success {
		return 0, c
	}
	ms := b.now()
	if v, ok := b.setting(q); ok {
		return v, success
	}
	switch q {
	case askEnergy:
		return b.g.millijoules(ms), success
	case askCorrected:
		return b.g.eccAt(ms).corrected, success
	case askUncorrected:
		return b.g.eccAt(ms).uncorrected, success
	}
	column := map[question]int{askSMClock: colSMClock, askMemClock: colMemClock, askTemperature: colTemp, askReasons: colReasons}[q]
	return math.Floor(b.g.at(ms).v[column]), success
}

// setting answers what does not change with time.
func (b *traceBoard) setting(q question) (float64, bool) {
	key, ok := map[question]string{
		askMaxSMClock: "max_sm_mhz", askPowerLimit: "power_limit_mw", askPState: "pstate", askMIG: "mig", askVirtual: "vgpu", askGPM: "gpm",
	}[q]
	return b.g.number(key), ok
}

func (b *traceBoard) fields(list []field) code {
	if c := b.trouble("nvmlDeviceGetFieldValues"); c != success {
		return c
	}
	ms := b.now()
	for i := range list {
		list[i].value, list[i].code = b.g.fieldAt(list[i].id, list[i].scope, ms)
	}
	return success
}

func (b *traceBoard) utilization() (gpu, memory float64, c code) {
	if c := b.trouble("nvmlDeviceGetUtilizationRates"); c != success {
		return 0, 0, c
	}
	if b.g.number("mig") != 0 {
		return 0, 0, notSupported
	}
	row := b.g.at(grid(b.now(), b.g.number("util_period_ms")))
	return math.Floor(row.v[colUtil]), math.Floor(row.v[colMemUtil]), success
}

// What a driver keeps of its utilisation, and its time when the trace began in microseconds.
const (
	keptSamples = 120
	traceEpoch  = 1_000_000
)

func (b *traceBoard) drain(q question, since uint64) ([]stamped, code) {
	if c := b.trouble("nvmlDeviceGetSamples"); c != success {
		return nil, c
	}
	if b.g.number("mig") != 0 {
		return nil, notSupported
	}
	period := b.g.number("util_period_ms")
	newest := math.Floor(b.now() / period)
	var list []stamped
	for k := max(0, newest-keptSamples+1); k <= newest; k++ {
		at := uint64(traceEpoch + k*period*1e3)
		if at > since {
			list = append(list, stamped{at, math.Floor(b.g.at(k * period).v[q-askUtilization])})
		}
	}
	if len(list) == 0 {
		return nil, notFound
	}
	return list, success
}

func (b *traceBoard) memory() (memory, code) {
	if c := b.trouble("nvmlDeviceGetMemoryInfo_v2"); c != success {
		return memory{}, c
	}
	return memory{b.g.number("mem_total"), math.Floor(b.g.at(b.now()).v[colUsed]), b.g.number("mem_reserved")}, success
}

func (b *traceBoard) processes() ([]GPUProcess, code) {
	if c := b.trouble("nvmlDeviceGetComputeRunningProcesses_v3"); c != success {
		return nil, c
	}
	return b.g.processesAt(b.now()), success
}

func (b *traceBoard) gpmSample() code {
	c := b.trouble("nvmlGpmSampleGet")
	if c == success {
		b.last, b.newer = b.newer, b.now()
	}
	return c
}

func (b *traceBoard) gpmMetrics() ([]field, code) {
	if c := b.trouble("nvmlGpmMetricsGet"); c != success {
		return nil, c
	}
	var list []field
	for i, m := range gpmNames {
		sum := b.g.integral(b.last, b.newer, func(r traceRow) float64 { return r.v[colGPM+i] })
		list = append(list, field{id: m.id, value: sum / (b.newer - b.last)})
	}
	return list, success
}
