package report

import (
	"bytes"
	"testing"
	"time"

	"lab/internal/lab"
)

// swept is a sweep of three cells and two repeats in which things went wrong.
func swept() (lab.Sweep, []SweptCell) {
	s := lab.Sweep{ID: "20261123-140512-k3f9", Made: made(), Name: "batch", File: "/files/batch.yaml", Results: "/files/results", Seed: 1, Repeats: 2}
	for _, c := range []string{"4", "16", "64"} {
		s.Cells = append(s.Cells, lab.Cell{Name: "concurrency=" + c, Result: "bench_mc" + c, Values: []lab.Setting{{Path: "load.concurrency", Value: c}}})
	}
	run := func(cell, repeat, ok int, outcome lab.Outcome, throughput, ttft float64) lab.Sealed {
		at := s.Place(cell, repeat)
		r := lab.Sealed{Run: lab.Run{ID: "20261123-14051" + string(rune('0'+cell)) + "-aaa" + string(rune('0'+repeat)), Sweep: &at, Outcome: outcome}}
		r.Summary.Definitions = 1
		r.Summary.Phases = []lab.Tally{{Phase: "soak"}, {Phase: "load", Judged: true, Offered: 100, OK: ok}}
		add := func(metric, unit string, v float64) {
			r.Summary.Figures = append(r.Summary.Figures, lab.Figure{Phase: "load", Metric: metric, Unit: unit, Value: v, N: ok})
		}
		add("output_throughput", "tok/s", throughput)
		add("ttft.mean", "s", ttft)
		if cell == 0 { // a figure that cannot be computed is absent
			add("tpot.mean", "s", .0117)
		}
		r.Summary.VLLM = &lab.FigureSet{Definition: "vllm-0.32", Figures: []lab.Figure{{Phase: "load", Metric: "mean_ttft_ms", Unit: "ms", Value: ttft * 500, N: ok}}}
		return r
	}
	invalid := run(1, 1, 90, lab.Complete, 6100, .2)
	invalid.Run.Findings = []lab.Finding{{Code: "errors", Level: lab.Invalid}}
	failed := run(1, 2, 0, lab.Failed, 0, 0)
	failed.Run.Failure = &lab.Failure{Class: lab.FailMemory, Reason: "no memory for the KV cache"}
	return s, []SweptCell{
		{s.Cells[0], []lab.Sealed{run(0, 1, 100, lab.Complete, 2811.5, .0479), run(0, 2, 100, lab.Complete, 2840.25, .0491)}},
		{s.Cells[1], []lab.Sealed{invalid, failed}},
		{s.Cells[2], nil},
	}
}

func TestASweepReadsLikeThis(t *testing.T) {
	s, cells := swept()
	kit := s
	kit.Kit = true
	for name, of := range map[string]lab.Sweep{"sweep": s, "sweep-kit": kit} {
		var text, document bytes.Buffer
		if err := Sweep(&text, of, cells, Options{Width: 100}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", text.Bytes())
		if err := SweepJSON(&document, of, cells); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", document.Bytes())
	}
}

func TestThePlanOfASweepReadsLikeThis(t *testing.T) {
	s, _ := swept()
	plan := SweepPlan{Starts: 1, Total: 17 * time.Minute, Basis: "from earlier runs of the same cells", Steps: []SweepStep{
		{Cell: "concurrency=4", Repeat: 1, Done: true, Result: "bench_mc4.json"},
		{Cell: "concurrency=16", Repeat: 1, Start: true, Took: 9 * time.Minute, Result: "bench_mc16.json"},
		{Cell: "concurrency=4", Repeat: 2, Took: 7 * time.Minute, Result: "bench_mc4_r2.json"},
		{Cell: "concurrency=64", Repeat: 1, Runs: true, Took: time.Minute, Result: "bench_mc64.json"},
	}}
	var text, document bytes.Buffer
	if err := SweepPlanText(&text, s, plan, Options{Width: 100}); err != nil {
		t.Fatal(err)
	}
	golden(t, "sweep-plan.txt", text.Bytes())
	if err := SweepPlanJSON(&document, s, plan); err != nil {
		t.Fatal(err)
	}
	golden(t, "sweep-plan.json", document.Bytes())
}
