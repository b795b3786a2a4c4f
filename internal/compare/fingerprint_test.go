package compare

import (
	"strings"
	"testing"

	"lab/internal/lab"
)

// machineRuns are four runs of an A/B on one machine.
func machineRuns(change func(i int, r *lab.Run)) []lab.Sealed {
	on := true
	var runs []lab.Sealed
	for i, arm := range []string{"A", "B", "B", "A"} {
		r := lab.Run{ID: []string{"r0", "r1", "r2", "r3"}[i], Arm: arm, Slot: i, Outcome: lab.Complete}
		r.Host = lab.Host{Name: "box", Kernel: "6.1", Memory: 1 << 30, Governor: "performance", BootID: "b", Driver: "580.95",
			GPUs: []lab.Device{{UUID: "GPU-a", PowerLimitW: 700, Persistence: &on, ClocksLocked: true, AppSMClockMHz: 1410}}}
		r.Server.Version = map[string]string{"A": "0.15.1", "B": "0.32.0"}[arm]
		change(i, &r)
		runs = append(runs, lab.Sealed{Run: r})
	}
	return runs
}

func TestAMachineThatStaysTheSameIsNotWarnedOf(t *testing.T) {
	f, drifted := fingerprint(machineRuns(func(i int, r *lab.Run) {
		r.Host.Memory += lab.Bytes(i) << 12
		if i == 1 { // the driver did not answer that once
			r.Host.GPUs[0].Persistence, r.Host.GPUs[0].PowerLimitW = nil, 0
		}
	}))
	if drifted {
		t.Errorf("%+v", f)
	}
}

func TestWhatChangedBetweenRunsIsNamedWithTheRuns(t *testing.T) {
	for want, change := range map[string]func(i int, r *lab.Run){
		"governor performance in run r1 (B), powersave in run r2 (B)": func(i int, r *lab.Run) {
			if i >= 2 {
				r.Host.Governor = "powersave"
			}
		},
		"gpu0 power limit 700 in run r0 (A), 600 in run r1 (B)": func(i int, r *lab.Run) {
			if i%2 == 1 { // once is enough
				r.Host.GPUs[0].PowerLimitW = 600
			}
		},
		"gpu0 clocks locked at 1410 MHz in run r2 (B), not locked in run r3 (A)": func(i int, r *lab.Run) {
			r.Host.GPUs[0].ClocksLocked = i < 3
		},
		"gpus 1 in run r2 (B), 0 in run r3 (A)": func(i int, r *lab.Run) {
			if i == 3 {
				r.Host.GPUs = nil
			}
		},
		"vllm version of arm B 0.32.0 in run r1 (B), 0.33.0 in run r2 (B)": func(i int, r *lab.Run) {
			if i == 2 {
				r.Server.Version = "0.33.0"
			}
		},
		"cpu quota none in run r0 (A), 2 in run r1 (B)": func(i int, r *lab.Run) {
			if i > 0 {
				r.Host.CPUQuota = 2
			}
		},
	} {
		f, drifted := fingerprint(machineRuns(change))
		if !drifted || f.Code != "fingerprint" || f.Level != lab.Warning || f.Detail != "the machine was not the same in all runs: "+want {
			t.Errorf("%+v, want %s", f, want)
		}
	}
	v := Judge(lab.Plan{Fresh: true, Order: "ABBA"}, withBlocks(machineRuns(func(i int, r *lab.Run) { r.Host.Kernel += strings.Repeat("x", i) })))
	if len(v.Warnings) != 1 || v.Warnings[0].Code != "fingerprint" || strings.Count(v.Warnings[0].Detail, "kernel") != 1 {
		t.Errorf("%+v", v.Warnings)
	}
}

func withBlocks(runs []lab.Sealed) []lab.Sealed {
	for i := range runs {
		runs[i].Run.Block = i/2 + 1
	}
	return runs
}
