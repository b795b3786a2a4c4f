package compare

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
	"lab/internal/metric"
)

func TestTheSameRunsInAnyOrderGiveTheSameVerdict(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	want := Judge(plan, runs)
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		random.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
		got := Judge(plan, runs)
		got.Runs = want.Runs // listed as they came
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
}

// relabel gives every figure of the runs another name and unit.
func relabel(plan *lab.Plan, runs []lab.Sealed, name string) {
	m, _ := metric.Find(name)
	plan.Primary = name
	for i := range runs {
		runs[i].Summary.Figures[0].Metric, runs[i].Summary.Figures[0].Unit = m.Name, m.Unit
	}
}

func TestSharesAreComparedInPercentagePoints(t *testing.T) {
	plan, runs := experiment("ABBAABBA", []float64{.970, .910, .912, .968, .972, .908, .911, .969})
	relabel(&plan, runs, "goodput")
	v := Judge(plan, runs)
	near(t, "A", v.Primary.A, .96975, 1e-12)
	near(t, "delta", v.Primary.Delta, .91025-.96975, 1e-12)
	if v.Call != lab.Worse || v.Qualifier != "by at least 3 percentage points" || !v.Primary.Absolute || v.MDE == nil {
		t.Errorf("call %s %q, row %+v", v.Call, v.Qualifier, v.Primary)
	}
}

func TestMoreThroughputIsBetterAndMoreLatencyIsWorse(t *testing.T) {
	for name, want := range map[string]lab.Call{"output_throughput": lab.Better, "tpot.mean": lab.Worse} {
		plan, runs := experiment("ABBAABBA", example)
		relabel(&plan, runs, name)
		if v := Judge(plan, runs); v.Call != want {
			t.Errorf("%s: %s, want %s", name, v.Call, want)
		}
	}
}

func TestAMetricThatIsNeitherGoodNorBadCannotDecide(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	relabel(&plan, runs, "power.mean")
	if v := Judge(plan, runs); v.Call != lab.Inconclusive || v.Primary.Reason == "" || v.Primary.Low == nil {
		t.Errorf("call %q, row %+v", v.Call, v.Primary)
	}
}

func TestAPlanCutShortIsInconclusiveNotInvalid(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	runs = runs[:3]
	runs[2].Run.Outcome = lab.Interrupted
	if v := Judge(plan, runs); v.Call != lab.Inconclusive || v.Primary.Reason == "" {
		t.Errorf("call %s, reason %q", v.Call, v.Primary.Reason)
	}
	if v := Judge(plan, nil); v.Call != lab.Inconclusive || len(v.Rows) != 0 {
		t.Errorf("no runs: call %s", v.Call)
	}
}

func TestAFigureThatOneRunLacksIsNotCompared(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	runs[5].Summary.Figures = nil
	v := Judge(plan, runs)
	if v.Call != lab.InvalidCall || v.Primary.N != 0 || v.Primary.Low != nil {
		t.Errorf("call %s, row %+v", v.Call, v.Primary)
	}
}

func TestNoFigureOfAVerdictIsInfiniteOrNotANumber(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		pairs := 1 + random.IntN(4)
		order := Order(pairs, random.Uint64())
		values := make([]float64, len(order))
		for i := range values {
			values[i] = []float64{0, 1, 1, 1e-12, 1e12, random.Float64()}[random.IntN(6)]
		}
		plan, runs := experiment(order, values)
		if random.IntN(2) == 0 {
			relabel(&plan, runs, "error_share")
		}
		v := Judge(plan, runs)
		for _, f := range []*float64{&v.Primary.A, &v.Primary.B, &v.Primary.Delta, v.Primary.Low, v.Primary.High, v.Primary.P, v.Primary.CV, v.Primary.Drift, v.MDE} {
			if f != nil && (math.IsNaN(*f) || math.IsInf(*f, 0)) {
				t.Fatalf("values %v of order %s: %+v", values, order, v.Primary)
			}
		}
	}
}

func TestWhatTheServersSettledOnIsToldWhereItDiffersBetweenTheArmsOnly(t *testing.T) {
	plan, runs := experiment("ABBA", []float64{1, 2, 2, 1})
	plan.A.Server.Model, plan.B.Server.Model = "m", "m"
	seqs := 8
	plan.B.Server.MaxNumSeqs = &seqs
	for i, resolved := range []map[string]string{
		{"args.max_num_seqs": "", "port": "4001", "num_gpu_blocks": "1200", "dtype": "bf16", "zmq": "/tmp/x1", "only_a": "1", "shaky": "5"},
		{"args.max_num_seqs": "8", "port": "4000", "num_gpu_blocks": "2402", "dtype": "fp8", "zmq": "/tmp/x2", "shaky": "4"},
		{"args.max_num_seqs": "8", "port": "4003", "num_gpu_blocks": "2400", "dtype": "fp8", "zmq": "/tmp/x3", "shaky": "6"},
		{"port": "4002", "num_gpu_blocks": "1204", "dtype": "bf16", "zmq": "/tmp/x4", "only_a": "1", "shaky": "5"},
	} {
		runs[i].Run.Server.Resolved = resolved
	}
	want := []lab.Difference{
		{Path: "server.max_num_seqs", B: "8"},
		{Path: "resolved.dtype", A: "bf16", B: "fp8"},
		{Path: "resolved.num_gpu_blocks", A: "1200 to 1204", B: "2400 to 2402"},
		{Path: "resolved.only_a", A: "1"},
	}
	if d := cmp.Diff(want, Judge(plan, runs).Different); d != "" {
		t.Error(d)
	}
}

func TestOfAnArmThatHasNotRunYetNothingIsSaid(t *testing.T) {
	plan, runs := experiment("ABBA", []float64{1, 2, 2, 1})
	plan.B.Server.Model = "m"
	runs[0].Run.Server.Resolved = map[string]string{"dtype": "bf16"}
	if d := cmp.Diff([]lab.Difference{{Path: "server.model", B: "m"}}, Judge(plan, runs[:1]).Different); d != "" {
		t.Error(d)
	}
}

func TestAVerdictWithoutFiguresHasNone(t *testing.T) {
	plan, _ := experiment("ABBA", nil)
	text, err := json.Marshal(Judge(plan, nil).Primary)
	if err != nil || strings.Contains(string(text), `"a":`) || strings.Contains(string(text), `"delta":`) || !strings.Contains(string(text), `"metric":"tpot.mean"`) {
		t.Errorf("%s, %v", text, err)
	}
	_, runs := experiment("ABBA", []float64{1, 2, 2, 1})
	if text, err = json.Marshal(Judge(plan, runs).Primary); err != nil || !strings.Contains(string(text), `"a":1,`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestTwoSingleRunsGetDifferencesAndNoCall(t *testing.T) {
	ours := lab.Summary{Definitions: 1, Phases: []lab.Tally{{Phase: "steady"}}, Figures: []lab.Figure{
		{Phase: "steady", Metric: "ttft.mean", Value: .05, Unit: "s"}, {Phase: "steady", Metric: "tpot.mean", Value: .010, Unit: "s"},
		{Phase: "steady", Metric: "goodput", Value: .9, Unit: "share"}, {Phase: "steady", Metric: "preemptions", Unit: "count"},
	}}
	kit := lab.Summary{Phases: []lab.Tally{{Phase: "load"}}, Figures: []lab.Figure{
		{Phase: "load", Metric: "ttft.mean", Value: .06, Unit: "s"}, {Phase: "load", Metric: "tpot.mean", Value: .011, Unit: "s"},
		{Phase: "load", Metric: "goodput", Value: .95, Unit: "share"},
	}}
	rows := Pair(Named{"a", ours}, Named{"b", kit})
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3: %+v", len(rows), rows)
	}
	near(t, "ttft", rows[0].Delta, .2, 1e-12)
	near(t, "tpot", rows[1].Delta, .1, 1e-12)
	near(t, "goodput", rows[2].Delta, .05, 1e-12)
	for _, r := range rows {
		if r.Call != "" || r.Low != nil || r.P != nil || r.Reason == "" {
			t.Errorf("row %+v", r)
		}
	}
	if rows[0].Reason == rows[1].Reason {
		t.Error("that TTFT is measured from different moments is not told")
	}
	now := ours
	now.Definitions = 2
	for _, r := range Pair(Named{"a", ours}, Named{"b", now}) {
		if told := strings.Contains(r.Reason, "definitions 1 in A and 2 in B"); told != (r.Unit == "s") {
			t.Errorf("%s: %q", r.Metric, r.Reason)
		}
	}
}
