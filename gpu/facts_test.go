package gpu

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
)

func TestHowAGPUIsSetUpIsReadOnceAndWhatTheLibraryLacksIsAbsent(t *testing.T) {
	yes, no := true, false
	trace := traceFile(t, "0 5 6 100000\n")
	whole := lab.Device{
		UUID: "GPU-fa4e0000-0000-0000-0000-000000000000", Name: "NVIDIA Fake H100 80GB HBM3", Memory: 85520809984, PowerLimitW: 700,
		DefaultPowerLimitW: 750, AppSMClockMHz: 1410, ClocksLocked: true, VGPU: &no, ECC: &yes,
		VBIOS: "96.00.74.00.01", PCIeGen: 5, PCIeWidth: 8, MaxPCIeWidth: 16,
	}
	// What the fake driver itself may answer is looked at only for being there.
	own := cmpopts.IgnoreFields(lab.Device{}, "Persistence", "MIG", "MaxSMClockMHz")
	found, err := Probe(t.Context(), fakeDriver(t, trace, "testdata/fakenvml/facts.c"), lab.Telemetry{}, "")
	if d := found.Devices; len(d) != 1 || d[0].Persistence == nil || d[0].MIG == nil || d[0].MaxSMClockMHz == 0 {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff([]lab.Device{whole}, found.Devices, own); err != nil || diff != "" {
		t.Errorf("%v: %s", err, diff)
	}
	// Reason 2: a setting of clocks is in force, as with nvidia-smi -lgc.
	found, err = Probe(t.Context(), fakeDriver(t, traceFile(t, "0 5 6 100000 0 40 1410 2619 2\n")), lab.Telemetry{}, "")
	bare := lab.Device{UUID: whole.UUID, Name: whole.Name, Memory: whole.Memory, PowerLimitW: 700, ClocksLocked: true}
	if diff := cmp.Diff([]lab.Device{bare}, found.Devices, own); err != nil || diff != "" {
		t.Errorf("%v: %s", err, diff)
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
