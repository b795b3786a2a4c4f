package kit

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
	"lab/internal/metric"
)

func read(t *testing.T, name string) Result {
	t.Helper()
	r, err := Read(filepath.Join("testdata", "vllm-0.32", name))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// values are the figures of a result by metric, with a unit that the catalogue agrees to.
func values(t *testing.T, r Result) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for _, f := range r.Summary.Figures {
		m, known := metric.Find(f.Metric)
		if !known || m.Unit != f.Unit || f.Phase != r.Summary.Phases[0].Phase {
			t.Errorf("figure %+v, catalogue %+v", f, m)
		}
		all[f.Metric] = f.Value
	}
	return all
}

func TestAResultOfTheKitIsReadInSecondsAndShares(t *testing.T) {
	r := read(t, "goodput.json")
	want := map[string]float64{
		"ttft.mean": .2681564493999758, "ttft.p50": .1131520644999, "ttft.p90": 1.1151388124001187, "ttft.p95": 1.1159025269999916, "ttft.p99": 1.1159847133998687,
		"tpot.mean": .0047713316766657945, "tpot.p50": .004876992000004066, "tpot.p90": .009644169646668766, "tpot.p95": .00983929673333857, "tpot.p99": .012796840786670293,
		"itl.mean": .004771331676665795, "itl.p50": .000009999000099014665, "itl.p90": .011900769000021683, "itl.p95": .016578318149981897, "itl.p99": .02533629676002639,
		"e2el.mean": .33972642454996276, "e2el.p50": .2276905109999916, "e2el.p90": 1.1152763866000896, "e2el.p95": 1.115969287699977, "e2el.p99": 1.1160527919399146,
		"output_throughput": 80.65735571494369, "total_throughput": 407.31964636046564, "request_throughput": 5.041084732183981,
		"goodput": 14.0 / 20, "error_share": 0,
	}
	close := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-12*math.Max(1, math.Abs(b)) })
	if d := cmp.Diff(want, values(t, r), close); d != "" {
		t.Error(d)
	}
	tally := lab.Tally{Phase: "load", Judged: true, Open: true, Offered: 20, OK: 20, Input: 1296, Output: 320}
	if d := cmp.Diff(tally, r.Summary.Phases[0]); d != "" {
		t.Error(d)
	}
	if r.Name != "goodput.json (tiny, 10 requests/s)" || r.Source != "vllm" || r.Summary.Definitions != 0 {
		t.Errorf("name %q, source %q, definitions %d", r.Name, r.Source, r.Summary.Definitions)
	}
	if when := time.Date(2026, 11, 25, 3, 53, 48, 0, time.Local); !r.When.Equal(when) {
		t.Errorf("when %v, want %v", r.When, when)
	}
}

func TestAClosedLoopIsTold(t *testing.T) {
	r := read(t, "closed-4.json")
	if r.Name != "closed-4.json (tiny, all requests at once, at most 4 in flight)" || r.Summary.Phases[0].Open {
		t.Errorf("name %q, tally %+v", r.Name, r.Summary.Phases[0])
	}
	if _, ok := values(t, r)["goodput"]; ok {
		t.Error("goodput where none was asked for")
	}
}

func TestOfAppendedResultsTheLastCounts(t *testing.T) {
	if v := values(t, read(t, "append.json")); v["output_throughput"] != 115.10941009141045 {
		t.Errorf("output throughput %g", v["output_throughput"])
	}
}

func TestZeroesOfARunWithoutSuccessAreNoFigures(t *testing.T) {
	r := read(t, "all-failed.json")
	if d := cmp.Diff(map[string]float64{"error_share": 1}, values(t, r)); d != "" {
		t.Error(d)
	}
	if n := r.Summary.Phases[0].Offered; n != 20 {
		t.Errorf("%d offered", n)
	}
}

func TestOlderFormsAreReadToo(t *testing.T) {
	r, err := parse([]byte(`{"date": "20250709-101112", "backend": "vllm", "model_id": "say \"NaN, Infinity\"", "num_prompts": 10,
		"request_rate": Infinity, "duration": 2.0, "completed": 8, "total_output_tokens": 80, "output_throughput": 40.0,
		"request_goodput:": 2.5, "mean_ttft_ms": 12.5, "p99_ttft_ms": NaN, "mean_tpot_ms": -Infinity, "mean_itl_ms": 0.0}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"ttft.mean": .0125, "output_throughput": 40, "goodput": .5, "error_share": .2}
	if d := cmp.Diff(want, values(t, r)); d != "" {
		t.Error(d)
	}
	if r.Name != `say "NaN, Infinity"` {
		t.Errorf("name %q", r.Name)
	}
}

func TestARunDocumentOfLabIsReadBackWhole(t *testing.T) {
	s := lab.Sealed{
		Run:     lab.Run{ID: "20261123-140512-k3f9", Experiment: lab.Experiment{Name: "seqs 8"}, Epoch: lab.Epoch{Wall: time.Date(2026, 11, 23, 14, 5, 12, 0, time.UTC)}},
		Summary: lab.Summary{Definitions: 1, Figures: []lab.Figure{{Phase: "load", Metric: "tpot.mean", Value: .01, Unit: "s", N: 7}}},
	}
	text, err := json.Marshal(struct {
		Schema string `json:"schema"`
		lab.Sealed
	}{"lab.run/v1", s})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Read(name)
	if err != nil {
		t.Fatal(err)
	}
	want := Result{Name: "run.json (seqs 8)", Source: "lab", Summary: s.Summary, When: s.Run.Epoch.Wall}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAFileThatIsNoResultIsRefusedByNameAndReason(t *testing.T) {
	for text, reason := range map[string]string{
		"":                             "empty",
		"server: {model: x}":           "no JSON",
		`{"completed": 3`:              "no JSON",
		`[{"completed": 3}]`:           "no JSON object",
		`{"a": 1}`:                     `"completed" is missing`,
		`{"schema": "lab.verdict/v1"}`: `"lab.verdict/v1", not a run`,
		`{"schema": "lab.run/v1"}`:     "without a run",
		`{"schema": "lab.run/v1", "run": {"id": 3}}`: "decode run document",
	} {
		name := filepath.Join(t.TempDir(), "odd.json")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Read(name)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want the file's name and %q", text, err, reason)
		}
	}
	if _, err := Read("nosuch.json"); err == nil || !strings.Contains(err.Error(), "nosuch.json") {
		t.Errorf("no such file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/vllm-0.32/*.json")
	if err != nil || len(names) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"completed": NaN, "request_goodput:": -Infinity}`))
	f.Add([]byte(`{"schema":"lab.run/v1","run":{"id":"x"},"summary":{"figures":[{"value":1e308}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parse(text)
		if err != nil {
			return
		}
		if r.Source != "vllm" && r.Source != "lab" {
			t.Errorf("source %q", r.Source)
		}
		for _, figure := range r.Summary.Figures {
			if math.IsNaN(figure.Value) || math.IsInf(figure.Value, 0) {
				t.Errorf("figure %+v", figure)
			}
		}
		if json.Valid(text) && !bytes.Equal(plainNumbers(text), text) {
			t.Error("JSON that was plain already was changed")
		}
	})
}
