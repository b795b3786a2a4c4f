package gpu

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
		switch {
		case len(os.Args) == 2:
			err = Serve(context.Background(), os.Stdin, os.Stdout)
		case os.Args[2] == "--readings":
			err = serveReadings()
		case os.Args[2] == "--reopened":
			err = serveReopened()
		case os.Args[2] == "--ungated":
			err = callWithoutGate()
		default:
			err = ServeProbe(os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "fakenvml")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	wholeLibrary = sync.OnceValues(func() (string, error) { return buildLibrary(dir) })
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// wholeLibrary is the fake driver with all of its functions, built once.
var wholeLibrary func() (string, error)

// fakeDriver builds the stand-in for the driver library, without some of its functions, and gives the command of a
// sampler that loads it.
func fakeDriver(t testing.TB, trace string, without ...string) []string {
	t.Helper()
	return withEnv(t, "LAB_NVML_LIB="+fakeLibrary(t, without...), "FAKENVML_TRACE="+trace)
}

func fakeLibrary(t testing.TB, without ...string) string {
	t.Helper()
	build := wholeLibrary
	if len(without) > 0 {
		build = func() (string, error) { return buildLibrary(t.TempDir(), without...) }
	}
	lib, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func buildLibrary(dir string, without ...string) (string, error) {
	lib, hide := filepath.Join(dir, "libnvidia-ml.so.1"), filepath.Join(dir, "hide")
	local := append([]string{"fake_nothing"}, without...)
	if err := os.WriteFile(hide, []byte("{ global: nvml*; local: "+strings.Join(local, "; ")+"; };"), 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-fvisibility=hidden", "-O2", "-Wall", "-Werror", "-Wl,-soname,libnvidia-ml.so.1",
		"-Wl,--version-script="+hide, "-o", lib, "testdata/fakenvml/nvml.c", "testdata/fakenvml/trace.c", "-lm", "-lpthread").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the fake driver (gcc is needed): %w\n%s", err, out)
	}
	return lib, nil
}

// withEnv is the command of a sampler with its own environment, so that tests can run side by side.
func withEnv(t testing.TB, env ...string) []string {
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
	writeFile(t, name, text)
	return name
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
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
	lacking := []string{"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetMaxClockInfo"}
	self := fakeDriver(t, traceFile(t, trace+fmt.Sprintf("proc 0 99999 %d 1000\n", other)), lacking...)
	samples, events := watch(t, self, Config{Telemetry: lab.Telemetry{Period: lab.Duration(20 * time.Millisecond)}, ServerPID: server}, 3*time.Second)
	if len(events) != 1 || !strings.Contains(events[0], "gpu0 does not give sm_clock_max_mhz, throttle_bits") {
		t.Errorf("events: %v, want only what the library lacks", events)
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
		lab.GPUUtil: 98, lab.GPUMemUtil: 60, lab.GPUMemUsed: 70e9, lab.GPUTemp: 60, lab.GPUSMClock: 1755, lab.GPUProcesses: 2, lab.GPUForeign: 1,
	} {
		if v, ok := last(samples, "gpu0", name); !ok || v != want {
			t.Errorf("%s: %g (%v), want %g", name, v, ok, want)
		}
	}
	if _, ok := last(samples, "gpu0", lab.GPUThrottle); ok {
		t.Error("the library has no function for throttle reasons, yet they were read")
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

func TestALostGPUIsAskedOnceASecondAndComesBack(t *testing.T) {
	t.Parallel()
	self := fakeDriver(t, traceFile(t, "0 5 6 100000\nfail 400 1300 * 15\n"))
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
	if lost < 1 || lost > 6 || back == 0 {
		t.Errorf("%d errors (want few: it is asked once a second), %d readings afterwards", lost, back)
	}
	if kinds := kindsOf(events, lab.GPULost, lab.GPUBack); !slices.Equal(kinds, []string{"gpu.lost: gpu0: the GPU is lost (NVML code 15)", "gpu.back: gpu0"}) {
		t.Errorf("events %q", kinds)
	}
	if n, ok := last(samples, "sampler", lab.SamplerErrors+"15"); !ok || n < 1 {
		t.Errorf("%g calls counted with code 15", n)
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
	if n, ok := last(samples, "sampler", lab.SamplerDropped); !ok || n < 1 {
		t.Errorf("%g values counted as dropped", n)
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

func TestADriverThatHangsIsLostOnceAndComesBackWhileTheHostIsSampled(t *testing.T) {
	t.Parallel()
	self := fakeDriver(t, traceFile(t, "0 5 5 70000\nhang 1000 6000 nvmlDeviceGetFieldValues\n"))
	samples, events := watch(t, self, Config{}, 8*time.Second)
	if kinds := kindsOf(events, lab.SamplerLost, lab.GPUBack); len(kinds) != 2 || !strings.Contains(kinds[0], "the driver hangs") || !strings.Contains(kinds[1], "answers again") {
		t.Errorf("events %q, want one loss and one recovery", events)
	}
	hosts, lost := 0, time.Duration(0)
	var last time.Duration
	for _, s := range samples {
		if s.Device == "host" {
			hosts++
		}
		if _, ok := s.Values[lab.GPUPower]; ok {
			lost = max(lost, s.At-last)
			last = s.At
		}
	}
	if hosts < 7 || lost < 4*time.Second || last < 6*time.Second {
		t.Errorf("%d readings of the host (want one a second), longest pause of the GPU's %s, last reading at %s", hosts, lost, last)
	}
}

// kindsOf are the events of some kinds.
func kindsOf(events []string, kinds ...lab.EventKind) []string {
	return slices.DeleteFunc(slices.Clone(events), func(e string) bool {
		return !slices.ContainsFunc(kinds, func(k lab.EventKind) bool { return strings.HasPrefix(e, string(k)+":") })
	})
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
		"without nvmlInit_v2":   {env: "X=", options: []string{"nvmlInit_v2"}, note: "nvmlInit_v2"},
		"hidden from this user": {env: "CUDA_VISIBLE_DEVICES=3", note: `none of which the run may use (asked for: "3", by CUDA_VISIBLE_DEVICES or server.gpus)`},
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
		samples := source.Read(group, func() time.Duration { return time.Second }).Samples
		if len(samples) != 1 || samples[0].Device != "gpu0" || samples[0].At != time.Second || !cmp.Equal(samples[0].Values, want) {
			t.Errorf("group %d: %+v, want %v", group, samples, want)
		}
	}
	server.Close()
	if samples := source.Read(Fast, func() time.Duration { return 0 }).Samples; len(samples) != 1 || samples[0].Error == "" || len(samples[0].Values) > 0 {
		t.Errorf("a simulator that is gone: %+v, want an error and no value", samples)
	}
}
