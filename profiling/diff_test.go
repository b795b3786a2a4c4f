package profiling

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// engine writes the trace of a made-up engine: steps one after the other, each with kernels that run right after their launch.
type engine struct {
	events []string
	clock  int64 // µs
	calls  int
}

type work struct {
	name string
	took int64 // µs
}

// step takes as long as its kernels and the host, µs.
func (e *engine) step(marker string, host int64, kernels ...work) {
	start := e.clock
	at := start + 10
	for _, k := range kernels {
		e.calls++
		e.add("cuda_runtime", "cudaLaunchKernel", 1, at, 2, e.calls)
		e.add("kernel", k.name, 0, at, k.took, e.calls)
		at += k.took
	}
	e.add("user_annotation", marker, 1, start, at-start, 0)
	e.clock = at + host
}

func (e *engine) add(cat, name string, pid int, ts, took int64, correlation int) {
	e.events = append(e.events, fmt.Sprintf(`{"ph":"X","cat":%q,"name":%q,"pid":%d,"tid":1,"ts":%d.000,"dur":%d.000,"args":{"correlation":%d}}`, cat, name, pid, ts, took, correlation))
}

func (e *engine) summary(t *testing.T) *Summary {
	t.Helper()
	s := sumUp(t, "["+strings.Join(e.events, ",\n")+"]")
	return &s
}

func decode(requests int) string {
	return fmt.Sprintf("execute_context_0(0)_generation_%d(%d)", requests, requests)
}

func TestADifferenceOfStepsIsTheSumOfItsParts(t *testing.T) {
	var a, b engine
	for range 9 {
		a.step(decode(4), 40, work{"nvjet_128x64_NT", 100}, work{"flash_fwd_kernel", 60}, work{"old_softmax_kernel", 5})
		b.step(decode(4), 30, work{"nvjet_64x64_NT", 90}, work{"flash_fwd_kernel", 30}, work{"rms_norm_kernel", 3})
	}
	d := Diff([]*Summary{a.summary(t)}, []*Summary{b.summary(t)})
	if len(d.Kinds) != 1 || len(d.Notes) != 0 || !d.Indicative || d.A.Steps != 9 || d.A.Steady != 8 {
		t.Fatalf("%+v", d)
	}
	k := d.Kinds[0]
	if k.Kind != Decode || k.Per != PerStep || !k.Matched || !k.Decided || k.Time.A != 215*time.Microsecond || k.Time.B != 163*time.Microsecond || k.GPU.Delta != -42*time.Microsecond {
		t.Errorf("%+v", k)
	}
	checkSums(t, d)
	want := map[string]Status{"nvjet_64x64_NT": Renamed, "flash_fwd_kernel": Kept, "old_softmax_kernel": Vanished, "rms_norm_kernel": New}
	for _, kernel := range k.Kernels {
		if kernel.Status != want[kernel.Name] {
			t.Errorf("%s is %s, want %s", kernel.Name, kernel.Status, want[kernel.Name])
		}
		delete(want, kernel.Name)
	}
	if len(want) > 0 || k.Kernels[0].Name != "flash_fwd_kernel" || k.Kernels[1].Was != "nvjet_128x64_NT" {
		t.Errorf("not told: %v; %+v", want, k.Kernels)
	}
}

// checkSums: parts sum up to the step on either side, and to the difference.
func checkSums(t *testing.T, d Difference) {
	t.Helper()
	for _, k := range d.Kinds {
		var sum Change
		for _, p := range k.Parts {
			sum.A, sum.B, sum.Delta = sum.A+p.A, sum.B+p.B, sum.Delta+p.Delta
		}
		if len(k.Parts) > 0 && (sum.A != k.Time.A || sum.B != k.Time.B || sum.Delta != k.Time.Delta) {
			t.Errorf("%s: parts sum up to %+v, the step is %+v", k.Kind, sum, k.Time)
		}
	}
}

func TestStepsOfEqualSizeAreComparedWhateverElseRan(t *testing.T) {
	var a, b engine
	for i := range 12 { // A decodes mostly one request, B mostly eight; a step takes 10 µs, and 50 µs a request, on both
		for _, e := range []struct {
			*engine
			requests int
		}{{&a, []int{1, 1, 8}[i%3]}, {&b, []int{8, 8, 1}[i%3]}} {
			e.step(decode(e.requests), 0, work{"gemm", int64(50 * e.requests)})
		}
	}
	k := Diff([]*Summary{a.summary(t)}, []*Summary{b.summary(t)}).Kinds[0]
	if !k.Matched || k.Time.Delta != 0 || k.A.Used != 11 || *k.A.Tokens == *k.B.Tokens {
		t.Errorf("the same engine under another mix differs: %+v", k)
	}
}

func TestASideOfWhichMostStepsHaveNoCounterpartIsToldSo(t *testing.T) {
	var a, b engine
	for i := range 12 {
		a.step(decode([]int{4, 4, 2}[i%3]), 0, work{"gemm", 100})
	}
	for range 5 {
		b.step(decode(2), 0, work{"gemm", 90})
	}
	d := Diff([]*Summary{a.summary(t)}, []*Summary{b.summary(t)})
	const want = "only 3 of the 11 decode steps of A have one of equal size in B: what the others take is not in the figures"
	if k := d.Kinds[0]; !k.Matched || len(d.Notes) != 1 || d.Notes[0] != want {
		t.Errorf("%q, matched %t, used %d of %d", d.Notes, k.Matched, k.A.Used, k.A.N)
	}
}

func TestStepsWithoutACounterpartAreComparedPerTokenAndItIsSaid(t *testing.T) {
	var a, b, c engine
	for range 5 {
		a.step(decode(100), 0, work{"gemm", 390})
		b.step(decode(105), 0, work{"gemm", 410})
		c.step(decode(200), 0, work{"gemm", 590})
	}
	near, far := Diff([]*Summary{a.summary(t)}, []*Summary{b.summary(t)}), Diff([]*Summary{a.summary(t)}, []*Summary{c.summary(t)})
	if k := near.Kinds[0]; k.Per != PerToken || k.Matched || !k.Decided || k.Time.A != 4*time.Microsecond || k.Time.B != 4*time.Microsecond {
		t.Errorf("%+v", k)
	}
	if k := far.Kinds[0]; k.Per != PerToken || k.Decided || k.Time.B != 3*time.Microsecond || !strings.Contains(strings.Join(far.Notes, "\n"), "100.0 tokens a step in A, 200.0 in B") {
		t.Errorf("%+v %q", k, far.Notes)
	}
	checkSums(t, near)
}

func TestSeveralCapturesSayHowMuchTheyDifferByThemselves(t *testing.T) {
	capture := func(took int64) *Summary {
		var e engine
		for range 4 {
			e.step(decode(2), 0, work{"gemm", took})
		}
		return e.summary(t)
	}
	a, b := []*Summary{capture(100), capture(104)}, []*Summary{capture(90), capture(92)}
	d := Diff(a, b)
	k := d.Kinds[0]
	if d.Indicative || d.A.Captures != 2 || !k.Time.Range.Apart || k.Time.A != 112*time.Microsecond || k.Time.Range.A != [2]time.Duration{110 * time.Microsecond, 114 * time.Microsecond} {
		t.Errorf("%+v %+v", d, k.Time)
	}
	if d := Diff(a, []*Summary{capture(102), capture(108)}); d.Kinds[0].Time.Range.Apart {
		t.Error("captures that overlap are called apart")
	}
	if d := Diff(a, b[:1]); !d.Indicative || d.Kinds[0].Time.Range.Apart {
		t.Error("one capture of B is called more than indicative")
	}
	zero, one := int64(0), int64(1)
	a[0].Source.Rank, a[1].Source.Rank = &zero, &one
	if d := Diff(a, b); d.A.Captures != 1 {
		t.Errorf("two ranks are %d captures", d.A.Captures)
	}
}

func TestRampsAndWaitsForRequestsAreNoSteadySteps(t *testing.T) {
	var e engine
	e.step(decode(1), 0, work{"gemm", 50})
	for i := range 10 {
		wait := int64(0)
		if i == 4 {
			wait = 5000
		}
		e.step(decode(8), wait, work{"gemm", 100})
	}
	e.step(decode(2), 0, work{"gemm", 60})
	e.step(decode(1), 0, work{"gemm", 50})
	s := e.summary(t)
	d := Diff([]*Summary{s}, []*Summary{s})
	if d.A.Steps != 13 || d.A.Steady != 9 || d.A.Paused != 1 || d.Kinds[0].Time.A != 110*time.Microsecond {
		t.Errorf("%+v %+v", d.A, d.Kinds[0].Time)
	}
}

// Every recorded trace compared with itself differs by nothing, and its parts sum up.
func TestATraceDoesNotDifferFromItself(t *testing.T) {
	for _, name := range recorded(t) {
		s := read(t, "testdata/"+name)
		d := Diff([]*Summary{&s}, []*Summary{&s})
		if (s.Steps != nil) != (len(d.Kinds) > 0) && s.Steps != nil && len(s.detail.steps) > 1 {
			t.Errorf("%s: %d kinds of step", name, len(d.Kinds))
		}
		if s.Steps == nil && !strings.Contains(strings.Join(d.Notes, ""), "no step is marked in A") {
			t.Errorf("%s: %q", name, d.Notes)
		}
		checkSums(t, d)
		for _, k := range d.Kinds {
			for _, c := range append(k.Kernels, KernelChange{Change: k.Time}, KernelChange{Change: k.CPU}) {
				if c.Delta != 0 || c.Status != Kept && c.Status != "" {
					t.Errorf("%s: %+v", name, c)
				}
			}
		}
	}
}

// The parts of the steps are the tables' per-step figures by another way.
func TestThePartsOfStepsAreThoseOfTheSummary(t *testing.T) {
	for _, name := range recorded(t) {
		s := read(t, "testdata/"+name)
		of := map[string]map[StepKind]float64{}
		n := map[StepKind]float64{}
		for _, step := range s.detail.steps {
			kind := stepKinds[step.kind]
			n[kind]++
			for _, p := range step.parts {
				category := s.detail.items[p.item].category
				if of[category] == nil {
					of[category] = map[StepKind]float64{}
				}
				of[category][kind] += float64(p.took)
			}
		}
		for _, c := range s.Categories {
			for kind, per := range c.PerStep {
				if got := of[c.Name][kind] / n[kind]; math.Abs(got-float64(per)) > .5 {
					t.Errorf("%s: %s in a %s step: %v, the table has %v", name, c.Name, kind, got, per)
				}
			}
		}
	}
}

// recorded are the names of all traces in testdata.
func recorded(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json.gz")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d traces, %v", len(paths), err)
	}
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths
}
