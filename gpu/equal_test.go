package gpu

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everyGroup is read at every step of a comparison.
var everyGroup = []Group{Fast, Util, Mid, GPM, Slow}

// steps are the moments of a comparison in ms: not a multiple of any period of the traces.
func steps() []float64 {
	var all []float64
	for ms := 3.0; ms < 4500; ms += 37 {
		all = append(all, ms)
	}
	return all
}

func readings(source Source, set func(ms float64)) []Reading {
	var all []Reading
	for _, ms := range steps() {
		set(ms)
		for _, group := range everyGroup {
			all = append(all, source.Read(group, func() time.Duration { return time.Duration(ms * 1e6) }))
		}
	}
	return all
}

// serveReadings is the part of the test binary that loads the fake driver, whose clock it sets.
func serveReadings() error {
	os.Setenv("FAKENVML_NOW_MS", "0")
	source, err := OpenNVML("", nil, 0)
	if err != nil {
		return err
	}
	defer source.Close()
	return json.NewEncoder(os.Stdout).Encode(readings(source, func(ms float64) { os.Setenv("FAKENVML_NOW_MS", strconv.FormatFloat(ms, 'f', -1, 64)) }))
}

func TestTheFakeDriverAndTheReplayTellTheSameAtTheSameMoment(t *testing.T) {
	t.Parallel()
	lib := fakeLibrary(t)
	const rows = "0 5 6 100000 1000 40 0 0 a 100 200\n300 95 40 600000 60000000000 50 1980 2619 4 5000 90000.5\n" +
		"900 95 40 0.001 60000000000 50 1980 2619 4\n1500 50 20 650000 70000000000 88 1200 2619 64 3000 1\n2500 98 60 1500000 7 60 1755 2619 a0\n"
	for name, text := range map[string]string{
		"all is well": rows + "proc 0 99999 4242 69\nproc 1000 2000 4243 69 foreign\n",
		"GPM":         "set gpm 1\n0 1 1 1000 1 1 1 1 1 1 1 10 20 30 40\n1100 1 1 1000 1 1 1 1 1 1 1 90.5 80 70 60\nfail 2000 2300 nvmlGpmSampleGet 999\n",
		"some is missing": rows + "field 83 none\nfield 186 none\nfield 82 u64 93\nfail 0 99999 nvmlDeviceGetTemperatureV 999\n" +
			"fail 0 99999 nvmlDeviceGetUtilizationRates 3\nfail 0 99999 nvmlDeviceGetComputeRunningProcesses_v3 4\n",
		"power and energy are not supported": rows + "fail 0 99999 nvmlDeviceGetFieldValues 3\nfail 0 99999 nvmlDeviceGetTotalEnergyConsumption 3\n",
		"power of the module":                rows + "field 186 module\n",
		"nothing is kept":                    rows + "fail 0 99999 nvmlDeviceGetSamples 3\nfail 0 99999 nvmlDeviceGetTemperatureV 13\n",
		"trouble that passes": rows + "fail 400 600 nvmlDeviceGetFieldValues 999\nfail 700 1000 nvmlDeviceGetMemoryInfo_v2 4\nfail 1500 1600 * 15\n" +
			"slow 0 200 nvmlDeviceGetClockInfo 1\nfail 2000 2200 nvmlDeviceGetSamples 999\n",
		"counters that fall":    rows + "reset 1234\nreset 3000\necc 0 5 1\necc 2000 6 2\nset pcie_wrap 1\n",
		"counters by the value": rows + "field 83 at 0 5000\nfield 83 at 150 5100\nfield 83 at 1000 1\nfield 74 at 100 5\n",
		"split":                 "set mig 1\n" + rows,
		"not for this user":     "set gpm 1\nfail 0 99999 nvmlGpmSampleGet 4\nfail 0 99999 nvmlDeviceGetTotalEccErrors 4\n" + rows,
		"virtual":               "set vgpu 1\nset power_limit_mw 500000\nset max_sm_mhz 2100\nset pstate 8\n" + rows,
		"two GPUs":              rows + "device 1\nset name Other\nset gpm 1\nset util_period_ms 200\n0 7 8 90000 5\n1000 9 10 91000 6\nfail 2000 3500 * 16\ndevice 0\nxid 5 6\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			argv := withEnv(t, "LAB_NVML_LIB="+lib, "FAKENVML_TRACE="+traceFile(t, text))
			cmd := exec.Command(argv[0], append(argv[1:], "sampler", "--readings")...)
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, &errOut)
			}
			var fromDriver []Reading
			if err := json.Unmarshal(out, &fromDriver); err != nil {
				t.Fatal(err)
			}
			parsed, err := parseTrace("t", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			now := 0.0
			fromReplay := readings(replay(parsed, func() float64 { return now }, 0), func(ms float64) { now = ms })
			equal := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-12, 0)}
			samples := 0
			for i := range fromReplay {
				samples += len(fromReplay[i].Samples)
				if d := cmp.Diff(fromDriver[i], fromReplay[i], equal); d != "" {
					t.Fatalf("at %g ms, group %s (-driver +replay):\n%s", steps()[i/len(everyGroup)], everyGroup[i%len(everyGroup)], d)
				}
			}
			if samples < 100 {
				t.Errorf("only %d samples compared", samples)
			}
		})
	}
}

func TestUtilizationThatTheDriverKeptIsReadWithoutLossOrRepetition(t *testing.T) {
	parsed, err := parseTrace("t", strings.NewReader("set util_period_ms 100\n0 1 1 1000\n1000 2 2 1000\n2000 3 3 1000\n"))
	if err != nil {
		t.Fatal(err)
	}
	now := 0.0
	source := replay(parsed, func() float64 { return now }, 0)
	var times []time.Duration
	sum := 0.0
	for now = 50; now < 3000; now += 730 {
		for _, s := range source.Read(Util, func() time.Duration { return time.Duration(now * 1e6) }).Samples {
			times = append(times, s.At)
			sum += s.Values["util_percent"]
		}
	}
	if len(times) != 30 || sum != 10*1+10*2+10*3 { // of 0 ms, then of each 100 ms until 2900
		t.Errorf("%d samples with a sum of %g", len(times), sum)
	}
	for i, at := range times[1:] {
		if at-times[i] > 150*time.Millisecond || at < times[i] {
			t.Errorf("samples at %s and %s", times[i], at)
		}
	}
}

// callWithoutGate does what must not be done: it calls a function that the library lacks.
func callWithoutGate() error {
	lib := nvml.New(nvml.WithLibraryPath(os.Getenv("LAB_NVML_LIB")))
	if c := lib.Init(); c != nvml.SUCCESS {
		return fmt.Errorf("init: %d", c)
	}
	handle, _ := lib.DeviceGetHandleByIndex(0)
	handle.GetPerformanceState()
	return nil
}

func TestAFunctionThatTheLibraryLacksIsNeverCalled(t *testing.T) {
	t.Parallel()
	all := []string{
		"nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion_v2", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetDeviceHandleFromMigDeviceHandle",
		"nvmlDeviceGetName", "nvmlDeviceGetMigMode", "nvmlDeviceGetVirtualizationMode", "nvmlDeviceGetEnforcedPowerLimit",
		"nvmlDeviceGetPerformanceState", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetSamples", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetTemperature",
		"nvmlDeviceGetTemperatureV", "nvmlDeviceGetClockInfo", "nvmlDeviceGetMaxClockInfo", "nvmlDeviceGetCurrentClocksEventReasons",
		"nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetTotalEccErrors",
		"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlGpm*", "nvmlEventSet*", "nvmlDeviceRegisterEvents", "nvmlDeviceGetSupportedEventTypes",
	}
	self := fakeDriver(t, "testdata/step.trace", all...)
	ungated := exec.Command(self[0], append(self[1:], "sampler", "--ungated")...)
	out, err := ungated.CombinedOutput()
	if ungated.ProcessState.ExitCode() != 127 {
		t.Fatalf("without the gate: %v, %s; this test proves nothing", err, out)
	}
	samples, events := watch(t, self, Config{}, 2*time.Second)
	if v, ok := last(samples, "gpu0", "power_w"); !ok || v <= 0 || len(events) != 1 || !strings.Contains(events[0], "does not give") {
		t.Errorf("power %g (%v), events %q; want what the fields give and one note", v, ok, events)
	}
}
