package gpu

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
)

// trace is a recorded GPU: rows that each hold from their time to the next, and what goes wrong when. The same text
// feeds the fake driver library of the tests. Lines:
//
//	set KEY VALUE                       name, uuid, driver, power_limit_mw, mem_total, mem_reserved, energy_period_ms,
//	                                    power_period_ms, util_period_ms
//	T_MS gpu mem power_mw used_bytes temp sm_mhz mem_mhz reasons_hex [more]
//	proc FROM_MS TO_MS PID BYTES
//	fail FROM_MS TO_MS FUNCTION CODE    an NVML function (or *) answers with that code
//	hang FROM_MS TO_MS FUNCTION         it answers only at TO_MS
//	field ID none | field ID u64 VALUE
type trace struct {
	set   map[string]string
	rows  []traceRow
	procs []traceProc
	fails []traceFail
	lacks map[string]bool // ids of fields that the GPU does not have
}

type traceRow struct {
	ms                      float64
	util, memUtil           float64
	milliwatts, used        float64
	temp, smClock, memClock float64
	reasons                 uint64
}

type traceProc struct {
	from, to float64
	pid      int
	bytes    uint64
}

type traceFail struct {
	from, to float64
	function string
	code     int
	hang     bool
}

func parseTrace(name string, r io.Reader) (*trace, error) {
	t := &trace{lacks: map[string]bool{}, set: map[string]string{
		"name": "NVIDIA Fake H100 80GB HBM3", "uuid": "GPU-fa4e0000-0000-0000-0000-000000000000", "driver": "570.00.00",
		"power_limit_mw": "700000", "mem_total": "85520809984", "util_period_ms": "167", "power_period_ms": "100", "energy_period_ms": "100",
	}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := t.line(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("%s: holds no data row", name)
	}
	for _, key := range []string{"power_limit_mw", "mem_total", "util_period_ms", "power_period_ms", "energy_period_ms"} {
		if v, err := strconv.ParseFloat(t.set[key], 64); err != nil || !(v > 0) {
			return nil, fmt.Errorf("%s: set %s %s: is no number above zero", name, key, t.set[key])
		}
	}
	sort.SliceStable(t.rows, func(i, j int) bool { return t.rows[i].ms < t.rows[j].ms })
	return t, nil
}

func (t *trace) line(line string) error {
	words := strings.Fields(line)
	switch words[0] {
	case "set":
		if len(words) < 3 {
			return errors.New("set takes a key and a value")
		}
		rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(line, "set")), words[1]))
		t.set[words[1]] = rest
		return nil
	case "proc":
		v, err := numbers(words[1:], 4)
		if err != nil {
			return err
		}
		t.procs = append(t.procs, traceProc{v[0], v[1], int(v[2]), uint64(v[3])})
		return nil
	case "fail", "hang":
		if len(words) < 4 {
			return errors.New(words[0] + " takes from, to and a function")
		}
		v, err := numbers(words[1:3], 2)
		if err != nil {
			return err
		}
		f := traceFail{from: v[0], to: v[1], function: words[3], hang: words[0] == "hang"}
		if !f.hang {
			if len(words) != 5 {
				return errors.New("fail takes from, to, a function and a code")
			}
			if f.code, err = strconv.Atoi(words[4]); err != nil {
				return fmt.Errorf("%q is no code", words[4])
			}
		}
		t.fails = append(t.fails, f)
		return nil
	case "field":
		if len(words) < 3 {
			return errors.New("field takes an id and a value")
		}
		if words[2] == "none" {
			t.lacks[words[1]] = true
		}
		return nil // other values are for fields that lab does not read
	}
	return t.row(words)
}

func (t *trace) row(words []string) error {
	var reasons uint64
	if len(words) > 8 {
		var err error
		if reasons, err = strconv.ParseUint(words[8], 16, 64); err != nil {
			return fmt.Errorf("%q is no hexadecimal mask", words[8])
		}
	}
	v, err := numbers(words[:min(len(words), 8)], 4)
	if err != nil {
		return err
	}
	v = append(v, make([]float64, 8)...)
	t.rows = append(t.rows, traceRow{v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], reasons})
	return nil
}

// numbers reads at least so many numbers.
func numbers(words []string, least int) ([]float64, error) {
	if len(words) < least {
		return nil, fmt.Errorf("%d values, want at least %d", len(words), least)
	}
	var values []float64
	for _, w := range words {
		v, err := strconv.ParseFloat(w, 64)
		if err != nil || v < 0 || v > 1e15 || v != v {
			return nil, fmt.Errorf("%q is no number", w)
		}
		values = append(values, v)
	}
	return values, nil
}

func (t *trace) number(key string) float64 {
	v, _ := strconv.ParseFloat(t.set[key], 64) // checked when it was read
	return v
}

// at is the row that holds at a moment.
func (t *trace) at(ms float64) traceRow {
	i := sort.Search(len(t.rows), func(i int) bool { return t.rows[i].ms > ms })
	return t.rows[max(0, i-1)]
}

// joules is the integral of the power from 0 to a moment.
func (t *trace) joules(ms float64) float64 {
	sum := 0.0
	for i, r := range t.rows {
		from, to := r.ms, ms
		if i == 0 {
			from = 0
		}
		if i+1 < len(t.rows) {
			to = min(ms, t.rows[i+1].ms)
		}
		if to > from {
			sum += r.milliwatts / 1e3 * (to - from) / 1e3
		}
	}
	return sum
}

// grid is the last moment at which a value with that period was refreshed.
func grid(ms, period float64) float64 { return period * float64(int64(ms/period)) }

// replay is a trace as a Source.
type replay struct {
	trace *trace
	start time.Time
}

// OpenReplay reads a recorded trace; its time 0 is now.
func OpenReplay(name string) (Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	defer f.Close()
	t, err := parseTrace(name, f)
	if err != nil {
		return nil, err
	}
	return &replay{trace: t, start: time.Now()}, nil
}

func (r *replay) Devices() ([]lab.Device, error) {
	return []lab.Device{{
		UUID: r.trace.set["uuid"], Name: r.trace.set["name"],
		Memory: lab.Bytes(r.trace.number("mem_total")), PowerLimitW: r.trace.number("power_limit_mw") / 1e3,
	}}, nil
}

// traceValue is one value of a group and the driver's function that gives it.
type traceValue struct {
	function, name string
	v              float64
}

// values are those of a group at a moment.
func (t *trace) values(group Group, ms float64) []traceValue {
	switch group {
	case Fast:
		var values []traceValue
		const fields = "nvmlDeviceGetFieldValues"
		if !t.lacks["186"] {
			values = append(values, traceValue{fields, lab.GPUPower, t.at(grid(ms, t.number("power_period_ms"))).milliwatts / 1e3})
		}
		energy := traceValue{fields, lab.GPUEnergy, 1e6 + t.joules(grid(ms, t.number("energy_period_ms")))}
		if t.lacks["83"] {
			energy.function = "nvmlDeviceGetTotalEnergyConsumption"
		}
		return append(values, energy)
	case Util:
		row := t.at(grid(ms, t.number("util_period_ms")))
		const function = "nvmlDeviceGetUtilizationRates"
		return []traceValue{{function, lab.GPUUtil, row.util}, {function, lab.GPUMemUtil, row.memUtil}}
	case Mid:
		row := t.at(ms)
		return []traceValue{
			{"nvmlDeviceGetMemoryInfo_v2", lab.GPUMemUsed, row.used}, {"nvmlDeviceGetClockInfo", lab.GPUSMClock, row.smClock},
			{"nvmlDeviceGetClockInfo", lab.GPUMemClock, row.memClock}, {"nvmlDeviceGetTemperature", lab.GPUTemp, row.temp},
			{"nvmlDeviceGetCurrentClocksEventReasons", lab.GPUThrottle, float64(row.reasons)},
		}
	}
	n := 0.0
	for _, p := range t.procs {
		if ms >= p.from && ms < p.to && p.pid != 0 {
			n++
		}
	}
	return []traceValue{{"nvmlDeviceGetComputeRunningProcesses_v3", lab.GPUProcesses, n}}
}

// fault is what goes wrong with a function at a moment, if anything.
func (t *trace) fault(function string, ms float64) (traceFail, bool) {
	for _, f := range t.fails {
		if ms >= f.from && ms < f.to && (f.function == "*" || f.function == function) {
			return f, true
		}
	}
	return traceFail{}, false
}

func (r *replay) now() float64 { return time.Since(r.start).Seconds() * 1e3 }

func (r *replay) Read(group Group, at func() time.Duration) []lab.Sample {
	before := at()
	s := lab.Sample{Device: deviceName(0), Values: map[string]float64{}}
	ms, problem := r.now(), 0
	for _, v := range r.trace.values(group, ms) {
		f, bad := r.trace.fault(v.function, ms)
		switch {
		case bad && f.hang:
			time.Sleep(time.Duration((f.to - r.now()) * 1e6))
			s.Values[v.name] = v.v
		case bad && f.code != 0:
			problem = f.code
		default:
			s.Values[v.name] = v.v
		}
	}
	const notSupported = 3 // NVML_ERROR_NOT_SUPPORTED of nvml.h
	if len(s.Values) == 0 {
		if problem == 0 || problem == notSupported {
			return nil
		}
		s.Error = fmt.Sprintf("NVML code %d", problem)
	}
	after := at()
	s.At, s.Took = (before+after)/2, after-before
	return []lab.Sample{s}
}

func (r *replay) Close() error { return nil }
