package live

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

var update = flag.Bool("update", false, "write the golden files")

const ms = time.Millisecond

func spread(n int, p50, p90, p99, most time.Duration) lab.Spread {
	return lab.Spread{N: n, P50: p50, P90: p90, P99: p99, Max: most}
}

// running is a run in the middle of its load.
func running() lab.Status {
	slo := []lab.SLO{{Metric: "ttft", Limit: lab.Duration(500 * ms)}, {Metric: "tpot", Limit: lab.Duration(20 * ms)}}
	return lab.Status{
		Run: "20261123-140512-k3f9", Title: "chunked-prefill-on", Model: "Qwen/Qwen3-8B", Stage: "load", Phase: "steady", Figures: "steady",
		Load:  lab.Load{Rate: 12, Duration: lab.Duration(3 * time.Minute)},
		Since: 114 * time.Second, Whole: 180 * time.Second,
		Legs: []lab.Leg{{Name: "starting", State: lab.LegDone, Took: 41 * time.Second}, {Name: "warm-up", State: lab.LegDone, Took: 20 * time.Second},
			{Name: "steady", State: lab.LegNow}, {Name: "warm-up"}, {Name: "saturation", Whole: time.Minute}},
		Sent: 1444, OK: 1412, InFlight: 32, Tokens: 722944, Failed: map[string]int{},
		Latencies: []lab.Latency{
			{Name: "TTFT", Recent: spread(120, 48100*time.Microsecond, 71*ms, 94300*time.Microsecond, 95*ms), Phase: spread(1444, 47900*time.Microsecond, 69800*time.Microsecond, 101*ms, 143*ms),
				Trend: []time.Duration{48 * ms, 47 * ms, 50 * ms, 0, 96 * ms, 48 * ms}},
			{Name: "ITL", Recent: spread(61200, 9800*time.Microsecond, 10400*time.Microsecond, 13100*time.Microsecond, 20*ms), Phase: spread(721532, 9810*time.Microsecond, 10500*time.Microsecond, 13400*time.Microsecond, 61700*time.Microsecond)},
			{Name: "E2EL", Recent: spread(118, 5060*ms, 5310*ms, 5600*ms, 5610*ms), Phase: spread(1412, 5050*ms, 5330*ms, 5710*ms, 6020*ms)},
		},
		Output: lab.Rate{Recent: 6348, Phase: 6341.6}, Requests: lab.Rate{Recent: 11.8, Phase: 12.386},
		Goodput: &lab.Goodput{Limits: slo, Recent: lab.GoodShare{Good: 117, Of: 118}, Phase: lab.GoodShare{Good: 1394, Of: 1412}},
		GPUs: []lab.Gauges{{Device: "gpu0", Name: "NVIDIA H100 80GB HBM3", Memory: 80 << 30, Values: map[string]float64{
			lab.GPUTemp: 67, lab.GPUUtil: 98, lab.GPUSMClock: 1755, lab.GPUPower: 642, lab.GPUPowerLimit: 700, lab.GPUMemUsed: 71.8 * (1 << 30), lab.GaugePerToken: 0.1011}}},
		Engine: lab.Gauges{Device: "engine", Values: map[string]float64{lab.EngineRunning: 32, lab.EngineWaiting: 0, lab.EngineKVUsage: 0.61, lab.EnginePreempt: 0}},
		Host:   lab.Gauges{Device: "host", Values: map[string]float64{lab.HostCPU: 41}},
		Client: lab.Gauges{Device: "client", Values: map[string]float64{lab.GaugeCPU: 0.35, lab.ClientCores: 16, lab.ClientLate: 0.0008, lab.ClientLag: 0.0012}},
	}
}

// alarmed is one of which everything that can be wrong is.
func alarmed() lab.Status {
	s := running()
	s.Errors, s.Failed = 21, map[string]int{lab.ErrStatus: 19, lab.ErrCut: 2}
	s.Alerts = []lab.Alert{
		{Code: "errors", Level: lab.Invalid, Text: "21 of 1433 requests failed, the last: status 500: CUDA out of memory", Fix: "what the server says: lab show " + s.Run + " --log"},
		{Code: "preemptions", Level: lab.Warning, Text: "the engine preempted 12 requests: its KV cache was full", Fix: "raise gpu_memory_utilization, or lower max_num_seqs", Ago: 12 * time.Second},
		{Code: lab.FoundPowerCap, Level: lab.Note, Text: "gpu0 is at its power limit of 700 W, its clock at 1620 MHz: normal under load", Fix: "a steadier clock, for comparing: nvidia-smi -lgc MHZ"},
		{Code: "client-late", Level: lab.Warning, Text: "lab itself got to run 77 ms late"},
	}
	return s
}

// comparing is a run of an A/B with names that are wide.
func comparing() lab.Status {
	s := running()
	s.Title, s.Step, s.Left, s.Goodput = "B 分块预填充 🙂 开", "pair 4 of at most 8", 31*time.Minute, nil
	plan := &lab.PlanStatus{ID: "20261123-135900-aaaa", Name: "standard", A: "关", B: "开", Looks: []int{4, 6, 8}, Arm: "B"}
	for i := range 8 {
		p := lab.PairStatus{Arms: []string{"AB", "BA"}[i%2]}
		switch {
		case i < 3:
			p.State = lab.LegDone
		case i == 3:
			p.State, p.Spoilt = lab.LegNow, 1
		}
		plan.Pairs = append(plan.Pairs, p)
	}
	s.Plan = plan
	return s
}

// sweeping is a run of a sweep of two things.
func sweeping() lab.Status {
	s := running()
	s.Title, s.Step, s.Left, s.Goodput = "kit io256x256_mc4", "cell 6 of 12", 8*time.Minute, nil
	s.Sweep = &lab.SweepStatus{ID: "20261123-135900-bbbb", Name: "kit", Repeats: 1}
	states := []lab.LegState{lab.LegReused, lab.LegDone, lab.LegSpoilt, lab.LegFailed, lab.LegLeft, lab.LegNow}
	for i := range 12 {
		c := lab.CellStatus{Name: fmt.Sprint("cell ", i), Values: []lab.Setting{
			{Path: "dataset.lengths", Value: []string{"256,256", "1024,128", "长文本"}[i/4]}, {Path: "load.concurrency", Value: []string{"1", "4", "16", "64"}[i%4]}}}
		if i < len(states) {
			c.State = states[i]
		}
		s.Sweep.Cells = append(s.Sweep.Cells, c)
	}
	return s
}

// starting is a run whose server is not up yet.
func starting() lab.Status {
	s := lab.Status{Run: "20261123-140512-k3f9", Title: "chunked-prefill-on", Model: "Qwen/Qwen3-8B", Stage: "starting", Since: 41 * time.Second,
		Legs: running().Legs}
	s.Legs[0] = lab.Leg{Name: "starting", State: lab.LegNow}
	s.Legs[1].State, s.Legs[2].State = lab.LegTodo, lab.LegTodo
	return s
}

func statuses() map[string]lab.Status {
	return map[string]lab.Status{"run": running(), "alerts": alarmed(), "ab": comparing(), "sweep": sweeping(), "starting": starting()}
}

func TestFramesAreDrawnAsTheyWereLookedAt(t *testing.T) {
	for name, s := range statuses() {
		for _, size := range []Size{{40, 24}, {60, 20}, {80, 24}, {200, 50}} {
			golden(t, fmt.Sprintf("%s-%dx%d", name, size.Columns, size.Rows), Frame(s, size, false, false))
		}
	}
	golden(t, "alerts-80x24-color", Frame(alarmed(), Size{80, 24}, true, false))
	golden(t, "run-80x24-stopping", Frame(running(), Size{80, 24}, false, true))
	golden(t, "run-80x10", Frame(running(), Size{80, 10}, false, false))
}

// The tests of terminals, in another process, show the same statuses.
func TestTheStatusesAreThereForTheTestsOfTerminals(t *testing.T) {
	over := lab.Status{Run: running().Run, Title: running().Title, Outcome: lab.Complete}
	over.Legs = []lab.Leg{{Name: "steady", State: lab.LegDone, Took: 3 * time.Minute, OK: 2160}}
	paired := comparing()
	paired.Plan.Pairs[3].State = lab.LegDone
	for name, sequence := range map[string][]lab.Status{
		"run": {starting(), running(), over}, "alerts": {alarmed()}, "ab": {comparing(), {Plan: paired.Plan}}, "sweep": {sweeping()},
	} {
		text, err := json.MarshalIndent(sequence, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		same(t, filepath.Join("testdata", "status", name+".json"), string(text)+"\n")
	}
}

func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	got := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "\x1b", "␛")
	same(t, filepath.Join("testdata", "frame", name+".txt"), got)
}

func same(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", file, diff)
	}
}

func TestAFrameFitsAnyTerminal(t *testing.T) {
	for name, s := range statuses() {
		for columns := 20; columns <= 220; columns += 7 {
			for _, rows := range []int{3, 5, 10, 24, 60} {
				for _, color := range []bool{false, true} {
					lines := Frame(s, Size{columns, rows}, color, false)
					if len(lines) > rows-2 || len(lines) == 0 {
						t.Errorf("%s at %d×%d has %d lines", name, columns, rows, len(lines))
					}
					for _, l := range lines {
						if w := lipgloss.Width(l); w >= max(21, columns) {
							t.Errorf("%s at %d×%d: a line is %d wide: %q", name, columns, rows, w, l)
						}
					}
				}
			}
		}
	}
}

// A status may be read before the clock of a phase has begun.
func TestAPhaseThatHasNotBegunIsNotLessThanNothing(t *testing.T) {
	s := running()
	s.Since = -3 * time.Second
	text := strings.Join(Frame(s, Size{120, 24}, false, false), "\n")
	if !strings.Contains(text, "   0 %   0:00 of 3:00") || !strings.HasPrefix(Text(s), "chunked-prefill-on · steady 0:00 of 3:00") {
		t.Errorf("got\n%s", text)
	}
}

func TestWithoutColourAFrameHasNoEscapes(t *testing.T) {
	for name, s := range statuses() {
		if text := strings.Join(Frame(s, Size{80, 24}, false, false), "\n"); strings.ContainsRune(text, '\x1b') {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// What is shown of a plan could not tell how the arms compare: it has no place for a figure.
func TestTheStatusOfAPlanHasNoFigures(t *testing.T) {
	var look func(of reflect.Type)
	look = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Struct:
			for i := range of.NumField() {
				look(of.Field(i).Type)
			}
		case reflect.Slice, reflect.Pointer:
			look(of.Elem())
		case reflect.Float64, reflect.Float32, reflect.Int64, reflect.Map:
			t.Errorf("a plan's status has a %s", of)
		}
	}
	look(reflect.TypeFor[lab.PlanStatus]())
}

func TestNumbersKeepThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Microsecond: "1.23", 9999 * time.Microsecond: "10.0", 48100 * time.Microsecond: "48.1", 99960 * time.Microsecond: "100",
		5060 * ms: "5060", 850 * time.Microsecond: "0.85",
	} {
		if got := millis(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{30 * time.Second: "30 s", 54 * time.Minute: "54 min", 160 * time.Minute: "2.7 h", 0: "1 s"} {
		if got := about(d); got != want {
			t.Errorf("about %s is %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{61 * time.Second: "1:01", 3661 * time.Second: "1:01:01"} {
		if got := lab.Stopwatch(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
