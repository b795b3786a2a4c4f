package correlate

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
	"lab/internal/metric"
)

// quiet is a minute of a healthy GPU, host and engine, read as they are in a run; change may spoil it: it gets every
// reading and says whether it happened.
func quiet(change func(*lab.Sample) bool) lab.Tables {
	var t lab.Tables
	put := func(s lab.Sample) {
		if change == nil || change(&s) {
			t.Samples = append(t.Samples, s)
		}
	}
	for i := range 1200 {
		at := time.Duration(i)*50*time.Millisecond + time.Millisecond
		put(lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 1000 + 300*at.Seconds(), lab.GPUPower: 300}})
		if i%4 == 0 {
			put(lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUSMClock: 1980, lab.GPUTemp: 60, lab.GPUThrottle: 0, lab.GPUThrottlePower: 5, lab.GPUThrottleThermal: 0}})
		}
		if i%20 == 0 {
			put(lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUProcesses: 1, lab.GPUForeign: 0}})
			put(lab.Sample{At: at, Device: "host", Values: map[string]float64{lab.HostCPU: 20}})
			put(lab.Sample{At: at, Device: "engine", Values: map[string]float64{lab.EngineRunning: 2, lab.EngineWaiting: 0}})
		}
	}
	for i := range 50 {
		t.Requests = append(t.Requests, request(i, "p", time.Duration(i+2)*time.Second, 50*time.Millisecond, 20*time.Millisecond, 100, 40))
	}
	return t
}

func between(at time.Duration, from, to int) bool {
	return at >= time.Duration(from)*time.Second && at < time.Duration(to)*time.Second
}

func TestEachThingThatHappensIsFoundOnceAndNothingElse(t *testing.T) {
	happenings := []struct {
		code   string
		change func(*lab.Sample) bool
		events []lab.Event
		detail string
	}{
		{code: "power-capped", change: func(s *lab.Sample) bool {
			if v, ok := s.Values[lab.GPUThrottlePower]; ok {
				s.Values[lab.GPUThrottlePower] = v + min(3, max(0, s.At.Seconds()-20))
				if between(s.At, 20, 23) {
					s.Values[lab.GPUThrottle] = lab.BitPowerCap
				}
			}
			return true
		}, detail: "at the power limit, which bounds the clock: gpu0 for 3.0 s in 1 stretch(es) between 20.001s and 23.001s"},
		{code: "thermal-slowdown", change: func(s *lab.Sample) bool {
			if v, ok := s.Values[lab.GPUThrottleThermal]; ok {
				s.Values[lab.GPUThrottleThermal] = v + min(2, max(0, s.At.Seconds()-30))
			}
			return true
		}, detail: "slowed down because it was too hot: gpu0 for 2.0 s in 1 stretch(es) between 30.001s and 32.001s"},
		{code: "foreign-process", change: func(s *lab.Sample) bool {
			if _, ok := s.Values[lab.GPUForeign]; ok && between(s.At, 10, 15) {
				s.Values[lab.GPUForeign] = 2
			}
			return true
		}, detail: "processes that are not the server's were on a GPU: gpu0: up to 2 in 5 of 60 readings, from 10.001s to 14.001s"},
		{code: "gpu-xid", events: []lab.Event{{At: 12 * time.Second, Kind: lab.GPUXid, Detail: "gpu0: Xid 79"}},
			detail: "the driver reported an Xid error at 12s: gpu0: Xid 79"},
		{code: "energy-reset", change: func(s *lab.Sample) bool {
			if v, ok := s.Values[lab.GPUEnergy]; ok && s.At > 40*time.Second {
				s.Values[lab.GPUEnergy] = v - 13000
			}
			return true
		}, detail: "an energy counter started anew (gpu0 at 40.001s): what was drawn around it is not counted"},
		{code: "gpu-lost", change: func(s *lab.Sample) bool { return s.Device != "gpu0" || !between(s.At, 44, 54) },
			events: []lab.Event{{At: 46 * time.Second, Kind: lab.GPULost, Detail: "gpu0: the driver hangs"}, {At: 54 * time.Second, Kind: lab.GPUBack, Detail: "gpu0"}},
			detail: "a GPU did not answer at 46s: gpu0: the driver hangs (back after 8s)"},
		{code: "sampler-lost", change: func(s *lab.Sample) bool { return s.Device == "engine" || !between(s.At, 5, 9) },
			events: []lab.Event{{At: 7 * time.Second, Kind: lab.SamplerLost, Detail: "silent for 2s"}},
			detail: "the sampler was lost at 7s: silent for 2s"},
		{code: "telemetry-gap", change: func(s *lab.Sample) bool { return s.Device != "host" || !between(s.At, 24, 29) },
			detail: "no readings: host for 6.0 s from 23.001s"},
		{code: "energy-disagrees", change: func(s *lab.Sample) bool {
			if _, ok := s.Values[lab.GPUPower]; ok {
				s.Values[lab.GPUPower] = 270
			}
			return true
		}},
	}
	if h := Explain(experiment("p"), quiet(nil)); len(h.Findings) > 0 {
		t.Errorf("when all is well: %+v", h.Findings)
	}
	var all []string
	for _, x := range happenings {
		tables := quiet(x.change)
		tables.Events = x.events
		h := Explain(experiment("p"), tables)
		if len(h.Findings) != 1 || h.Findings[0].Code != x.code || x.detail != "" && h.Findings[0].Detail != x.detail {
			t.Errorf("%s: %+v, want %q", x.code, h.Findings, x.detail)
		}
		balanced(t, h.Energy)
		all = append(all, x.code)
	}
	var events []lab.Event
	tables := quiet(func(s *lab.Sample) bool {
		stays := true
		for _, x := range happenings {
			stays = (x.change == nil || x.change(s)) && stays
		}
		return stays
	})
	for _, x := range happenings {
		events = append(events, x.events...)
	}
	tables.Events = events
	h := Explain(experiment("p"), tables)
	var got []string
	for _, f := range h.Findings {
		got = append(got, f.Code)
	}
	slices.Sort(got)
	slices.Sort(all)
	if d := cmp.Diff(all, got); d != "" {
		t.Errorf("all at once (-want +got):\n%s", d)
	}
	balanced(t, h.Energy)
	if h.Energy.Withheld < 4200 || h.Energy.Withheld > 4400 {
		t.Errorf("of ten and four seconds without readings %.0f J are withheld, want 4200 and what lies around", h.Energy.Withheld)
	}
}

func TestARunWithoutSamplesOrRequestsHasNothingToSay(t *testing.T) {
	for name, tables := range map[string]lab.Tables{
		"nothing":       {},
		"no samples":    {Requests: quiet(nil).Requests},
		"no requests":   {Samples: quiet(nil).Samples},
		"errors only":   {Samples: []lab.Sample{{At: 1, Device: "gpu0", Error: "lost"}, {At: 2, Device: "gpu0", Error: "lost"}}},
		"one reading":   {Samples: quiet(nil).Samples[:2], Requests: quiet(nil).Requests[:1]},
		"never ended":   {Requests: []lab.RequestRecord{{Phase: "p", Intended: 1, Sent: 2, Error: lab.ErrCut}, {Phase: "p", Intended: 1}}},
		"other phases":  {Samples: quiet(nil).Samples, Requests: []lab.RequestRecord{request(0, "q", 1e9, 1e8, 1e7, 10, 10)}},
		"steps of time": {Samples: []lab.Sample{{At: 5, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 1, lab.GPUSMClock: 5}}, {At: 5, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 2, lab.GPUSMClock: 4}}, {At: 3, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 4}}}},
	} {
		h := Explain(experiment("p"), tables)
		if len(h.Findings) > 0 || h.Stalls.Count > 0 || len(h.Associations) > 0 {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestTheJoinGivesAFindingTheLevelThatTheRunsOwnCheckGaveIt(t *testing.T) {
	tables := quiet(func(s *lab.Sample) bool {
		if v, ok := s.Values[lab.GPUThrottleThermal]; ok {
			s.Values[lab.GPUThrottleThermal] = v + min(2, max(0, s.At.Seconds()-30))
		}
		return true
	})
	tables.Events = []lab.Event{{At: 12 * time.Second, Kind: lab.GPUXid, Detail: "gpu0: Xid 79"}, {At: 13 * time.Second, Kind: lab.GPUXid, Detail: "gpu0: Xid 31"}}
	run := experiment("p")
	run.Server.GPUs = []lab.GPUUse{{UUID: "GPU-0", Foreign: []lab.GPUProcess{{PID: 77, Name: "other"}}}}
	if got := Explain(run, tables).Findings; len(got) != 3 || got[1].Level != lab.Warning {
		t.Errorf("outside the judged phases heat is no more than a warning: %+v", got)
	}
	run.Findings = metric.Check(run, tables, metric.Summarise(run, tables))
	levels := map[string]lab.Level{}
	for _, f := range run.Findings {
		levels[f.Code] = f.Level
	}
	var codes []string
	for _, f := range Explain(run, tables).Findings {
		codes = append(codes, f.Code)
		if f.Level != levels[f.Code] {
			t.Errorf("%s is %q here and %q there", f.Code, f.Level, levels[f.Code])
		}
	}
	if want := []string{lab.FoundXid, lab.FoundThermal, lab.FoundForeign}; !slices.Equal(codes, want) {
		t.Errorf("found %q, want %q", codes, want)
	}
}

func TestBitsTellOfASlowdownThatTheCountersDoNotCount(t *testing.T) {
	for bits, code := range map[int]string{0x20: lab.FoundThermal, 0x40 | 0x08: lab.FoundThermal, 0x80 | 0x08: lab.FoundBrake, 0x08: lab.FoundBrake, 0x04: lab.FoundPowerCap} {
		h := Explain(experiment("p"), quiet(func(s *lab.Sample) bool {
			if _, ok := s.Values[lab.GPUThrottle]; ok && between(s.At, 20, 23) {
				s.Values[lab.GPUThrottle] = float64(bits)
			}
			return true
		}))
		if len(h.Findings) != 1 || h.Findings[0].Code != code {
			t.Errorf("bits %#x: %+v, want %s", bits, h.Findings, code)
		}
	}
}
