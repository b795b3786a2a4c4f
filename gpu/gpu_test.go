package gpu

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// fakeDriver builds the stand-in for the driver library and gives the command of a sampler that loads it.
func fakeDriver(t *testing.T, trace string, options ...string) []string {
	t.Helper()
	lib := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	args := append([]string{"-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-Wl,-soname,libnvidia-ml.so.1", "-o", lib, "testdata/fakenvml/fakenvml.c"}, options...)
	out, err := exec.Command("gcc", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("build the fake driver (gcc is needed): %v\n%s", err, out)
	}
	return withEnv(t, "LAB_NVML_LIB="+lib, "FAKENVML_TRACE="+trace)
}

// withEnv is the command of a sampler with its own environment, so that tests can run side by side.
func withEnv(t *testing.T, env ...string) []string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append(append([]string{"env"}, env...), name)
}

// watch runs the real sampler child for a while and returns what it said.
func watch(t *testing.T, self []string, cfg Config, d time.Duration) (samples []lab.Sample, events []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	cfg.Epoch = lab.NewEpoch()
	if err := Watch(ctx, self, cfg, func(s lab.Sample) {
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

// traceFile writes a trace.
func traceFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "test.trace")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// sleeper starts a process that leads its own group, as a server does.
func sleeper(t *testing.T, script string) int {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestTheDriversReadingsReachTheRecordThroughARealLibraryAndAChildProcess(t *testing.T) {
	t.Parallel()
	server, other := sleeper(t, "exec sleep 60"), sleeper(t, "exec sleep 60")
	step, err := os.ReadFile("testdata/step.trace")
	if err != nil {
		t.Fatal(err)
	}
	trace := strings.NewReplacer("4242", strconv.Itoa(server), "\n3000 ", "\n30000 ").Replace(string(step)) // a slow start must not lead past the last step
	self := fakeDriver(t, traceFile(t, trace+fmt.Sprintf("proc 0 99999 %d 1000\n", other)))
	samples, events := watch(t, self, Config{Telemetry: lab.Telemetry{Period: lab.Duration(20 * time.Millisecond)}, ServerPID: server}, 3*time.Second)
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
	if watts[70] < 10 || watts[600] < 10 || watts[695] < 1 || len(watts) != 3 {
		t.Errorf("power readings: %v, want the steps of the trace", watts)
	}
	for name, want := range map[string]float64{
		lab.GPUUtil: 98, lab.GPUMemUtil: 60, lab.GPUMemUsed: 70e9, lab.GPUTemp: 60, lab.GPUThrottle: 4, lab.GPUProcesses: 2, lab.GPUForeign: 1,
	} {
		if v, ok := last(samples, "gpu0", name); !ok || v != want {
			t.Errorf("%s: %g (%v), want %g", name, v, ok, want)
		}
	}
	if _, ok := last(samples, "gpu0", lab.GPUSMClock); ok {
		t.Error("the library has no nvmlDeviceGetClockInfo, yet a clock was read")
	}
	energy, _ := last(samples, "gpu0", lab.GPUEnergy)
	if spent := energy - 1e6; spent < 70+600 || spent > 70+600+2*695 {
		t.Errorf("energy of the trace: %.0f J, want between 670 and 2060", spent)
	}
	for device, name := range map[string]string{"host": lab.HostMemUsed, "server": lab.ProcRSS, "sampler": lab.SamplerCPU, "clock": lab.ClockWall} {
		if v, ok := last(samples, device, name); !ok || v <= 0 {
			t.Errorf("%s %s: %g", device, name, v)
		}
	}
}

func TestTheFakeDriverAndTheReplayTellTheSame(t *testing.T) {
	for name, more := range map[string]string{
		"all is well": "",
		"some is missing": "field 83 none\nfield 186 none\nfail 0 99999 nvmlDeviceGetTemperature 999\n" +
			"fail 0 99999 nvmlDeviceGetUtilizationRates 3\nfail 0 99999 nvmlDeviceGetComputeRunningProcesses_v3 4\n",
		"power and energy are not supported": "fail 0 99999 nvmlDeviceGetFieldValues 3\nfail 0 99999 nvmlDeviceGetTotalEnergyConsumption 3\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trace := traceFile(t, "0 5 6 100000 1000 40 0 0 a\n300 95 40 600000 60000000000 50 1980 2619 4\n500 95 40 0.001 60000000000 50 1980 2619 4\nproc 0 99999 4242 69\n"+more)
			cfg := Config{Telemetry: lab.Telemetry{Period: lab.Duration(10 * time.Millisecond)}}
			fromDriver, _ := watch(t, fakeDriver(t, trace), cfg, 1200*time.Millisecond)
			cfg.Telemetry.Replay = trace
			fromReplay, _ := watch(t, withEnv(t), cfg, 1200*time.Millisecond)
			for _, name := range []string{lab.GPUUtil, lab.GPUMemUtil, lab.GPUMemUsed, lab.GPUTemp, lab.GPUThrottle, lab.GPUProcesses} {
				a, okA := last(fromDriver, "gpu0", name)
				b, okB := last(fromReplay, "gpu0", name)
				if a != b || okA != okB {
					t.Errorf("%s: driver %g (%v), replay %g (%v)", name, a, okA, b, okB)
				}
			}
			_, powerA := last(fromDriver, "gpu0", lab.GPUPower)
			_, powerB := last(fromReplay, "gpu0", lab.GPUPower)
			energyA, okA := last(fromDriver, "gpu0", lab.GPUEnergy)
			energyB, okB := last(fromReplay, "gpu0", lab.GPUEnergy)
			if powerA != powerB || okA != okB || math.Abs(energyA-energyB) > 1e-3 {
				t.Errorf("power: driver %v, replay %v; energy: driver %g J (%v), replay %g J (%v)", powerA, powerB, energyA, okA, energyB, okB)
			}
		})
	}
}

func TestALostGPUIsAskedOnceASecondAndComesBack(t *testing.T) {
	t.Parallel()
	self := fakeDriver(t, traceFile(t, "0 5 6 100000\nfail 200 1100 * 15\n"))
	samples, events := watch(t, self, Config{Telemetry: lab.Telemetry{Period: lab.Duration(10 * time.Millisecond)}}, 2500*time.Millisecond)
	lost, back := 0, 0
	for _, s := range samples {
		switch {
		case s.Error != "":
			lost++
		case lost > 0 && s.Values[lab.GPUPower] == 100:
			back++
		}
	}
	if lost < 1 || lost > 4 || back == 0 || len(events) > 0 {
		t.Errorf("%d errors (want one a second), %d readings afterwards, events %v", lost, back, events)
	}
}

func TestReadingsThatCannotBeAreLeftOut(t *testing.T) {
	t.Parallel()
	self := fakeDriver(t, traceFile(t, "0 5 6 0\n300 5 6 1500000\n600 5 6 100000\n"))
	samples, _ := watch(t, self, Config{}, 1200*time.Millisecond)
	for _, s := range samples {
		if v, ok := s.Values[lab.GPUPower]; ok && v != 100 {
			t.Errorf("%g W of a GPU that may draw 700", v)
		}
	}
	if _, ok := last(samples, "gpu0", lab.GPUPower); !ok {
		t.Error("no power at all")
	}
}

func TestAGPUProcessThatNobodyHereKnowsIsNotCalledForeign(t *testing.T) {
	t.Parallel()
	const nobody = 1 << 30 // above any pid of Linux
	self := fakeDriver(t, traceFile(t, fmt.Sprintf("0 5 6 100000\nproc 0 99999 %d 1000\n", nobody)))
	samples, _ := watch(t, self, Config{ServerPID: sleeper(t, "exec sleep 60")}, 800*time.Millisecond)
	if n, ok := last(samples, "gpu0", lab.GPUProcesses); !ok || n != 1 {
		t.Errorf("%g processes (%v), want 1", n, ok)
	}
	if n, ok := last(samples, "gpu0", lab.GPUForeign); ok {
		t.Errorf("%g foreign processes: inside a container the driver's numbers are not ours", n)
	}
}

func TestADriverThatHangsCostsSamplesOnly(t *testing.T) {
	t.Parallel()
	self := fakeDriver(t, traceFile(t, "0 5 5 70000\nhang 300 60000 nvmlDeviceGetFieldValues\n"))
	samples, events := watch(t, self, Config{}, 3500*time.Millisecond)
	if len(samples) == 0 || len(events) == 0 || !strings.Contains(events[0], "hangs") {
		t.Errorf("%d samples, events %v", len(samples), events)
	}
}

func TestADriverThatHangsWhileItStartsLeavesTheHostSampled(t *testing.T) {
	t.Parallel()
	self := fakeDriver(t, traceFile(t, "0 5 5 70000\nhang 0 60000 nvmlInit_v2\n"))
	samples, events := watch(t, self, Config{}, 2500*time.Millisecond)
	hosts := 0
	for _, s := range samples {
		if s.Device == "host" {
			hosts++
		}
	}
	if hosts < 2 || len(events) > 0 {
		t.Errorf("%d readings of the host, events %v", hosts, events)
	}
}

func TestProbeSaysWhatThereIsAndWhyThereIsNothing(t *testing.T) {
	found, err := Probe(t.Context(), fakeDriver(t, "testdata/step.trace"), lab.Telemetry{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Devices) != 1 || found.Devices[0].Name != "NVIDIA Fake H100 80GB HBM3" || found.Driver != "570.00.00" || found.Devices[0].PowerLimitW != 700 ||
		len(found.Processes) != 1 || found.Processes[0].PID != 4242 || found.MemoryUsed[found.Devices[0].UUID] != 1e9 {
		t.Errorf("found %+v", found)
	}
	if found.CUDA != "12.8" || !strings.HasSuffix(found.NVMLPath, "libnvidia-ml.so.1") {
		t.Errorf("found %+v", found)
	}
	found, err = Probe(t.Context(), withEnv(t, "LAB_NVML_LIB=/nosuch/libnvidia-ml.so.1"), lab.Telemetry{}, "")
	if err != nil || len(found.Devices) != 0 || !strings.Contains(found.Note, "/nosuch/") {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestADriverThatDoesNotStartIsANote(t *testing.T) {
	for name, c := range map[string]struct {
		env     string
		options []string
		note    string
	}{
		"not loaded":            {env: "FAKENVML_INIT_RET=9", note: "initialise the NVIDIA driver"},
		"of another version":    {env: "FAKENVML_INIT_RET=18", note: "initialise the NVIDIA driver"},
		"without nvmlInit_v2":   {env: "X=", options: []string{"-DWITHOUT_INIT", "-Wno-unused-function"}, note: "nvmlInit_v2"},
		"hidden from this user": {env: "CUDA_VISIBLE_DEVICES=3", note: "none of which the run may use"},
	} {
		t.Run(name, func(t *testing.T) {
			self := append([]string{"env", c.env}, fakeDriver(t, "testdata/step.trace", c.options...)...)
			found, err := Probe(t.Context(), self, lab.Telemetry{}, "")
			if err != nil || len(found.Devices) > 0 || !strings.Contains(found.Note, c.note) {
				t.Errorf("found %+v, %v; want a note with %q", found, err, c.note)
			}
		})
	}
}

func TestCUDAVisibleDevicesNamesGPUsByIndexOrUUID(t *testing.T) {
	card := lab.Device{Index: 1, UUID: "GPU-fa4e0000-1111"}
	for _, c := range []struct {
		run  []string
		env  string
		set  bool
		want bool
	}{
		{want: true},
		{env: "0, 1", set: true, want: true},
		{env: "0", set: true},
		{env: "", set: true},
		{env: "GPU-fa4e", set: true, want: true},
		{env: "GPU-fb", set: true},
		{run: []string{"GPU-fa4e0000-1111"}, env: "0", set: true, want: true},
		{run: []string{"0"}, env: "1", set: true},
	} {
		list := visible(c.run, func(string) (string, bool) { return c.env, c.set })
		if got := wanted(card, list); got != c.want {
			t.Errorf("run %v, environment %q (%v): %v, want %v", c.run, c.env, c.set, got, c.want)
		}
	}
}

func TestTheSimulatedGPUIsReadByGroups(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sim/gpu" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, `{"devices":[{"index":0,"uuid":"GPU-sim-1","name":"Simulated GPU","memory":85899345920,"power_limit_w":700,
			"util_percent":50,"mem_util_percent":20,"mem_used_bytes":1e9,"power_w":300,"energy_j":12.5,"sm_clock_mhz":1980,"temp_c":60,"throttle_bits":0}]}`)
	}))
	defer server.Close()
	source, err := OpenSimulated(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	devices, err := source.Devices()
	if want := []lab.Device{{UUID: "GPU-sim-1", Name: "Simulated GPU", Memory: 80 << 30, PowerLimitW: 700}}; err != nil || !cmp.Equal(devices, want) {
		t.Errorf("%v: %s", err, cmp.Diff(want, devices))
	}
	for group, want := range map[Group]map[string]float64{
		Fast: {lab.GPUPower: 300, lab.GPUEnergy: 12.5},
		Util: {lab.GPUUtil: 50, lab.GPUMemUtil: 20},
		Mid:  {lab.GPUMemUsed: 1e9, lab.GPUSMClock: 1980, lab.GPUTemp: 60, lab.GPUThrottle: 0}, // it says nothing of the memory's clock
	} {
		samples := source.Read(group, func() time.Duration { return time.Second })
		if len(samples) != 1 || samples[0].Device != "gpu0" || samples[0].At != time.Second || !cmp.Equal(samples[0].Values, want) {
			t.Errorf("group %d: %+v, want %v", group, samples, want)
		}
	}
	server.Close()
	if samples := source.Read(Fast, func() time.Duration { return 0 }); len(samples) != 1 || samples[0].Error == "" || len(samples[0].Values) > 0 {
		t.Errorf("a simulator that is gone: %+v, want an error and no value", samples)
	}
}
