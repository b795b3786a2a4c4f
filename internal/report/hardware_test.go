package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"lab/internal/correlate"
	"lab/internal/lab"
)

func between() []correlate.Difference {
	return []correlate.Difference{
		{Value: "power", Unit: "W", A: 612.4, B: 598.1, Delta: -14.3, Low: is[float64](-21), High: is[float64](-7.6), NA: 4, NB: 4},
		{Value: "sm clock", Unit: "MHz", A: 1755, B: 1980, Delta: 225, Low: is[float64](180), High: is[float64](270), NA: 4, NB: 4},
		{Value: "gpu memory", Unit: "bytes", A: 73 << 30, B: 72 << 30, Delta: -1 << 30, Low: is[float64](-1 << 30), High: is[float64](-1 << 30), NA: 4, NB: 4},
		{Value: "throttled", Unit: "share", A: .21, B: .004, Delta: -.206, Low: is[float64](-.25), High: is[float64](-.16), NA: 4, NB: 4},
		{Value: "energy per output token", Unit: "J", A: .1012, B: .0973, Delta: -.0039, Low: is[float64](-.0045), High: is[float64](-.0033), NA: 4, NB: 4},
		{Value: "stalls per 1000 gaps", Unit: "1/1000", A: 4.2, B: .3, Delta: -3.9, NA: 4, NB: 1},
	}
}

// hardware is a run in which something of everything was seen.
func hardware() correlate.Hardware {
	ms := time.Millisecond
	mean := func(device, value string, mean, low, high float64) correlate.Mean {
		return correlate.Mean{Device: device, Value: value, Mean: mean, Min: low, Max: high, Coverage: .998, N: 1200}
	}
	return correlate.Hardware{
		Run: "20261123-140512-abcd",
		Coverage: []correlate.Coverage{
			{Device: "gpu0", Value: lab.GPUPower, N: 1180, Period: 50 * ms, MaxGap: 10100 * ms, Gaps: 1, Errors: 3},
			{Device: "gpu0", Value: lab.GPUEnergy, N: 1180, Period: 50 * ms, MaxGap: 10100 * ms, Gaps: 1, Errors: 3},
			{Device: "gpu0", Value: lab.GPUEnergyPeriod, N: 1},
			{Device: "gpu0", Value: lab.GPUEnergyPeriod, N: 1},
			{Device: "gpu0", Value: lab.GPUTemp, N: 290, Period: 200 * ms, MaxGap: 210 * ms},
			{Device: "engine", Value: lab.EngineRunning, N: 60, Period: time.Second, MaxGap: 1004 * ms},
		},
		Phases: []correlate.Phase{{Name: "load", Start: 9 * time.Second, End: 69 * time.Second,
			Means: []correlate.Mean{
				mean("engine", lab.EngineWaiting, 12.5, 0, 96), mean("engine", lab.EngineKVUsage, .871, .2, 1),
				mean("gpu0", lab.GPUUtil, 97.1, 0, 100), mean("gpu0", lab.GPUPower, 612.4, 71.2, 701), mean("gpu0", lab.GPUSMClock, 1755, 1410, 1980),
				mean("host", lab.HostCPU, 12.5, 3, 61), mean("gpu0", "something_new_w", 3, 3, 3),
				{Device: "gpu0", Value: lab.GPUThrottlePower, Mean: 12.6, Counter: true, Coverage: 1, N: 300},
				{Device: "gpu0", Value: lab.GPUThrottleThermal, Mean: 0, Counter: true, Coverage: 1, N: 300},
				{Device: "engine", Value: lab.EnginePreempt, Mean: 96, Counter: true, Coverage: 1, N: 60},
			},
			Energy: &correlate.PhaseEnergy{Joules: 36744, PerOutputToken: .287, AboveIdlePerToken: .254, PerToken: .057, PerRequest: 36.7, Prefill: 9021, Decode: 27050, Withheld: 673, N: 128000},
		}},
		Energy: &correlate.Energy{Counter: 41020, Integrated: 40590, Matched: 40347, Requests: 36100, Idle: 4247, Withheld: 673, IdlePowerW: 71.2},
		Stalls: correlate.Stalls{Gaps: 127000, Count: 41, Streams: 612, Threshold: "a gap is a stall when it is more than 5 times the median of those around it, and 20 ms longer",
			ByCause: map[string]int{correlate.CausePreemption: 17, correlate.CausePowerCap: 3, correlate.Unattributed: 21}, Lost: 51300 * ms,
			Worst: []correlate.Stall{
				{Phase: "load", From: 33120 * ms, To: 33451 * ms, Usual: 11400 * time.Microsecond, Streams: 16, Flight: 64, Cause: correlate.CausePreemption, Evidence: "16 preemptions between 32.9 s and 33.9 s; KV cache 99.8 % full"},
				{Phase: "load", From: 41 * time.Second, To: 41090 * ms, Usual: 11400 * time.Microsecond, Streams: 64, Flight: 64, Cause: correlate.Unattributed},
			}},
		Slow:        []correlate.Slow{{Reason: "power cap", Slow: .42, Others: .11, N: 50, NOthers: 950}},
		Bottlenecks: []correlate.Bottleneck{{Class: "KV cache full", Share: .58, Windows: 7, Of: 12, Evidence: "usage over 95 % with 12.5 requests waiting; 96 preemptions"}, {Class: "unattributed", Share: .25, Windows: 3, Of: 12, Evidence: "no rule fired"}},
		Associations: []correlate.Association{{Device: "gpu0", Value: lab.GPUSMClock, Metric: "itl", Lag: 2 * time.Second, Correlation: -.43, Low: -.6, High: -.22, P: .0004, N: 120, Given: "running requests and prompt tokens"},
			{Device: "host", Value: lab.HostSteal, Metric: "ttft", Correlation: .31, Low: .1, High: .5, P: .02, N: 120}},
		Trends: []correlate.Trend{{What: "ttft", Unit: "s/h", Slope: -.0004, Low: -.003, High: .0022, N: 1000}, {What: "errors", Unit: "share/h", Slope: .002, Low: -.001, High: .005, N: 1000},
			{What: "server memory", Unit: "bytes/h", Slope: 1.21e9, Low: 1.1e9, High: 1.32e9, N: 3600, Rising: true}, {What: "gpu0 temperature", Unit: "°C/h", Slope: .2, Low: -.1, High: .5, N: 18000}},
		Findings: []lab.Finding{{Code: "telemetry-gap", Level: lab.Warning, Detail: "gpu0 was not read for 10.1 s from 21.0 s on"}, {Code: "power-capped", Level: lab.Note, Detail: "gpu0 was held at its power limit for 12.6 s (21.0 %)"}},
	}
}

func arms() []ArmHardware {
	bare := correlate.Hardware{Run: "20261123-141012-abcd"}
	return []ArmHardware{{Arm: "A", Block: 1, Hardware: hardware()}, {Arm: "B", Block: 1, Hardware: bare}}
}

// hardwareDocuments are all the forms in which hardware is told.
func hardwareDocuments(o Options) map[string]func(io.Writer) error {
	run := sealed().Run
	calm := correlate.Hardware{Coverage: hardware().Coverage[3:], Stalls: correlate.Stalls{Gaps: 4000, Threshold: "the rule"}}
	return map[string]func(io.Writer) error{
		"hardware.txt":       func(w io.Writer) error { return Hardware(w, run, hardware(), o) },
		"hardware.json":      func(w io.Writer) error { return HardwareJSON(w, hardware()) },
		"hardware-calm.txt":  func(w io.Writer) error { return Hardware(w, run, calm, o) },
		"hardware-none.txt":  func(w io.Writer) error { return Hardware(w, run, correlate.Hardware{}, o) },
		"hardware-plan.txt":  func(w io.Writer) error { return PlanHardware(w, verdict().Plan, arms(), between(), o) },
		"hardware-plan.json": func(w io.Writer) error { return PlanHardwareJSON(w, verdict().Plan, arms(), between()) },
		"hardware-line.txt":  func(w io.Writer) error { return HardwareLine(w, run.ID, hardware(), o) },
	}
}

func TestTheHardwareBesideARunReadsLikeThis(t *testing.T) {
	for name, write := range hardwareDocuments(Options{Width: 80}) {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, name, out.Bytes())
		for line := range strings.Lines(out.String()) {
			if strings.HasSuffix(name, ".txt") && lipgloss.Width(strings.TrimRight(line, "\n")) > 80 {
				t.Errorf("%s: wider than 80 columns: %s", name, line)
			}
		}
		if strings.HasSuffix(name, ".json") && !json.Valid(out.Bytes()) {
			t.Errorf("%s is no JSON", name)
		}
	}
}

func TestNothingIsSaidOfHardwareThatWasNotMeasured(t *testing.T) {
	var out bytes.Buffer
	if err := HardwareLine(&out, "id", correlate.Hardware{}, Options{}); err != nil || out.Len() > 0 {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := Hardware(&out, lab.Run{}, correlate.Hardware{}, Options{}); err != nil || strings.Contains(out.String(), "0") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestAnAssociationIsNeverToldAsACause(t *testing.T) {
	var out bytes.Buffer
	if err := Hardware(&out, lab.Run{}, correlate.Hardware{Associations: hardware().Associations}, Options{}); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"is associated with ITL 2 s later", "95 % interval -0.60 to -0.22", "n = 120 bins", "not a cause"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in: %s", want, text)
		}
	}
}

func TestAFullDiskUnderTheHardwareIsAnError(t *testing.T) {
	for name, write := range hardwareDocuments(Options{}) {
		if err := write(full{}); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
