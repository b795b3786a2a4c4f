package metric

import (
	"slices"
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestWhatIsOnlyDoubtfulStandsBesideTheNumbersAndLeavesThemValid(t *testing.T) {
	for code, spoil := range map[string]func(*lab.Run, *lab.Tables){
		"errors":       func(_ *lab.Run, t *lab.Tables) { t.Requests[0].Error = lab.ErrCut }, // 1 of 400
		"few-requests": func(_ *lab.Run, t *lab.Tables) { t.Requests = t.Requests[:19] },
		"input-tokens": func(_ *lab.Run, t *lab.Tables) { t.Requests[0].WantInput = 11 },
		"sampler-lost": func(_ *lab.Run, t *lab.Tables) {
			t.Events = append(t.Events, lab.Event{Kind: lab.SamplerLost, Detail: "it was killed"})
		},
		"gpu-lost": func(_ *lab.Run, t *lab.Tables) {
			t.Events = append(t.Events, lab.Event{Kind: lab.GPULost, Detail: "gpu0: the GPU is lost"})
		},
		"gpu-xid": func(_ *lab.Run, t *lab.Tables) {
			t.Events = append(t.Events, lab.Event{Kind: lab.GPUXid, Detail: "gpu0: Xid 79"})
		},
		"sampler": func(_ *lab.Run, t *lab.Tables) {
			t.Events = append(t.Events, lab.Event{Kind: lab.SamplerNote, Detail: "gpu0 is a virtual GPU"})
		},
		"clock-step":   func(_ *lab.Run, t *lab.Tables) { t.Samples[2].Values[lab.ClientSteps] = 1 },
		"stamps":       func(_ *lab.Run, t *lab.Tables) { t.Requests[0].Stamps = &lab.Stamps{Kernel: 97, Reading: 3} },
		"client-late":  func(_ *lab.Run, t *lab.Tables) { each(t, "client", lab.ClientLate, .2) },
		"power-capped": func(_ *lab.Run, t *lab.Tables) {}, // healthy GPUs are at their power limit
		"no-gpu": func(_ *lab.Run, t *lab.Tables) {
			for i := range t.Samples {
				if t.Samples[i].Device == "gpu0" {
					t.Samples[i].Values = nil
				}
			}
		},
	} {
		t.Run(code, func(t *testing.T) {
			r, tables := run(), healthy()
			spoil(&r, &tables)
			r.Findings = Check(r, tables, Summarise(r, tables))
			told := false
			for _, f := range r.Findings {
				told = told || f.Code == code
			}
			if !told || !r.Valid() {
				t.Errorf("valid %v, findings %+v", r.Valid(), r.Findings)
			}
		})
	}
}

func each(t *lab.Tables, device, value string, v float64) {
	for _, s := range t.Samples {
		if s.Device == device {
			s.Values[value] = v
		}
	}
}

func TestAGPUThatWasHotOutsideTheJudgedPhasesSpoilsNothing(t *testing.T) {
	r, tables := run(), healthy()
	tables.Samples[0].Values[lab.GPUThrottle] = 0x40 // at 800 ms, before the first request
	if r.Findings = Check(r, tables, Summarise(r, tables)); !r.Valid() {
		t.Errorf("findings %+v", r.Findings)
	}
}

// With a bound on requests in flight an open loop waits by design; the wait is in TTFT, and is no fault of the client, unless
// the bound was never reached.
func TestWaitingForABoundOfRequestsInFlightIsNoClientLagWhereTheBoundWasReached(t *testing.T) {
	for concurrency, valid := range map[int]bool{0: false, 4: true, 1000: false} {
		r, tables := run(), healthy()
		r.Experiment.Phases[0].Load.Rate, r.Experiment.Phases[0].Load.Concurrency = 100, concurrency
		for i := range tables.Requests {
			tables.Requests[i].Sent += 40 * ms
		}
		if r.Findings = Check(r, tables, Summarise(r, tables)); r.Valid() != valid {
			t.Errorf("bound %d: valid %v, findings %+v", concurrency, r.Valid(), r.Findings)
		}
	}
}

// A slowdown of a tenth of a second falls between two polls of the bits; its counter has it.
func TestASlowdownThatNoPollSawSpoilsARunInAJudgedPhaseOnly(t *testing.T) {
	for from, valid := range map[int]bool{0: true, 3: false, 6: true} { // readings at 0.8 s, 3.8 s and 6.8 s; the phase is from 1 s to 5 s
		r, tables := run(), healthy()
		n := 0
		for _, s := range tables.Samples {
			if s.Device != "gpu0" {
				continue
			}
			s.Values[lab.GPUThrottleBrake] = 7
			if n >= from {
				s.Values[lab.GPUThrottleBrake] = 7.1
			}
			n++
		}
		r.Findings = Check(r, tables, Summarise(r, tables))
		told := slices.ContainsFunc(r.Findings, func(f lab.Finding) bool {
			return f.Code == lab.FoundBrake && f.Level == lab.Invalid && strings.Contains(f.Detail, "for 0.1 s by its counter")
		})
		if r.Valid() != valid || told == valid {
			t.Errorf("from reading %d on: valid %v, findings %+v", from, r.Valid(), r.Findings)
		}
	}
}

func TestManyReportsOfOneKindAreOneFinding(t *testing.T) {
	r, tables := run(), healthy()
	for _, detail := range []string{"gpu0: Xid 31", "gpu0: Xid 79"} {
		tables.Events = append(tables.Events, lab.Event{Kind: lab.GPUXid, Detail: detail})
	}
	n := 0
	for _, f := range Check(r, tables, Summarise(r, tables)) {
		if f.Code == lab.FoundXid {
			n++
			if !strings.Contains(f.Detail, "Xid 31; gpu0: Xid 79") {
				t.Errorf("it says %q", f.Detail)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d findings", n)
	}
}
