package gpu

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
)

// setUp is the command of a sampler whose driver library also tells how its GPU is set up.
func setUp(t *testing.T) []string {
	t.Helper()
	sources, _ := filepath.Glob("testdata/fakenvml/*.c")
	sources = slices.DeleteFunc(sources, func(name string) bool { return filepath.Base(name) == "abi.c" }) // compiled only, to check its structures
	lib := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	args := append([]string{"-shared", "-fPIC", "-O2", "-Wl,-soname,libnvidia-ml.so.1", "-o", lib, "testdata/fakefacts/facts.c"}, sources...)
	if out, err := exec.Command("gcc", append(args, "-lm", "-lpthread")...).CombinedOutput(); err != nil {
		t.Fatalf("build the fake driver (gcc is needed): %v\n%s", err, out)
	}
	return withEnv(t, "LAB_NVML_LIB="+lib, "FAKENVML_TRACE="+traceFile(t, "0 5 6 100000\n"))
}

func TestHowAGPUIsSetUpIsReadOnce(t *testing.T) {
	yes, no := true, false
	want := lab.Device{
		UUID: "GPU-fa4e0000-0000-0000-0000-000000000000", Name: "NVIDIA Fake H100 80GB HBM3", Memory: 85520809984, PowerLimitW: 700,
		DefaultPowerLimitW: 750, AppSMClockMHz: 1410, ClocksLocked: true, VGPU: &no, ECC: &yes,
		VBIOS: "96.00.74.00.01", PCIeGen: 5, PCIeWidth: 8, MaxPCIeWidth: 16,
	}
	found, err := Probe(t.Context(), setUp(t), lab.Telemetry{}, "")
	if d := found.Devices; err != nil || len(d) != 1 || d[0].Persistence == nil || d[0].MIG == nil || d[0].MaxSMClockMHz == 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	// What the fake driver may answer by itself is looked at only for being there.
	if diff := cmp.Diff(want, found.Devices[0], cmpopts.IgnoreFields(lab.Device{}, "Persistence", "MIG", "MaxSMClockMHz")); diff != "" {
		t.Error(diff)
	}
}

func TestALockOfTheClocksIsToldByItsBeingInForce(t *testing.T) {
	for reasons, want := range map[string]bool{"0": false, "1": false, "2": true, "6": true} { // 2: a setting of clocks, 4: the power limit
		found, err := Probe(t.Context(), fakeDriver(t, traceFile(t, "0 5 6 100000 0 40 1410 2619 "+reasons+"\n")), lab.Telemetry{}, "")
		if err != nil || len(found.Devices) != 1 || found.Devices[0].ClocksLocked != want {
			t.Errorf("reasons %s: %+v, %v", reasons, found.Devices, err)
		}
	}
}

func on(uuid string, pid int, memory uint64) GPUProcess {
	return GPUProcess{PID: pid, UUID: uuid, Memory: memory}
}

func TestTheServersShareOfAGPUIsToldByTheSurestWayThereIs(t *testing.T) {
	const card, other = "GPU-a", "GPU-b"
	devices := []lab.Device{{UUID: card}}
	size := func(n lab.Bytes) *lab.Bytes { return &n }
	holds := func(pid int) (ours, known bool) { return pid < 20, pid < 100 } // below 100 are numbers of this machine
	name := func(p GPUProcess) lab.GPUProcess {
		return lab.GPUProcess{PID: p.PID, Memory: lab.Bytes(p.Memory), Name: "python"}
	}
	empty := Found{MemoryUsed: map[string]uint64{card: 5}}
	for what, c := range map[string]struct {
		before, now Found
		want        lab.GPUUse
	}{
		"its processes, and another": {
			empty, Found{MemoryUsed: map[string]uint64{card: 95}, Processes: []GPUProcess{on(card, 11, 40), on(card, 12, 30), on(card, 50, 20), on(other, 51, 9)}},
			lab.GPUUse{Before: size(5), Loaded: size(95), Server: size(70), Method: lab.ByPID, Foreign: []lab.GPUProcess{{PID: 50, Memory: 20, Name: "python"}}},
		},
		"numbers of the host, one new": {
			Found{MemoryUsed: map[string]uint64{card: 25}, Processes: []GPUProcess{on(card, 500, 20)}},
			Found{MemoryUsed: map[string]uint64{card: 95}, Processes: []GPUProcess{on(card, 500, 20), on(card, 501, 68)}},
			lab.GPUUse{Before: size(25), Loaded: size(95), Server: size(68), Method: lab.SoleNew, Foreign: []lab.GPUProcess{{PID: 500, Memory: 20, Name: "python"}}},
		},
		"numbers of the host, two new": {
			empty, Found{MemoryUsed: map[string]uint64{card: 95}, Processes: []GPUProcess{on(card, 500, 20), on(card, 501, 68)}},
			lab.GPUUse{Before: size(5), Loaded: size(95), Server: size(90), Method: lab.ByDelta},
		},
		"no list at all": {
			empty, Found{MemoryUsed: map[string]uint64{card: 95}}, lab.GPUUse{Before: size(5), Loaded: size(95), Server: size(90), Method: lab.ByDelta},
		},
		"a driver that names processes without their memory": {
			empty, Found{MemoryUsed: map[string]uint64{card: 95}, Processes: []GPUProcess{on(card, 11, 0)}},
			lab.GPUUse{Before: size(5), Loaded: size(95), Server: size(90), Method: lab.ByDelta},
		},
		"nothing was read": {Found{}, Found{}, lab.GPUUse{}},
	} {
		c.now.Devices, c.want.UUID = devices, card
		got := attribute(c.before, c.now, holds, name)
		if diff := cmp.Diff([]lab.GPUUse{c.want}, got); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		Settled(got, Found{MemoryUsed: map[string]uint64{card: 6}})
		if s := got[0].Stopped; s == nil || *s != 6 {
			t.Errorf("%s: after the stop %v", what, s)
		}
	}
}

func TestTheServersOwnProcessesAreFoundByTheDriversListAndStrangersAreNamed(t *testing.T) {
	server, stranger := sleeper(t, "exec sleep 60"), sleeper(t, "exec sleep 60")
	devices := []lab.Device{{UUID: "GPU-a"}}
	uses := Attribute(Found{}, Found{Devices: devices, Processes: []GPUProcess{on("GPU-a", server, 70<<30), on("GPU-a", stranger, 11<<30)}}, server)
	if len(uses) != 1 || uses[0].Method != lab.ByPID || *uses[0].Server != 70<<30 || len(uses[0].Foreign) != 1 {
		t.Fatalf("%+v", uses)
	}
	if f := uses[0].Foreign[0]; f.PID != stranger || f.Name != "sleep" && f.Name != "sh" || f.User == "" || f.Memory != 11<<30 {
		t.Errorf("%+v", f)
	}
}
