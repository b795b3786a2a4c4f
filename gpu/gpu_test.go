package gpu

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lab/internal/lab"
)

// The test binary also plays the sampler, as lab does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sampler" {
		var err error
		if len(os.Args) > 2 {
			err = ServeProbe(os.Stdin, os.Stdout)
		} else {
			err = Serve(context.Background(), os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeDriver builds the stand-in for the driver library and makes it replay a trace.
func fakeDriver(t *testing.T, trace string) string {
	t.Helper()
	lib := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-Wl,-soname,libnvidia-ml.so.1", "-o", lib, "testdata/fakenvml/fakenvml.c").CombinedOutput()
	if err != nil {
		t.Fatalf("build the fake driver (gcc is needed): %v\n%s", err, out)
	}
	name, err := filepath.Abs(trace)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAKENVML_TRACE", name)
	t.Setenv("LAB_NVML_LIB", lib)
	return lib
}

func self(t *testing.T) []string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{name}
}

// watch runs the real sampler child for a while and returns what it said.
func watch(t *testing.T, cfg Config, d time.Duration) (samples []lab.Sample, events []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	cfg.Epoch = lab.NewEpoch()
	if err := Watch(ctx, self(t), cfg, func(s lab.Sample) {
		mu.Lock()
		defer mu.Unlock()
		samples = append(samples, s)
	}, func(kind lab.EventKind, detail string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, string(kind)+": "+detail)
	}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return samples, events
}

// last is the newest value of a device.
func last(samples []lab.Sample, device, name string) (float64, bool) {
	for i := len(samples) - 1; i >= 0; i-- {
		if v, ok := samples[i].Values[name]; ok && samples[i].Device == device {
			return v, true
		}
	}
	return 0, false
}

func TestTheDriversReadingsReachTheRecordThroughARealLibraryAndAChildProcess(t *testing.T) {
	fakeDriver(t, "testdata/step.trace")
	samples, events := watch(t, Config{Telemetry: lab.Telemetry{Period: lab.Duration(20 * time.Millisecond)}, ServerPID: os.Getpid()}, 2500*time.Millisecond)
	if len(events) > 0 {
		t.Errorf("events: %v", events)
	}
	watts := map[float64]int{}
	for _, s := range samples {
		if v, ok := s.Values[lab.GPUPower]; ok {
			watts[v]++
		}
		if s.Error != "" {
			t.Errorf("%s: %s", s.Device, s.Error)
		}
	}
	if watts[70] < 10 || watts[600] < 10 || watts[695] < 1 {
		t.Errorf("power readings: %v, want the steps of the trace", watts)
	}
	for name, want := range map[string]float64{
		lab.GPUUtil: 98, lab.GPUMemUtil: 60, lab.GPUMemUsed: 70e9, lab.GPUTemp: 60, lab.GPUThrottle: 4, lab.GPUProcesses: 1, lab.GPUForeign: 1,
	} {
		if v, ok := last(samples, "gpu0", name); !ok || v != want {
			t.Errorf("%s: %g (%v), want %g", name, v, ok, want)
		}
	}
	if _, ok := last(samples, "gpu0", lab.GPUSMClock); ok {
		t.Error("the library has no nvmlDeviceGetClockInfo, yet a clock was read")
	}
	energy, _ := last(samples, "gpu0", lab.GPUEnergy)
	if spent := energy - 1e6; spent < 70+600 || spent > 70+600+695 {
		t.Errorf("energy of the trace: %.0f J, want between 670 and 1365", spent)
	}
	for device, name := range map[string]string{"host": lab.HostMemUsed, "server": lab.ProcRSS, "sampler": lab.SamplerCPU, "clock": lab.ClockWall} {
		if v, ok := last(samples, device, name); !ok || v <= 0 {
			t.Errorf("%s %s: %g", device, name, v)
		}
	}
}

func TestTheFakeDriverAndTheReplayTellTheSame(t *testing.T) {
	fakeDriver(t, "testdata/step.trace")
	fromDriver, _ := watch(t, Config{}, 1500*time.Millisecond)
	t.Setenv("LAB_NVML_LIB", "")
	fromReplay, _ := watch(t, Config{Telemetry: lab.Telemetry{Replay: "testdata/step.trace"}}, 1500*time.Millisecond)
	for _, name := range []string{lab.GPUPower, lab.GPUUtil, lab.GPUMemUsed, lab.GPUTemp, lab.GPUThrottle, lab.GPUProcesses} {
		a, okA := last(fromDriver, "gpu0", name)
		b, okB := last(fromReplay, "gpu0", name)
		if a != b || !okA || !okB {
			t.Errorf("%s: driver %g (%v), replay %g (%v)", name, a, okA, b, okB)
		}
	}
}

func TestADriverThatHangsCostsSamplesOnly(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "hang.trace")
	if err := os.WriteFile(trace, []byte("0 5 5 70000\nhang 300 60000 nvmlDeviceGetFieldValues\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fakeDriver(t, trace)
	began := time.Now()
	samples, events := watch(t, Config{}, 3500*time.Millisecond)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("Watch came back after %v", took)
	}
	if len(samples) == 0 || len(events) == 0 || !strings.Contains(events[0], "hangs") {
		t.Errorf("%d samples, events %v", len(samples), events)
	}
}

func TestASamplerThatDiesIsStartedAgain(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "step.trace")
	if err := os.WriteFile(trace, []byte("0 5 5 70000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var mu sync.Mutex
	killed, after := false, 0
	var lost []string
	Watch(ctx, self(t), Config{Epoch: lab.NewEpoch(), Telemetry: lab.Telemetry{Replay: trace}}, func(s lab.Sample) {
		mu.Lock()
		defer mu.Unlock()
		if !killed {
			killed = true
			children, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
			for _, task := range taskChildren() {
				children = append(children, task...)
			}
			exec.Command("sh", "-c", "kill -9 "+string(children)).Run()
		} else if len(lost) > 0 {
			if after++; after > 5 {
				cancel()
			}
		}
	}, func(_ lab.EventKind, detail string) {
		mu.Lock()
		defer mu.Unlock()
		lost = append(lost, detail)
	})
	if len(lost) != 1 || after <= 5 {
		t.Errorf("events %v, %d samples after the restart", lost, after)
	}
}

// taskChildren are the children of every thread of this process.
func taskChildren() [][]byte {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	var all [][]byte
	for _, name := range lists {
		text, _ := os.ReadFile(name)
		all = append(all, text)
	}
	return all
}

func TestProbeSaysWhatThereIsAndWhyThereIsNothing(t *testing.T) {
	fakeDriver(t, "testdata/step.trace")
	found, err := Probe(t.Context(), self(t), lab.Telemetry{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Devices) != 1 || found.Devices[0].Name != "NVIDIA Fake H100 80GB HBM3" || found.Driver != "570.00.00" || found.Devices[0].PowerLimitW != 700 ||
		len(found.Processes) != 1 || found.Processes[0].PID != 4242 || found.MemoryUsed[found.Devices[0].UUID] != 1e9 {
		t.Errorf("found %+v", found)
	}
	t.Setenv("LAB_NVML_LIB", "/nosuch/libnvidia-ml.so.1")
	found, err = Probe(t.Context(), self(t), lab.Telemetry{}, "")
	if err != nil || len(found.Devices) != 0 || !strings.Contains(found.Note, "/nosuch/") {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestTheEnginesMetricsAreReadUnderEveryNameTheyHaveHad(t *testing.T) {
	for version, names := range map[string][]string{
		"0.8.5":  {lab.EngineRunning, lab.EngineWaiting, lab.EngineKVUsage, lab.EnginePrompt, lab.EngineGenerated, lab.EngineSteps, lab.EnginePreempt},
		"0.12.0": {lab.EngineRunning, lab.EngineWaiting, lab.EngineKVUsage, lab.EnginePrompt, lab.EngineGenerated, lab.EngineSteps, lab.EnginePreempt, lab.EngineHits, lab.EngineQueries},
		"0.17.1": {lab.EngineRunning, lab.EngineWaiting, lab.EngineKVUsage, lab.EnginePrompt, lab.EngineGenerated, lab.EngineSteps, lab.EnginePreempt, lab.EngineHits, lab.EngineQueries},
		"0.32.0": {lab.EngineRunning, lab.EngineWaiting, lab.EngineKVUsage, lab.EnginePrompt, lab.EngineGenerated, lab.EngineSteps, lab.EnginePreempt, lab.EngineHits, lab.EngineQueries},
	} {
		t.Run(version, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.ServeFile(w, r, "testdata/metrics-"+version+".txt")
			}))
			defer server.Close()
			clock := lab.NewEpoch().Clock()
			s := newEngine(server.URL).read(t.Context(), clock.Now)
			if s.Error != "" {
				t.Fatal(s.Error)
			}
			for _, name := range names {
				if _, ok := s.Values[name]; !ok {
					t.Errorf("%s is missing", name)
				}
			}
			if s.Values[lab.EngineGenerated] <= 0 || s.Values[lab.EngineSteps] <= 0 {
				t.Errorf("generated %g tokens in %g steps", s.Values[lab.EngineGenerated], s.Values[lab.EngineSteps])
			}
		})
	}
}

func TestALateLoopServesEveryGroupAndCountsWhatItSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		l := &loop{clock: lab.NewEpoch().Clock(), emit: func(lab.Sample) {}, flush: func() error { return nil }}
		fast, slow := 0, 0
		l.add(20*time.Millisecond, func() { fast++; time.Sleep(30 * time.Millisecond) }) // longer than its period
		l.add(100*time.Millisecond, func() { slow++ })
		if err := l.run(ctx); err != nil {
			t.Fatal(err)
		}
		if slow < 45 || fast < 100 || l.skipped == 0 {
			t.Errorf("%d slow (want about 50), %d fast, %d skipped", slow, fast, l.skipped)
		}
	})
}

func TestATraceThatCannotBeReadNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"0 1 2 3\nnonsense":               "t:2:",
		"0 1 2":                           "t:1:",
		"":                                "no data row",
		"0 0 0 1\nset power_period_ms no": "power_period_ms",
		"0 0 0 1 0 0 0 0 zz":              "hexadecimal",
	} {
		if _, err := parseTrace("t", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", text, err, want)
		}
	}
}

func TestEnergyOfATraceIsTheIntegralOfItsPower(t *testing.T) {
	f, err := os.Open("testdata/step.trace")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	trace, err := parseTrace("step", f)
	if err != nil {
		t.Fatal(err)
	}
	if got := trace.joules(5000); math.Abs(got-1515) > 1e-9 { // 70 + 600 + 695 + 2*75
		t.Errorf("%g J, want 1515", got)
	}
}

func FuzzTrace(f *testing.F) {
	text, err := os.ReadFile("testdata/step.trace")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("0 1 2 3\nfail 1 2 * 3\nhang 1 2 x\nfield 3 none")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := parseTrace("t", strings.NewReader(text))
		if err == nil && (trace.joules(1e6) < 0 || trace.at(5).ms < 0) {
			t.Error("negative")
		}
	})
}

func FuzzMetrics(f *testing.F) {
	f.Add("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\"} 3\n")
	f.Fuzz(func(t *testing.T, text string) { parseMetrics(strings.NewReader(text)) })
}

func BenchmarkSamplerAt50ms(b *testing.B) {
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
		source, err := OpenReplay("testdata/step.trace")
		if err != nil {
			b.Fatal(err)
		}
		var cpu, late float64
		l := newLoop(ctx, Config{Epoch: lab.NewEpoch(), ServerPID: os.Getpid()}, source, func(s lab.Sample) {
			if s.Device == "sampler" {
				if cpu == 0 {
					cpu = -s.Values[lab.SamplerCPU]
				}
				late = max(late, s.Values[lab.SamplerLate])
			}
		})
		if err := l.run(ctx); err != nil {
			b.Fatal(err)
		}
		cancel()
		b.ReportMetric(late*1e3, "late-max-ms")
		b.ReportMetric(100*(l.self().Values[lab.SamplerCPU]+cpu)/2, "%core")
	}
}
