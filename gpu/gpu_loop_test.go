package gpu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lab/internal/lab"
)

// runLoop reads a trace in virtual time, where reading costs nothing but what the trace says.
func runLoop(t *testing.T, text string, asked, d time.Duration, cpu func() time.Duration) (g *gpuLoop, samples []lab.Sample, events []string) {
	t.Helper()
	parsed, err := parseTrace("t", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	start := time.Now()
	source := replay(parsed, func() float64 { return time.Since(start).Seconds() * 1e3 }, 0)
	var mu sync.Mutex
	g = newGPULoop(Config{Epoch: lab.NewEpoch(), Telemetry: lab.Telemetry{Period: lab.Duration(asked)}}, func(s lab.Sample) { samples = append(samples, s) }, func(e lab.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, string(e.Kind)+": "+e.Detail)
	})
	g.cpu = cpu
	opened := make(chan Source, 1)
	opened <- source
	g.run(ctx, opened)
	return g, samples, events
}

func idle() time.Duration { return 0 }

func TestTheRateOfTheFastGroupIsHalfThePeriodAtWhichTheGPURenewsItsValues(t *testing.T) {
	for _, c := range []struct {
		energy       string
		asked, fast  time.Duration
		energyPeriod float64
	}{
		{"100", 50 * time.Millisecond, 50 * time.Millisecond, 0.1},
		{"100", 200 * time.Millisecond, 50 * time.Millisecond, 0.1},
		{"60", 50 * time.Millisecond, 30 * time.Millisecond, 0.06},
		{"100000", 50 * time.Millisecond, 50 * time.Millisecond, 0}, // it is not known
	} {
		synctest.Test(t, func(t *testing.T) {
			g, samples, events := runLoop(t, "set energy_period_ms "+c.energy+"\n0 5 5 70000\n", c.asked, 4500*time.Millisecond, idle)
			if g.fast.period != c.fast || time.Duration(g.account(&loop{}).Values[lab.SamplerPeriod]*1e9) != c.fast {
				t.Errorf("energy renewed every %s ms, asked %s: read every %s, want %s", c.energy, c.asked, g.fast.period, c.fast)
			}
			told := 0
			for _, s := range samples {
				if _, ok := s.Values[lab.GPUEnergyPeriod]; ok {
					told++
				}
			}
			if v, _ := last(samples, "gpu0", lab.GPUEnergyPeriod); v < c.energyPeriod*.99 || v > c.energyPeriod*1.01 || told > 1 {
				t.Errorf("energy renewed every %s ms: measured %g s, told %d times", c.energy, v, told)
			}
			if v, _ := last(samples, "gpu0", lab.GPUUtilPeriod); v < 0.166 || v > 0.168 {
				t.Errorf("utilisation renewed every 0.167 s: measured %g", v)
			}
			if len(events) > 0 {
				t.Errorf("events %q", events)
			}
		})
	}
}

func TestASamplerThatCostsTooMuchReadsHalfAsOftenAndSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		trace string
		cpu   float64 // of a core
		want  time.Duration
		said  int
	}{
		"within the budget":      {cpu: 0.019, want: 50 * time.Millisecond},
		"a reading takes long":   {trace: "slow 0 1e9 nvmlDeviceGetFieldValues 15\n", want: 100 * time.Millisecond, said: 1},
		"a reading takes longer": {trace: "slow 0 1e9 nvmlDeviceGetFieldValues 90\n", want: 200 * time.Millisecond, said: 2},
		"too much of a core":     {cpu: 0.05, want: 200 * time.Millisecond, said: 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			cpu := func() time.Duration { return time.Duration(c.cpu * float64(time.Since(start))) }
			g, samples, events := runLoop(t, "0 5 5 70000\n"+c.trace, 0, 40*time.Second, cpu)
			said := slices.DeleteFunc(events, func(e string) bool { return !strings.Contains(e, "are read every") })
			if g.fast.period != c.want || len(said) != c.said {
				t.Errorf("%s: read every %s (want %s), said %q", name, g.fast.period, c.want, said)
			}
			if s := g.spreads(); c.trace == "" && (s.Values["fast_reads"] < 150 || s.Values["fast_late_p99_s"] > 0.001 || s.Values["slow_skipped"] > 0) {
				t.Errorf("%s: %v", name, s.Values)
			}
			if len(samples) == 0 {
				t.Error("no sample")
			}
		})
	}
}

func TestReadingsThatComeLateAreCountedAsGapsAndSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := runLoop(t, "0 5 5 70000\nhang 5000 5700 nvmlDeviceGetMemoryInfo_v2\nfail 6000 6500 nvmlDeviceGetFieldValues 999\n", 0, 8*time.Second, idle)
		v := g.spreads().Values
		if v["fast_gaps"] != 1 || v["fast_skipped"] < 10 || v["mid_gaps"] != 1 || v["mid_call_p99_s"] < 0.6 || v["slow_gaps"] != 0 {
			t.Errorf("%v", v)
		}
		if n := g.account(&loop{}).Values[lab.SamplerErrors+"999"]; n < 3 {
			t.Errorf("%g calls counted that failed with code 999", n)
		}
	})
}

func TestWhatTheDriverReportsByItselfIsAnEventOfTheGPU(t *testing.T) {
	t.Parallel()
	text := "0 5 5 70000\necc 0 1 1\nxid 300 13\nxid 1500 79\necc 2000 1 2\ndevice 1\n0 5 5 70000\nxid 1700 31\n"
	_, fromDriver := watch(t, fakeDriver(t, traceFile(t, text)), Config{}, 4*time.Second)
	_, fromReplay := watch(t, withEnv(t), Config{Telemetry: lab.Telemetry{Replay: traceFile(t, text)}}, 4*time.Second)
	want := []string{"gpu.xid: gpu0: Xid 79", "gpu.xid: gpu1: Xid 31", "gpu.xid: gpu0: uncorrectable ECC error"}
	for from, events := range map[string][]string{"driver": fromDriver, "replay": fromReplay} {
		got := slices.DeleteFunc(kindsOf(events, lab.GPUXid), func(e string) bool { return strings.HasSuffix(e, "Xid 13") }) // that may come before anybody listens
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
}

func TestPowerAndEnergyAreReadInOneCallAtTheRateThatWasAsked(t *testing.T) {
	t.Parallel()
	log := traceFile(t, "")
	self := append([]string{"env", "FAKENVML_CALLLOG=" + log}, fakeDriver(t, traceFile(t, "0 5 5 70000\n"))...)
	const seconds = 5
	watch(t, self, Config{}, seconds*time.Second)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if _, function, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			calls[function]++
		}
	}
	most := int(measureFor/measurePeriod) + seconds*20 + 10
	if n := calls["nvmlDeviceGetFieldValues"]; n > most || n < most/4 {
		t.Errorf("%d batches of power and energy, want about %d", n, most-40)
	}
	if n := calls["nvmlDeviceGetSamples"]; n > 4*(seconds+3) || n == 0 { // two values, two calls each
		t.Errorf("kept utilisation was asked for %d times", n)
	}
	for _, never := range []string{"nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTemperature", "nvmlGpmSampleGet"} {
		if calls[never] > 0 {
			t.Errorf("%s was called %d times", never, calls[never])
		}
	}
}

func TestAPartOfASplitGPUIsReadAsTheWholeAndItIsSaid(t *testing.T) {
	t.Parallel()
	trace := traceFile(t, "set mig 1\nset mig_uuid MIG-11112222-3333-4444-5555-666677778888\n0 5 5 70000\ndevice 1\n0 1 1 1000\n")
	self := fakeDriver(t, trace)
	for visible, want := range map[string]string{
		"MIG-11112222-3333-4444-5555-666677778888":         "",
		"MIG-GPU-fa4e0000-0000-0000-0000-000000000000/1/0": "",
		"GPU-fa4e0000": "",
		"MIG-99992222-3333-4444-5555-666677778888":                "the driver knows no such part",
		"MIG-99992222-3333-4444-5555-666677778888,GPU-fa4e0000-0": "the driver knows no such part",
	} {
		found, err := Probe(t.Context(), append([]string{"env", "CUDA_VISIBLE_DEVICES=" + visible}, self...), lab.Telemetry{}, "")
		if err != nil || !strings.Contains(found.Note, want) {
			t.Errorf("%s: %+v, %v", visible, found, err)
		}
		known := want == "" || strings.Contains(visible, ",")
		if known && (len(found.Devices) != 1 || found.Devices[0].Index != 0 || found.Devices[0].MIG == nil || !*found.Devices[0].MIG) {
			t.Errorf("%s: %+v", visible, found)
		}
		if strings.HasPrefix(visible, "MIG") && want == "" && !strings.Contains(found.Note, "is a part of GPU-fa4e0000") {
			t.Errorf("%s: note %q", visible, found.Note)
		}
	}
	samples, events := watch(t, self, Config{GPUs: []string{"0"}}, 1500*time.Millisecond)
	if _, ok := last(samples, "gpu0", lab.GPUUtil); ok || len(kindsOf(events, lab.SamplerNote)) == 0 {
		t.Errorf("utilisation of a split GPU (%v), events %q", ok, events)
	}
	if v, ok := last(samples, "gpu0", lab.GPUPower); !ok || v != 70 {
		t.Errorf("power of a split GPU: %g", v)
	}
}

func TestTheFakeDriversStructuresAreThoseOfTheRealHeader(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml").Output()
	if err != nil {
		t.Skipf("no go command here: %v", err)
	}
	cmd := exec.Command("gcc", "-c", "-DNVML_NO_UNVERSIONED_FUNC_DEFS=1", "-I", strings.TrimSpace(string(dir))+"/pkg/nvml", "-o", os.DevNull, "testdata/fakenvml/abi.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestQuantilesAreWithinTheirClass(t *testing.T) {
	var q quantiles
	for i := range 1000 {
		q.add(time.Duration(i+1) * time.Millisecond)
	}
	for share, want := range map[float64]float64{0.5: .5, 0.99: .99} {
		if got := q.at(share); got < want || got > want*classGrowth*1.01 {
			t.Errorf("%s quantile: %g s, want %g", fmt.Sprint(share), got, want)
		}
	}
}

func TestATraceSaysWhoseAProcessIs(t *testing.T) {
	for text, want := range map[string]float64{
		"proc 0 9 1073741824 5 server\nproc 0 9 1073741825 5 foreign\n": 1,
		"proc 0 9 1073741824 5 server\n":                                0,
		"proc 0 9 1073741824 5\nproc 0 9 1073741825 5 foreign\n":        -1, // nobody here has the first number
	} {
		parsed, err := parseTrace("t", strings.NewReader("0 5 5 70000\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		source := replay(parsed, func() float64 { return 1 }, os.Getpid())
		v, ok := source.Read(Slow, func() time.Duration { return 0 }).Samples[0].Values[lab.GPUForeign]
		if ok != (want >= 0) || ok && v != want {
			t.Errorf("%q: %g (%v), want %g", text, v, ok, want)
		}
	}
}

func TestAGPUIsLostByTheCodesThatSaySoAndByNoReasonGivenThreeTimes(t *testing.T) {
	for name, c := range map[string]struct {
		fails string
		want  []string
	}{
		"needs a reset":            {"fail 3000 5000 * 16\n", []string{"gpu.lost: gpu0: the GPU needs a reset (NVML code 16)", "gpu.back: gpu0"}},
		"of another version":       {"fail 3000 99999 * 18\n", []string{"gpu.lost: gpu0: library and kernel module are of different versions (NVML code 18)"}},
		"no reason, for long":      {"fail 3000 5000 * 999\n", []string{"gpu.lost: gpu0: the driver gives no reason (NVML code 999)", "gpu.back: gpu0"}},
		"no reason, once":          {"fail 3001 3051 nvmlDeviceGetFieldValues 999\n", nil},
		"one function only":        {"fail 3000 5000 nvmlDeviceGetMemoryInfo_v2 15\n", nil},
		"no permission is no loss": {"fail 3000 5000 * 4\n", nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, samples, events := runLoop(t, "0 5 5 70000 1 1 1 1\n"+c.fails, 0, 8*time.Second, idle)
			if got := kindsOf(events, lab.GPULost, lab.GPUBack); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			asked := 0
			for _, s := range samples {
				if s.Error != "" && s.At > 4*time.Second && s.At < 5*time.Second {
					asked++
				}
			}
			if len(c.want) > 0 && asked > 4 { // a GPU that is not lost is asked twenty times and more
				t.Errorf("%s: a lost GPU was asked %d times in a second", name, asked)
			}
		})
	}
}
