package gpu

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// trace is a recorded box: for each GPU rows that each hold from their time to the next, and what goes wrong when. The
// same text feeds the fake driver library of the tests. Times are milliseconds since its start. Lines:
//
//	device N                            the lines below are of GPU N; at first they are of GPU 0
//	set KEY VALUE                       see traceDefaults
//	T gpu mem power_mw used_bytes temp sm_mhz mem_mhz reasons_hex pcie_tx_kbs pcie_rx_kbs sm_util sm_occupancy tensor dram
//	                                    the last four are GPM's, in percent; all behind power_mw may be left out
//	proc FROM TO PID BYTES [server]     a process on the GPU: the server's, whoever has that number here;
//	proc FROM TO PID BYTES foreign      or not the server's; without either word the number tells
//	fail FROM TO FUNCTION CODE          an NVML function (*: each that asks a GPU) answers with that code
//	hang FROM TO FUNCTION               it answers only at TO
//	slow FROM TO FUNCTION MS            it takes so long
//	field ID none                       the GPU does not have the field
//	field ID module                     it has it only for the whole module
//	field ID u64 VALUE                  the field stands at a value
//	field ID at T VALUE                 from T on
//	xid T CODE                          the driver reports an Xid
//	ecc T CORRECTED UNCORRECTED         totals from T on
//	reset T                             counters begin at 0
type trace struct{ gpus []*traceGPU }

type traceGPU struct {
	set    map[string]string
	rows   []traceRow
	procs  []traceProc
	faults []traceFault
	fields map[int]*traceField
	xids   []traceMark // value: the code
	ecc    []traceECC
	resets []float64
}

// The columns of a row.
const (
	colUtil = iota
	colMemUtil
	colPower
	colUsed
	colTemp
	colSMClock
	colMemClock
	colReasons
	colTx
	colRx
	colGPM  // and three more
	columns = colGPM + 4
)

type traceRow struct {
	ms float64
	v  [columns]float64
}

type traceProc struct {
	from, to float64
	pid      int
	bytes    uint64
	owner    string
}

type traceFault struct {
	kind     string // fail, hang or slow
	from, to float64
	function string
	value    float64 // the code, or the milliseconds
}

type traceField struct {
	none, module bool
	steps        []traceMark
}

// What a trace says of whose a process is.
const (
	ownerServer  = "server"
	ownerForeign = "foreign"
)

// traceMark is a value that holds from a moment on.
type traceMark struct{ ms, value float64 }

type traceECC struct{ ms, corrected, uncorrected float64 }

// traceDefaults are the keys of "set": of the GPU, how often it renews its values, and what it can.
func traceDefaults(index int) map[string]string {
	return map[string]string{
		"name": "NVIDIA Fake H100 80GB HBM3", "uuid": fmt.Sprintf("GPU-fa4e%04d-0000-0000-0000-000000000000", index), "driver": "570.00.00",
		"power_limit_mw": "700000", "mem_total": "85520809984", "mem_reserved": "560000000", "max_sm_mhz": "1980", "pstate": "0",
		"util_period_ms": "167", "power_period_ms": "100", "energy_period_ms": "100", "power_avg_ms": "1000", "call_latency_us": "0",
		"mig": "0", "vgpu": "0", "gpm": "0", "pcie_wrap": "0", "mig_uuid": "",
	}
}

// positive are the keys of "set" that must be above zero; textual ones are not numbers.
var (
	positive = []string{"power_limit_mw", "mem_total", "util_period_ms", "power_period_ms", "energy_period_ms"}
	textual  = []string{"name", "uuid", "driver", "mig_uuid"}
)

func newTraceGPU(index int) *traceGPU {
	return &traceGPU{set: traceDefaults(index), fields: map[int]*traceField{}}
}

func parseTrace(name string, r io.Reader) (*trace, error) {
	t := &trace{gpus: []*traceGPU{newTraceGPU(0)}}
	g := t.gpus[0]
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var err error
		if words := strings.Fields(line); words[0] == "device" {
			g, err = t.device(words[1:])
		} else {
			err = g.line(line, words)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i, g := range t.gpus {
		if err := g.check(); err != nil {
			return nil, fmt.Errorf("%s: GPU %d %w", name, i, err)
		}
	}
	return t, nil
}

// device turns to a GPU, which is one that the trace names already or the next.
func (t *trace) device(words []string) (*traceGPU, error) {
	v, err := numbers(words, 1)
	if err != nil {
		return nil, err
	}
	i := int(v[0])
	if i > len(t.gpus) || i > 63 {
		return nil, fmt.Errorf("GPU %d comes before GPU %d", i, len(t.gpus))
	}
	if i == len(t.gpus) {
		t.gpus = append(t.gpus, newTraceGPU(i))
	}
	return t.gpus[i], nil
}

// check refuses what could not be played, and brings everything into order of time.
func (g *traceGPU) check() error {
	if len(g.rows) == 0 {
		return errors.New("holds no data row")
	}
	for key, text := range g.set {
		if slices.Contains(textual, key) {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0) || v > 1e15 || v == 0 && slices.Contains(positive, key) {
			return fmt.Errorf("set %s %s: is no number that it can be", key, text)
		}
	}
	slices.SortStableFunc(g.rows, func(a, b traceRow) int { return byTime(a.ms, b.ms) })
	slices.SortStableFunc(g.xids, func(a, b traceMark) int { return byTime(a.ms, b.ms) })
	slices.SortStableFunc(g.ecc, func(a, b traceECC) int { return byTime(a.ms, b.ms) })
	slices.Sort(g.resets)
	for _, f := range g.fields {
		slices.SortStableFunc(f.steps, func(a, b traceMark) int { return byTime(a.ms, b.ms) })
	}
	return nil
}

func byTime(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (g *traceGPU) line(line string, words []string) error {
	switch words[0] {
	case "set":
		if len(words) < 3 {
			return errors.New("set takes a key and a value")
		}
		if _, known := g.set[words[1]]; !known {
			return fmt.Errorf("set knows no %q", words[1])
		}
		g.set[words[1]] = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(line, "set")), words[1]))
		return nil
	case "proc":
		return g.proc(words[1:])
	case "fail", "hang", "slow":
		return g.fault(words)
	case "field":
		return g.field(words[1:])
	case "xid", "ecc", "reset":
		return g.mark(words)
	}
	return g.row(words)
}

func (g *traceGPU) proc(words []string) error {
	owner := ""
	if len(words) == 5 {
		if owner = words[4]; owner != ownerServer && owner != ownerForeign {
			return fmt.Errorf("a process is of the %s or %s, not %q", ownerServer, ownerForeign, owner)
		}
		words = words[:4]
	}
	v, err := numbers(words, 4)
	if err == nil {
		g.procs = append(g.procs, traceProc{v[0], v[1], int(v[2]), uint64(v[3]), owner})
	}
	return err
}

func (g *traceGPU) fault(words []string) error {
	want := map[string]int{"fail": 5, "slow": 5, "hang": 4}[words[0]]
	if len(words) != want {
		return fmt.Errorf("%s takes %d values", words[0], want-1)
	}
	v, err := numbers(slices.Concat(words[1:3], words[4:]), 2)
	if err != nil {
		return err
	}
	f := traceFault{kind: words[0], from: v[0], to: v[1], function: words[3]}
	if len(v) > 2 {
		f.value = v[2]
	}
	g.faults = append(g.faults, f)
	return nil
}

func (g *traceGPU) field(words []string) error {
	if len(words) < 2 {
		return errors.New("field takes an id and a value")
	}
	id, err := strconv.Atoi(words[0])
	if err != nil {
		return fmt.Errorf("%q is no field", words[0])
	}
	f := g.fields[id]
	if f == nil {
		f = &traceField{}
		g.fields[id] = f
	}
	switch kind := words[1]; {
	case kind == "none" && len(words) == 2:
		f.none = true
	case kind == "module" && len(words) == 2:
		f.module = true
	case kind == "u64" && len(words) == 3, kind == "at" && len(words) == 4:
		v, err := numbers(words[2:], 1)
		if err != nil {
			return err
		}
		step := traceMark{value: v[len(v)-1]}
		if kind == "at" {
			step.ms = v[0]
		}
		f.steps = append(f.steps, step)
	default:
		return errors.New("field takes an id and: none, module, u64 VALUE, or at T VALUE")
	}
	return nil
}

func (g *traceGPU) mark(words []string) error {
	want := map[string]int{"xid": 2, "ecc": 3, "reset": 1}[words[0]]
	v, err := numbers(words[1:], want)
	if err != nil {
		return err
	}
	switch words[0] {
	case "xid":
		g.xids = append(g.xids, traceMark{v[0], v[1]})
	case "ecc":
		g.ecc = append(g.ecc, traceECC{v[0], v[1], v[2]})
	case "reset":
		g.resets = append(g.resets, v[0])
	}
	return nil
}

func (g *traceGPU) row(words []string) error {
	reasons := uint64(0)
	if at := 1 + colReasons; len(words) > at {
		var err error
		if reasons, err = strconv.ParseUint(words[at], 16, 53); err != nil { // as many bits as a sample's value holds
			return fmt.Errorf("%q is no hexadecimal mask", words[at])
		}
		words = slices.Concat(words[:at], []string{"0"}, words[at+1:])
	}
	v, err := numbers(words, 4)
	if err != nil {
		return err
	}
	if len(v) > 1+columns {
		return fmt.Errorf("%d values in a row of at most %d", len(v), 1+columns)
	}
	r := traceRow{ms: v[0]}
	copy(r.v[:], v[1:])
	r.v[colReasons] = float64(reasons)
	g.rows = append(g.rows, r)
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
		if err != nil || v < 0 || v > 1e15 || math.IsNaN(v) {
			return nil, fmt.Errorf("%q is no number", w)
		}
		values = append(values, v)
	}
	return values, nil
}
