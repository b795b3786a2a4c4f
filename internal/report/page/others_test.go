package page

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/store"
)

// said is what a page says, without its elements.
func said(page string) string {
	page = regexp.MustCompile(`(?s)<(script|style)[^>]*>.*?</(script|style)>`).ReplaceAllString(page, " ")
	page = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(page), " ")
}

func TestTheOtherPagesSayWhatIsKnownAndWhatIsNot(t *testing.T) {
	pages := others(t, "en")
	for name, wants := range map[string][]string{
		"sweep": {"10 of 12 cells measured", "1 with runs that must not be judged or are missing; 1 failed",
			"NOT told apart", "Output throughput against mean TTFT", "beaten by another cell",
			"memory: no memory for the KV cache", "ERROR &lt;KV cache&gt;", "INVALID client-lag: the client was the limit",
			"2 of 3 runs were not made", "lab sweep &#39;/home/用户/grid.yaml&#39; --repeats 3 --seed 7", "lab sweep --resume=20261130-120000-swep",
			"max_num_seqs=4 concurrency=8: 3 runs, 3 complete, 2 valid", `vllm serve &#39;千问/模型&#39;`},
		"baseline": {"Changed for good: -1", "driver 580.95 580.95-neu", "BETTER", "WORSE", "gate: fail", "调优 tuned",
			"lab baseline check before FILE", "replaced since", "All 15 runs of the history", "capture 20261130-150000-cap2"},
		"trace": {"98.4 %", "gemm", "volta_sgemm_64x64_nt", "launched too late", "from step to step"},
		"diff":  {"Indicative", "decode, per step, B", "not comparable", "unified_kv_cache_update", "lab profile diff old.json"},
	} {
		text := said(html(t, pages[name]()))
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%.4000s", name, want, text)
			}
		}
	}
}

// A capture that was broken off is not the baseline: the page is of the whole one before it, as lab baseline list has it.
func TestTheBaselineOnThePageIsTheLastWholeCapture(t *testing.T) {
	db, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	capture := func(id string, minutes, made, planned int, level float64) {
		var ids []string
		for i := range made {
			s := sealedOf(fmt.Sprintf("20261130-12%02d%02d-base", minutes, i), minutes, level+float64(i), .02, .01)
			if err := db.Import(s, nil, nil); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, s.Run.ID)
		}
		if err := db.Mark(ids, &lab.Capture{Name: "before", ID: id, Runs: planned}); err != nil {
			t.Fatal(err)
		}
	}
	page := func() string {
		captures, err := db.Baselines()
		if err != nil {
			t.Fatal(err)
		}
		d, err := LoadBaseline(db, captures[len(captures)-1], Asked{})
		if err != nil {
			t.Fatal(err)
		}
		return said(html(t, d))
	}
	says := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("lacks %q:\n%.3000s", want, text)
			}
		}
	}
	capture("20261130-120000-cap0", 0, 2, 3, 500)
	says(page(), "Broken off, output throughput", "20261130-120000-cap0 2026-11-30 12:00:00 UTC 2 3 broken off", "was broken off after 2 of 3 runs")
	capture("20261130-121000-cap1", 10, 3, 3, 1000)
	text := page()
	says(text, "Baseline, output throughput 1001 tok/s", "20261130-121000-cap1 2026-11-30 12:10:00 UTC 3 3 the baseline")
	if strings.Contains(text, "was broken off after") {
		t.Error("an older capture that was broken off is warned of")
	}
	capture("20261130-122000-cap2", 20, 1, 3, 2000)
	says(page(), "Baseline, output throughput 1001 tok/s", "20261130-121000-cap1 2026-11-30 12:10:00 UTC 3 3 the baseline", "20261130-122000-cap2 2026-11-30 12:20:00 UTC 1 3 broken off",
		"20261130-122000-cap2, was broken off after 1 of 3 runs", "This page is of the whole one before it, 20261130-121000-cap1")
	db.Announce("lab baseline set before").Say(lab.Status{Run: "20261130-122000-base"})
	for end := time.Now().Add(30 * time.Second); len(db.Announced()) == 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	text = page()
	says(text, "20261130-122000-cap2 2026-11-30 12:20:00 UTC 1 3 goes on", "20261130-122000-cap2, goes on: 1 of 3 runs are made", "This page is of the whole one before it")
	if strings.Contains(text, "lab baseline set before --resume") {
		t.Error("a capture that goes on is to be resumed")
	}
	capture("20261130-123000-cap3", 30, 3, 3, 3000)
	says(page(), "Baseline, output throughput 3001 tok/s", "20261130-121000-cap1 2026-11-30 12:10:00 UTC 3 3 replaced since")
}

func TestASweepOfWhichNothingCameIsAPageThatSaysSo(t *testing.T) {
	v := madeSweep("en")
	for i := range v.Cells {
		v.Cells[i].Runs = nil
	}
	text := said(html(t, Sweep(v)))
	for _, want := range []string{"0 of 12 cells measured", "12 not made", "3 of 3 runs were not made", "no data: no valid run"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%.3000s", want, text)
		}
	}
	if strings.Contains(text, "Ranking") {
		t.Error("nothing is ranked")
	}
}

// The keys of a sweep may be one, or more than a map has sides, or change together as in a file of the kit.
func TestAnyMatrixHasItsPictures(t *testing.T) {
	cell := func(throughput float64, settings ...string) report.SweptCell {
		c := lab.Cell{Name: strings.Join(settings, " ")}
		for i, value := range settings {
			c.Values = append(c.Values, lab.Setting{Path: []string{"load.a", "load.b", "server.b"}[i], Value: value})
		}
		return report.SweptCell{Cell: c, Runs: []lab.Sealed{sealedOf("20261130-120000-"+strings.Join(settings, "-"), 0, throughput, .02, .01)}}
	}
	for name, c := range map[string]struct {
		cells []report.SweptCell
		maps  bool
		note  bool
	}{
		"one key":       {[]report.SweptCell{cell(1, "x"), cell(2, "y")}, false, false},
		"two keys":      {[]report.SweptCell{cell(1, "x", "1"), cell(2, "y", "1"), cell(3, "x", "2"), cell(4, "y", "2")}, true, false},
		"together":      {[]report.SweptCell{cell(1, "x", "1", "k"), cell(2, "y", "2", "k"), cell(3, "x", "1", "l"), cell(4, "y", "2", "l")}, true, false},
		"three keys":    {[]report.SweptCell{cell(1, "x", "1", "k"), cell(2, "y", "1", "k"), cell(3, "x", "2", "k"), cell(4, "x", "1", "l")}, true, true},
		"nothing":       {[]report.SweptCell{cell(1, "x")}, false, false},
		"of some cells": {[]report.SweptCell{cell(1, "x"), cell(2, "y", "1"), cell(3, "x", "2")}, true, false},
	} {
		v := SweepView{Sweep: lab.Sweep{ID: "s", Repeats: 1}, Cells: c.cells}
		page := html(t, Sweep(v))
		if got := strings.Contains(page, "mean over the valid runs of a cell"); got != c.maps {
			t.Errorf("%s: has maps: %t", name, got)
		}
		if got := strings.Contains(page, "Along with these two vary"); got != (name == "together") {
			t.Errorf("%s: says that a key varies along: %t", name, got)
		}
		if !strings.Contains(page, "one run a cell: no noise known") != (len(c.cells) == 1) {
			t.Errorf("%s: what is said of the noise is wrong", name)
		}
		if got := strings.Contains(page, "Further keys vary too"); got != c.note {
			t.Errorf("%s: says that a place shows the best of several: %t", name, got)
		}
	}
}

func TestASweepWithLimitsSaysWhichCellsKeepThem(t *testing.T) {
	v := madeSweep("en")
	for i := range v.Cells {
		v.Sweep.Cells[i].Experiment.SLO = []lab.SLO{{Metric: "ttft", Limit: lab.Duration(500 * time.Millisecond)}}
		for k := range v.Cells[i].Runs {
			good := 1.0
			if strings.HasSuffix(v.Cells[i].Cell.Name, "concurrency=32") { // the fastest does not
				good = .5
			}
			s := &v.Cells[i].Runs[k].Summary
			s.Figures = append(s.Figures, lab.Figure{Phase: "load", Metric: "goodput", Unit: "share", Value: good, N: 100})
		}
	}
	text := said(html(t, Sweep(v)))
	for _, want := range []string{"Highest with a goodput of 99 % and more 1600 tok/s max_num_seqs=16 concurrency=128", "limits TTFT ≤ 500ms", "Goodput (%)", "goodput %"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%.2500s", want, text)
		}
	}
}
