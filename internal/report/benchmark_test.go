package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/perf/benchfmt"

	"lab/internal/lab"
)

func benchmarkRun(id, arm string, seqs int, tpot float64) lab.Sealed {
	e := lab.Experiment{Name: "seqs " + arm, Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Rate: 10, Concurrency: 4,
		Dataset: lab.Dataset{Kind: "random", InputTokens: 256, OutputTokens: 128}}}}}
	e.Server.Model, e.Server.MaxNumSeqs = "Qwen/Qwen3-8B", &seqs
	return lab.Sealed{
		Run: lab.Run{ID: id, Arm: arm, Experiment: e, Outcome: lab.Complete, Epoch: lab.Epoch{Wall: time.Date(2026, 11, 23, 14, 5, 12, 0, time.UTC)},
			Server: lab.ServerFacts{Version: "0.32.0"}, Host: lab.Host{GPUs: []lab.Device{{Name: "NVIDIA H100 80GB HBM3"}}, Driver: "580.95"}},
		Summary: lab.Summary{Definitions: 1, Phases: []lab.Tally{{Phase: "load", Judged: true, OK: 100, Offered: 100}}, Figures: []lab.Figure{
			{Phase: "load", Metric: "tpot.mean", Value: tpot, Unit: "s", N: 100},
			{Phase: "load", Metric: "output_throughput", Value: 648.8, Unit: "tok/s", N: 100},
			{Phase: "load", Metric: "gpu_mem.max", Value: 1 << 34, Unit: "bytes", N: 9},
			{Phase: "", Metric: "startup", Value: 31, Unit: "s", N: 1},
		}},
	}
}

// readBenchmarks reads an export with the reader that benchstat uses.
func readBenchmarks(t *testing.T, runs ...lab.Sealed) (results []*benchfmt.Result, units benchfmt.UnitMetadataMap) {
	t.Helper()
	var out bytes.Buffer
	if err := Benchmarks(&out, runs); err != nil {
		t.Fatal(err)
	}
	r := benchfmt.NewReader(&out, "export")
	for r.Scan() {
		switch record := r.Result().(type) {
		case *benchfmt.Result:
			results = append(results, record.Clone())
		case *benchfmt.SyntaxError:
			t.Error(record)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return results, r.Units()
}

func TestBenchstatReadsTheRunsOfBothArms(t *testing.T) {
	results, units := readBenchmarks(t, benchmarkRun("1", "A", 4, 0.02), benchmarkRun("2", "B", 8, 0.01), benchmarkRun("3", "B", 8, 0.0101))
	if len(results) != 3 {
		t.Fatalf("%d results", len(results))
	}
	const load = "/rate=10/conc=4/data=random/isl=256/osl=128"
	for i, want := range []string{"Serve/arm=A" + load, "Serve/arm=B" + load, "Serve/arm=B" + load} {
		if got := results[i].Name.String(); got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
	got := map[string]float64{}
	for _, v := range results[2].Values {
		got[v.Unit] = v.Value
	}
	if d := cmp.Diff(map[string]float64{"tpot-mean-sec": 0.0101, "output-tok/s": 648.8, "gpu-mem-max-B": 1 << 34}, got); d != "" {
		t.Error(d)
	}
	if u := units.Get("output-tok/s", "better"); u == nil || u.Value != "higher" {
		t.Errorf("output: %+v", u)
	}
	if u := units.Get("tpot-mean-sec", "better"); u == nil || u.Value != "lower" {
		t.Errorf("TPOT: %+v", u)
	}
	if u := units.Get("gpu-mem-max-B", "better"); u != nil {
		t.Errorf("GPU memory is neither better high nor low: %+v", u)
	}
	for key, want := range map[string]string{"model": "Qwen/Qwen3-8B", "engine": "vllm-0.32.0", "gpu": "NVIDIA-H100-80GB-HBM3", "driver": "580.95"} {
		if got := results[0].GetConfig(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestARunThatMustNotBeJudgedIsNoSampleForBenchstat(t *testing.T) {
	spoilt := benchmarkRun("2", "B", 8, 0.5)
	spoilt.Run.Findings = []lab.Finding{{Code: "client-lag", Level: lab.Invalid}}
	runs := []lab.Sealed{benchmarkRun("1", "A", 4, 0.02), spoilt, benchmarkRun("3", "B", 8, 0.01)}
	for i := range runs {
		runs[i].Run.Plan = &lab.Plan{ID: "20261123-140512-k3f9"}
	}
	if results, _ := readBenchmarks(t, runs...); len(results) != 2 || results[1].Values[0].Value != 0.01 {
		t.Errorf("%d results", len(results))
	}
	var out bytes.Buffer
	if err := Benchmarks(&out, runs); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n# must not be judged: client-lag\n# BenchmarkServe/arm=B/", "\n# benchstat does not know ", "lab compare 20261123-140512-k3f9 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the export lacks %q:\n%s", want, out.String())
		}
	}
}

func TestFilesOfOneArmEachNameTheSameBenchmark(t *testing.T) {
	a, _ := readBenchmarks(t, benchmarkRun("1", "A", 4, 0.02))
	b, _ := readBenchmarks(t, benchmarkRun("2", "B", 8, 0.01))
	if a[0].Name.String() != b[0].Name.String() {
		t.Errorf("%s and %s", a[0].Name, b[0].Name)
	}
	other := benchmarkRun("3", "B", 8, 0.01)
	other.Run.Experiment.Server.Model = "else"
	if both, _ := readBenchmarks(t, benchmarkRun("1", "A", 4, 0.02), other); both[0].GetConfig("model") != "" {
		t.Error("a value that differs between runs stands in front: benchstat would make two tables of it")
	}
}
