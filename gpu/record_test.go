package gpu

import (
	"bytes"
	"math"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestATraceThatWasRecordedReplaysWhatWasRead(t *testing.T) {
	t.Parallel()
	text := "set gpm 1\nset name Fake GPU\nset pstate 2\nset mem_reserved 123\n0 5 6 100000 1000 40 345 2619 1 100 200 10 20 30 40\n" +
		"900 95 40 600000 60000000000 50 1980 2619 4 5000 90000 90 80 70 60\n2000 50 20 650000 70000000000 88 1200 2619 64 3000 1 50 40 30 20\n" +
		"reset 1500\necc 0 5 0\necc 1200 6 0\nfield 82 none\nproc 500 99999 4242 69\nxid 1800 79\nfail 0 1e9 nvmlDeviceGetPerformanceState 3\n" +
		"device 1\n0 7 8 90000 5\n1000 9 10 91000 6\nfail 0 1e9 nvmlDeviceGetSamples 3\n"
	self := fakeDriver(t, traceFile(t, text))
	var samples []lab.Sample
	cfg := Config{Epoch: lab.NewEpoch()}
	samples, events := watch(t, self, cfg, 3500*time.Millisecond)
	var out bytes.Buffer
	recording, err := Record(t.Context(), self, cfg, 3500*time.Millisecond, &out)
	if err != nil {
		t.Fatal(err)
	}
	if len(recording.GPUs) != 2 || recording.GPUs[0].Readings < 20 || recording.GPUs[0].Periods[lab.GPUEnergyPeriod] < .09 || recording.Sampler[lab.SamplerCPU] <= 0 || len(recording.Events) == 0 {
		t.Errorf("%+v; while watched: %q", recording, events)
	}
	if _, err := parseTrace("recorded", bytes.NewReader(out.Bytes())); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	devices := []lab.Device{{Index: 0, Name: "Fake GPU", Memory: 80 << 30, PowerLimitW: 700}, {Index: 1, Name: "Other", Memory: 1 << 30, PowerLimitW: 700}}
	var written bytes.Buffer
	ordered := sorted(samples)
	if err := writeTrace(&written, "570", devices, ordered, nil); err != nil {
		t.Fatal(err)
	}
	replayed, err := parseTrace("written", bytes.NewReader(written.Bytes()))
	if err != nil {
		t.Fatalf("%v\n%s", err, &written)
	}
	compared := compare(t, replayed, ordered)
	for _, name := range []string{lab.GPUPower, lab.GPUEnergy, lab.GPUPowerAverage, lab.GPUThrottlePower, lab.GPUPCIeRx, lab.GPUSMClock, lab.GPUECCCorrected, lab.GPUProcesses, lab.GPUMemReserved} {
		if compared[name] < 2 {
			t.Errorf("%s was compared %d times", name, compared[name])
		}
	}
	if got := replayed.gpus[0]; got.set["name"] != "Fake GPU" || got.fields[fieldMemTemp] == nil || !got.fields[fieldMemTemp].none || got.set["gpm"] != "1" {
		t.Errorf("settings %v", got.set)
	}
}

func sorted(samples []lab.Sample) []lab.Sample {
	list := append([]lab.Sample(nil), samples...)
	for i := range list {
		for k := i; k > 0 && list[k].At < list[k-1].At; k-- {
			list[k], list[k-1] = list[k-1], list[k]
		}
	}
	return list
}

// compare asks a replay at the moment of each sample for what the sample holds, and counts by name. What is a mean over
// time, or has a rhythm of its own, is not held to a moment.
func compare(t *testing.T, replayed *trace, samples []lab.Sample) map[string]int {
	t.Helper()
	now := 0.0
	source := replay(replayed, func() float64 { return now }, 0)
	free := map[string]bool{
		lab.GPUUtil: true, lab.GPUMemUtil: true, lab.GPUSMUtil: true, lab.GPUSMOccupancy: true, lab.GPUTensorUtil: true, lab.GPUDRAMUtil: true,
		lab.GPUPowerPeriod: true, lab.GPUEnergyPeriod: true, lab.GPUUtilPeriod: true, lab.GPUMaxSMClock: true,
	}
	compared := map[string]int{}
	for _, s := range samples {
		now = s.At.Seconds()*1e3 + 0.06 // times are written to a tenth of a ms
		got := map[string]float64{}
		for _, group := range []Group{Fast, Fast, Fast, Fast, Mid, Slow} { // every fourth holds all fields
			for _, r := range source.Read(group, func() time.Duration { return s.At }).Samples {
				for name, v := range r.Values {
					if r.Device == s.Device {
						got[name] = v
					}
				}
			}
		}
		if len(s.Device) != 4 || s.Device[:3] != "gpu" {
			continue
		}
		for name, v := range s.Values {
			if free[name] {
				continue
			}
			compared[name]++
			if w, ok := got[name]; !ok || math.Abs(w-v) > 1e-9*math.Abs(v) {
				t.Errorf("%s of %s at %s: read %g, replayed %g (%v)", name, s.Device, s.At, v, w, ok)
				return compared
			}
		}
	}
	return compared
}
