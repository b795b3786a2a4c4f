package runner

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
	"lab/loadgen"
)

const ms = time.Millisecond

// told is a status whose reports are kept.
func told(e lab.Experiment, at place) (*status, *[]lab.Status) {
	var all []lab.Status
	s := &status{}
	epoch := lab.NewEpoch()
	s.begin(&Lab{Status: func(now lab.Status) { all = append(all, now) }}, lab.Run{ID: "r1", Experiment: e}, at, epoch.Clock())
	return s, &all
}

func legNames(legs []lab.Leg) string {
	marks := map[lab.LegState]string{lab.LegTodo: ".", lab.LegNow: ">", lab.LegDone: "+"}
	var b strings.Builder
	for _, l := range legs {
		b.WriteString(marks[l.State] + l.Name + " ")
	}
	return strings.TrimSpace(b.String())
}

func TestTheLegsOfARunAreEnteredInOrder(t *testing.T) {
	e := lab.Experiment{Phases: []lab.Phase{
		{Name: "steady", Load: lab.Load{Rate: 10, Requests: 100, Warmup: 4}}, {Name: "full", Load: lab.Load{Concurrency: 4, Duration: lab.Duration(time.Minute)}}}}
	s, all := told(e, place{left: time.Hour})
	progress := &loadgen.Progress{}
	last := func() string { return legNames((*all)[len(*all)-1].Legs) }
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() { s.stage("starting", 0) }, ">starting .warm-up .steady .full"},
		{func() { s.stage("waiting for the GPU to cool", time.Minute) }, ">starting .warm-up .steady .full"},
		{func() { s.stage("starting", 0) }, ">starting .warm-up .steady .full"},
		{func() { s.phase(e.Phases[0], "warm-up", progress) }, "+starting >warm-up .steady .full"},
		{func() { s.phase(e.Phases[0], "load", progress) }, "+starting +warm-up >steady .full"},
		{func() { s.stage("profiling", 0) }, "+starting +warm-up >steady .full"},
		{func() { s.phase(e.Phases[1], "warm-up", progress) }, "+starting +warm-up >steady .full"},
		{func() { s.phase(e.Phases[1], "load", progress) }, "+starting +warm-up +steady >full"},
		{func() { s.stage("stopping", 0) }, "+starting +warm-up +steady +full"},
		{func() { s.end(lab.Run{Outcome: lab.Complete}) }, "+starting +warm-up +steady +full"},
	} {
		step.do()
		if got := last(); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
	}
	first, end := (*all)[0], (*all)[len(*all)-1]
	if first.Legs[2].Whole != 10*time.Second || first.Legs[3].Whole != time.Minute || legNames(first.Legs) != ">starting .warm-up .steady .full" {
		t.Errorf("the first report is %+v", first.Legs)
	}
	if end.Outcome != lab.Complete || end.Stage != "" || end.Left == 0 || end.Left > time.Hour {
		t.Errorf("the last report is %+v", end)
	}
}

func TestABurnInOnAServerThatRunsHasNoLoad(t *testing.T) {
	e := lab.Experiment{Phases: []lab.Phase{{Name: "load", Load: lab.Load{Warmup: 4}}}}
	if got := legNames(legs(e, place{burnIn: true})); got != ".starting .warm-up" {
		t.Errorf("got %s", got)
	}
	if got := legNames(legs(e, place{on: &serving{}})); got != ".warm-up .load" {
		t.Errorf("got %s", got)
	}
}

// reading at a second of a run in which, each second, 100 tokens of 2 requests come, the k-th gap of a second k ms long.
func readingAt(second int) reading {
	r := reading{at: time.Duration(second) * time.Second, latencies: &loadgen.Latencies{}, ended: 2 * second, good: second, joules: map[string]float64{"gpu0": float64(50 * second)}}
	r.counts = loadgen.Snapshot{OK: 2 * second, Tokens: 100 * second}
	for k := range second {
		r.latencies.ITL.Add(time.Duration(k+1) * ms)
	}
	return r
}

func TestTheWindowTellsTheLastTenSecondsFromThePhase(t *testing.T) {
	var w window
	w.begin(readingAt(5))
	for second := 6; second <= 35; second++ {
		w.add(readingAt(second))
	}
	now := readingAt(35)
	itl := w.latencies(now)[1]
	if itl.Recent.N != 10 || itl.Recent.Max.Round(ms) != 35*ms || itl.Phase.N != 30 || itl.Recent.P50 < 29*ms || itl.Phase.P50 > 22*ms {
		t.Errorf("ITL %+v", itl)
	}
	if n := len(itl.Trend); n != 30 || itl.Trend[29].Round(ms) != 35*ms {
		t.Errorf("%d medians, the last %v", n, itl.Trend[n-1])
	}
	output, requests := w.rates(now)
	if output != (lab.Rate{Recent: 100, Phase: 100}) || requests != (lab.Rate{Recent: 2, Phase: 2}) {
		t.Errorf("rates %v %v", output, requests)
	}
	if g := w.goodput(now, nil); g.Recent != (lab.GoodShare{Good: 10, Of: 20}) || g.Phase != (lab.GoodShare{Good: 30, Of: 60}) {
		t.Errorf("goodput %+v", g)
	}
	if n := len(w.kept); n > 12 {
		t.Errorf("%d readings are kept", n)
	}
}

func sampleAt(at time.Duration, device string, values map[string]float64) lab.Sample {
	return lab.Sample{At: at, Device: device, Values: values}
}

func TestGaugesKeepTheNewestReadingsAndForgetOldOnes(t *testing.T) {
	g := gauges{host: []lab.Device{{Index: 10, Name: "NVIDIA X", Memory: 80 << 30}}}
	g.take(sampleAt(time.Second, "gpu10", map[string]float64{lab.GPUPower: 100, lab.GPUEnergy: 1000}))
	g.take(sampleAt(time.Second, "gpu2", map[string]float64{lab.GPUPower: 100})) // without a counter of energy
	before, unknown := readingAt(0), readingAt(0)
	before.joules, unknown.joules = g.energy(), nil
	g.take(sampleAt(2*time.Second, "gpu10", map[string]float64{lab.GPUEnergy: 1300}))
	g.take(sampleAt(2*time.Second, "gpu10", map[string]float64{lab.GPUTemp: 60}))
	g.take(sampleAt(3*time.Second, "gpu2", map[string]float64{lab.GPUPower: 200}))
	g.take(sampleAt(time.Second, "client", map[string]float64{lab.ClientCPU: 1, lab.ClientRunWait: 0}))
	g.take(sampleAt(3*time.Second, "client", map[string]float64{lab.ClientCPU: 2, lab.ClientRunWait: 0.5}))
	now := readingAt(3)
	now.joules = g.energy()
	gpus, engine, _, client := g.show(now, []reading{unknown, before})
	if len(gpus) != 2 || gpus[0].Device != "gpu2" || gpus[1].Name != "NVIDIA X" {
		t.Fatalf("got %+v", gpus)
	}
	want := map[string]float64{lab.GPUPower: 100, lab.GPUEnergy: 1300, lab.GPUTemp: 60, lab.GaugePerToken: 1} // 300 J, 300 tokens
	if diff := cmp.Diff(want, gpus[1].Values); diff != "" {
		t.Error(diff)
	}
	if got := gpus[0].Values[lab.GaugePerToken]; math.Abs(got-1) > 1e-9 { // (100+200)/2 W for 2 s
		t.Errorf("by its power: %v J a token", got)
	}
	if client.Values[lab.GaugeCPU] != 0.5 || client.Values[lab.GaugeRunWait] != 0.25 {
		t.Errorf("client %+v", client)
	}
	if engine.Values != nil {
		t.Errorf("an engine that was not sampled has %v", engine.Values)
	}
	later := readingAt(60)
	later.joules = g.energy()
	if gpus, _, _, client = g.show(later, []reading{before}); gpus[1].Values != nil || client.Values != nil {
		t.Errorf("readings of a minute ago are shown: %+v %+v", gpus, client)
	}
}

// looked gives the codes of what is raised by one look, after some samples in a phase of load.
func looked(e lab.Experiment, load lab.Load, change func(*status, *loadgen.Snapshot), samples ...lab.Sample) map[string]lab.Alert {
	s, all := told(e, place{})
	progress := &loadgen.Progress{}
	for _, one := range samples {
		zero := sampleAt(one.At, one.Device, map[string]float64{lab.EnginePreempt: 0, lab.EngineHits: 0, lab.EngineQueries: 0})
		if one.Device == "engine" {
			s.sample(zero)
		}
	}
	s.phase(lab.Phase{Name: "load", Load: load}, "load", progress)
	for _, one := range samples {
		one.At = s.clock.Now()
		s.sample(one)
	}
	now := progress.Snapshot()
	if change != nil {
		change(s, &now)
	}
	s.count(now, progress)
	found := map[string]lab.Alert{}
	for _, a := range (*all)[len(*all)-1].Alerts {
		found[a.Code] = a
	}
	return found
}

func TestEachThingThatSpoilsARunIsNamedWithWhatHelps(t *testing.T) {
	open := lab.Load{Rate: 5, Dataset: lab.Dataset{Kind: "random"}}
	one := func(device string, values map[string]float64) lab.Sample { return sampleAt(0, device, values) }
	for _, tc := range []struct {
		code   string
		level  lab.Level
		text   string
		fix    string
		load   lab.Load
		change func(*status, *loadgen.Snapshot)
		sample lab.Sample
	}{
		{"errors", lab.Warning, "1 of 1000 requests failed, the last: status 500", "--log", open, func(_ *status, s *loadgen.Snapshot) {
			*s = loadgen.Snapshot{OK: 999, Errors: 2, Failed: map[string]int{lab.ErrStatus: 1, lab.ErrCanceled: 1}, LastError: "\r\nstatus 500\rmore\nmore"}
			s.OK = 998
		}, lab.Sample{}},
		{"errors", lab.Invalid, "10 of 100", "--log", open, func(_ *status, s *loadgen.Snapshot) {
			*s = loadgen.Snapshot{OK: 90, Errors: 10, Failed: map[string]int{lab.ErrStatus: 10}}
		}, lab.Sample{}},
		{"silent", lab.Warning, "no token for 7s while 3 requests are in flight; after 1m0s the server counts as hung", "--log", open, func(s *status, now *loadgen.Snapshot) {
			time.Sleep(7 * time.Second)
			now.InFlight, now.Busy = 3, 1
		}, lab.Sample{}},
		{lab.FoundForeign, lab.Invalid, "2 process(es) that are not the server's use gpu1", "nvidia-smi", open, nil, one("gpu1", map[string]float64{lab.GPUForeign: 2})},
		{lab.FoundPowerCap, lab.Note, "gpu0 is at its power limit of 700 W, its clock at 1620 MHz", "nvidia-smi -lgc", open, nil, one("gpu0", map[string]float64{lab.GPUThrottle: lab.BitPowerCap, lab.GPUPowerLimit: 700, lab.GPUSMClock: 1620})},
		{lab.FoundThermal, lab.Invalid, "too hot (91 °C)", "nvidia-smi -pl", open, nil, one("gpu0", map[string]float64{lab.GPUThrottle: 0x20, lab.GPUTemp: 91})},
		{lab.FoundBrake, lab.Invalid, "brake", "power supply", open, nil, one("gpu0", map[string]float64{lab.GPUThrottle: lab.BitBrake})},
		{"preemptions", lab.Warning, "preempted 3 requests", "max_num_seqs", open, nil, one("engine", map[string]float64{lab.EnginePreempt: 3})},
		{"saturated", lab.Warning, "40 requests wait in it, 16 run, its KV cache is full", "load.rate", open, nil, one("engine", map[string]float64{lab.EngineWaiting: 40, lab.EngineRunning: 16, lab.EngineKVUsage: 1})},
		{"warm-cache", lab.Invalid, "50.0 % of the prompt tokens", "start the server anew", open, nil, one("engine", map[string]float64{lab.EngineHits: 50, lab.EngineQueries: 100})},
		{"client-late", lab.Warning, "80 ms late", "leave lab a core", open, nil, one("client", map[string]float64{lab.ClientLate: 0.08})},
		{"clock-step", lab.Warning, "set 1 times", "time service", open, nil, one("client", map[string]float64{lab.ClientSteps: 1})},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := lab.Experiment{Server: lab.Server{HangTimeout: lab.Duration(time.Minute)}}
			a, raised := looked(e, tc.load, tc.change, tc.sample)[tc.code]
			if !raised || a.Level != tc.level || !strings.Contains(a.Text, tc.text) || strings.ContainsAny(a.Text, "\r\n") || !strings.Contains(a.Fix, tc.fix) {
				t.Errorf("%s: got %+v", tc.code, a)
			}
		})
	}
}

func TestWhatIsAsItShouldBeRaisesNothing(t *testing.T) {
	for name, load := range map[string]lab.Load{
		"a closed loop that queues":   {Concurrency: 64, Dataset: lab.Dataset{Kind: "random"}},
		"a bounded open loop":         {Rate: 5, Concurrency: 64},
		"prompts that share a prefix": {Concurrency: 4, Dataset: lab.Dataset{Kind: "random", PrefixTokens: 100}},
	} {
		values := map[string]float64{lab.EngineWaiting: 48, lab.EngineRunning: 16}
		if load.Dataset.PrefixTokens > 0 {
			values = map[string]float64{lab.EngineHits: 50, lab.EngineQueries: 100}
		}
		found := looked(lab.Experiment{}, load, nil, sampleAt(0, "engine", values), sampleAt(0, "gpu0", map[string]float64{lab.GPUThrottle: 1}),
			sampleAt(0, "client", map[string]float64{lab.ClientLate: 0.001, lab.ClientSteps: 0}))
		if len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestWhatIsOverStaysWithItsAge(t *testing.T) {
	var a alerts
	a.raise(time.Second, "gpu0", lab.Alert{Code: lab.FoundThermal, Level: lab.Invalid})
	a.event(lab.GPUXid, "gpu0: Xid 79", 2*time.Second)
	a.raise(10*time.Second, "", lab.Alert{Code: "errors", Level: lab.Warning})
	got := a.show(10 * time.Second)
	if len(got) != 3 || got[0].Code != lab.FoundThermal || got[0].Ago != 9*time.Second || got[1].Code != lab.FoundXid || got[2].Ago != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestInTheEndAlertsAgreeWithWhatTheRunWasFoundToBe(t *testing.T) {
	s, all := told(lab.Experiment{Phases: []lab.Phase{{Name: "p"}, {Name: "q"}, {Name: "r"}}}, place{})
	s.alerts.raise(time.Second, "p", lab.Alert{Code: "errors", Level: lab.Invalid, Text: "1 of 2"})
	s.alerts.raise(time.Second, "q", lab.Alert{Code: "errors", Level: lab.Warning, Text: "9 of 10"})
	s.alerts.raise(time.Second, "r", lab.Alert{Code: "errors", Level: lab.Invalid, Text: "20 of 20"})
	s.alerts.raise(time.Second, "gpu0", lab.Alert{Code: lab.FoundThermal, Level: lab.Invalid, Text: "gpu0"})
	s.alerts.raise(time.Second, "gpu1", lab.Alert{Code: lab.FoundThermal, Level: lab.Invalid, Text: "gpu1"})
	s.alerts.raise(time.Second, "", lab.Alert{Code: "client-late", Level: lab.Warning, Text: "late"})
	s.alerts.raise(time.Second, "", lab.Alert{Code: "silent", Level: lab.Warning, Text: "silent"})
	s.end(lab.Run{Outcome: lab.Complete, Findings: []lab.Finding{
		{Code: "errors", Phase: "p", Level: lab.Warning, Detail: "1 of 1000"}, {Code: "errors", Phase: "q", Level: lab.Invalid},
		{Code: "no-success", Phase: "r", Level: lab.Invalid}, {Code: "client-late", Level: lab.Note}, {Code: "client-late", Level: lab.Invalid},
		{Code: "server-restarted", Level: lab.Invalid, Detail: "restarted"}, {Code: "few-requests", Level: lab.Warning}}})
	var got []string
	for _, a := range (*all)[len(*all)-1].Alerts {
		got = append(got, string(a.Level)+" "+a.Text)
	}
	want := []string{"invalid 9 of 10", "invalid 20 of 20", "invalid late", "invalid restarted", "warning 1 of 2", "warning gpu0", "warning gpu1", "warning silent"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnInterruptedRunWasNotJudged(t *testing.T) {
	s, all := told(lab.Experiment{}, place{})
	s.alerts.raise(time.Second, "p", lab.Alert{Code: "errors", Level: lab.Invalid})
	s.end(lab.Run{Outcome: lab.Interrupted})
	if got := (*all)[len(*all)-1].Alerts[0].Level; got != lab.Invalid {
		t.Errorf("got %s", got)
	}
}

func TestThePairsOfAPlanAndTheCellsOfASweepKeepTheirPlace(t *testing.T) {
	plan := lab.Plan{ID: "p", Pairs: 2, Order: "ABBA", A: lab.Experiment{Name: "a"}, B: lab.Experiment{Name: "b"}}
	s := series{plan: plan, pairs: planStatus(plan, nil)}
	now := s.under(2, 'B')
	if now.Pairs[0].State != lab.LegTodo || now.Pairs[1] != (lab.PairStatus{Arms: "BA", State: lab.LegNow}) || now.Arm != "B" {
		t.Errorf("got %+v", now)
	}
	if s.pairs.Pairs[1].State != lab.LegTodo {
		t.Error("a run that is made changes what was handed on")
	}

	b := board{status: lab.SweepStatus{Repeats: 2, Cells: make([]lab.CellStatus, 2)}, each: []time.Duration{time.Minute, time.Minute, time.Minute, time.Minute}}
	steps := []SweepStep{{Cell: 0}, {Cell: 1}, {Cell: 0}, {Cell: 1}}
	if got := b.leftFrom(steps, 0); got != 4*time.Minute {
		t.Errorf("%s left at the beginning", got)
	}
	during := b.at(0)
	b.took(0, 2*time.Minute)
	b.count(0, lab.LegSpoilt)
	b.count(0, lab.LegDone)
	if c := b.status.Cells[0]; c.State != lab.LegSpoilt || c.Made != 2 || during.Cells[0].State != lab.LegNow {
		t.Errorf("got %+v, and during the run %+v", b.status.Cells, during.Cells)
	}
	if got := b.leftFrom(steps, 1); got != 3*75*time.Second { // one run that took twice as long weighs a quarter
		t.Errorf("%s left after a run that took long", got)
	}
}
