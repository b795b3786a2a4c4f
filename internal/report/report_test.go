package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("JST", 9*3600) // what is printed must not depend on it
	flag.Parse()
	os.Exit(m.Run())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-update writes it anew):\n%s", name, d)
	}
}

func is[T any](v T) *T { return &v }

func made() time.Time { return time.Date(2026, 11, 23, 14, 5, 12, 0, time.UTC) }

func arm(name string, seqs int) lab.Experiment {
	return lab.Experiment{
		Name: name, Margin: .03,
		Server: lab.Server{Model: "Qwen3-8B", MaxNumSeqs: &seqs},
		Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Rate: 22, Requests: 1000, API: "completions", Dataset: lab.Dataset{Kind: "random", InputTokens: 512, OutputTokens: 128}}}},
	}
}

func row(name, unit string, a, b, delta, low, high float64, call lab.Call) lab.Row {
	return lab.Row{Phase: "load", Metric: name, Unit: unit, A: a, B: b, Delta: delta, Low: &low, High: &high, P: is(.2), Level: .95, N: 4, Call: call}
}

// verdict is one of a standard plan: B's tokens take 3.8 % less time.
func verdict() lab.Verdict {
	primary := row("tpot.mean", "s", .01184, .01139, -.038, -.055, -.021, lab.Better)
	primary.P, primary.CV, primary.Drift = is(.00002), is(.011), is(.004)
	goodput := row("goodput", "share", .971, .979, .008, -.002, .018, lab.Inconclusive)
	goodput.Absolute, goodput.Higher = true, true
	errs := lab.Row{Phase: "load", Metric: "error_share", Unit: "share", Absolute: true, Level: .95, N: 4, Call: lab.NoDifference, Reason: "the same in every run"}
	notComparable := row("ttft.p99", "s", .101, .131, .297, .12, .5, "")
	notComparable.Reason = "a run has 14 independent requests beyond its p99, and below 30 it is not comparable"
	starred := row("e2el.mean", "s", 1.52, 1.46, -.039, -.05, -.02, lab.Better)
	starred.Flagged = true
	util := row("gpu_util.mean", "%", 97.5, 96.1, -1.4, -3.1, .3, "")
	util.Absolute = true
	startup := row("startup", "s", 95.2, 96.3, .0116, -.01, .03, lab.NoDifference)
	startup.Phase = ""
	v := lab.Verdict{
		Plan: lab.Plan{ID: "20261123-140512-k3f9", Made: made(), Name: "standard", Pairs: 4, Order: "BAABBAAB", Seed: 41, Phase: "load",
			Primary: "tpot.mean", Margin: .03, Alpha: .05, Fresh: true, A: arm("seqs-64", 64), B: arm("seqs-256", 256)},
		Hash: "7f3c0a1b2c3d4e5f", Call: lab.Better, Qualifier: "size uncertain", Primary: primary, MDE: is(.031), Look: lab.Look{Number: 1, Of: 1, Pairs: 4, Final: true},
		Guardrails:  []lab.Row{row("ttft.p95", "s", .07, .0687, -.019, -.07, .035, lab.Inconclusive), goodput, errs},
		Sensitivity: &lab.Sensitivity{Paired: is(.0011), Welch: is(.0006), LeaveOneOut: is(.003)},
		Rows: []lab.Row{
			row("ttft.mean", "s", .0479, .0482, .006, -.011, .024, lab.NoDifference), notComparable, starred, row("output_throughput", "tok/s", 2811.5, 2813.25, .0006, -.002, .004, lab.NoDifference),
			row("energy_per_token", "J/tok", .1012, .0973, -.039, -.06, -.017, lab.Better), util,
			row("gpu_mem.max", "bytes", 72<<30, 72<<30, 0, -.001, .001, ""), row("lag.p99", "s", .000024, .000031, .29, -.65, 12.5, ""), startup,
		},
		Different: []lab.Difference{{Path: "server.max_num_seqs", A: "64", B: "256"}, {Path: "resolved.num_gpu_blocks", A: "27001 to 27004", B: "26112"}},
	}
	hits := row("prefix_hit_share", "share", .002, .001, -.001, -.003, .001, "")
	hits.Absolute = true
	v.Rows = append(v.Rows, hits)
	v.Scope = &lab.Scope{Box: "gpubox-3", GPUs: []string{"NVIDIA H100 80GB HBM3 GPU-5e0f3b4c-9a1d-4c2b-8f7e-0123456789ab"}, Locked: true, A: "vllm 0.32.0", B: "vllm 0.32.0", Model: "Qwen/Qwen3-8B"}
	for i, a := range v.Plan.Order {
		v.Runs = append(v.Runs, lab.RunRef{ID: "20261123-14" + string(rune('1'+i)) + "012-abcd", Arm: string(a), Block: i/2 + 1, Valid: true, Judged: true})
	}
	return v
}

func TestTheVerdictReadsLikeThis(t *testing.T) {
	inconclusive := verdict()
	inconclusive.Call, inconclusive.Qualifier, inconclusive.Primary.Call, inconclusive.PairsNeeded = lab.Inconclusive, "", lab.Inconclusive, 9
	inconclusive.Primary.Low, inconclusive.Primary.High, inconclusive.Primary.P = is(-.081), is(.007), is(.09)
	inconclusive.Rows, inconclusive.Different, inconclusive.Guardrails, inconclusive.Fragile = nil, nil, nil, true
	inconclusive.Plan.Looks, inconclusive.Plan.Pairs, inconclusive.Look = []int{4, 6, 8}, 8, lab.Look{Number: 3, Of: 3, Pairs: 8, Final: true}

	tradeOff := verdict()
	tradeOff.Call, tradeOff.Rows, tradeOff.Guardrails[0].Call = lab.TradeOff, nil, lab.Worse
	tradeOff.Guardrails[0].Delta, tradeOff.Guardrails[0].Low, tradeOff.Guardrails[0].High = .12, is(.05), is(.19)

	same := verdict()
	same.Call, same.Qualifier = lab.NoDifference, ""
	same.Primary.Delta, same.Primary.Low, same.Primary.High, same.Primary.P = .004, is(-.01), is(.018), is(.55)
	same.Rows = nil

	invalid := verdict()
	invalid.Call, invalid.Qualifier, invalid.Rows, invalid.MDE = lab.InvalidCall, "", nil, nil
	invalid.Primary = lab.Row{Phase: "load", Metric: "tpot.mean", Unit: "s", Level: .95, Call: lab.InvalidCall, Reason: "only one pair of valid runs: it shows no noise"}
	for i := range invalid.Runs[:6] {
		invalid.Runs[i].Valid, invalid.Runs[i].Why = false, "client-lag: phase load: the client was the limit: it sent up to 41.0 ms late (p99; at most 5.0 ms may be)"
	}

	historical := verdict()
	historical.Call, historical.Qualifier, historical.Plan.Fresh, historical.Rows = lab.Historical, "", false, nil
	historical.Warnings = []lab.Finding{{Code: "not-fresh", Level: lab.Warning, Detail: "all runs used one server that already ran: they share its state, so this is no verdict"}}

	past := verdict() // against the stored runs of a baseline
	past.Call, past.Qualifier, past.Primary.Call, past.Plan.Order, past.Plan.Baseline, past.Rows = lab.Historical, "", lab.Historical, "", "before", nil
	past.Primary.N, past.Primary.CV, past.Primary.Drift, past.MDE, past.Sensitivity, past.Guardrails = 3, nil, nil, nil, nil, nil
	past.Runs = past.Runs[:7]

	shares := verdict()
	shares.Plan.Primary, shares.Rows = "goodput", nil
	shares.Primary = verdict().Guardrails[1]
	shares.Primary.CV, shares.Primary.Drift, shares.MDE = is(.006), is(-.001), is(.016)
	shares.Call, shares.Primary.Call, shares.Qualifier = lab.NoDifference, lab.NoDifference, ""

	for name, v := range map[string]lab.Verdict{"better": verdict(), "inconclusive": inconclusive, "same": same, "invalid": invalid, "historical": historical, "stored": past, "shares": shares, "trade-off": tradeOff} {
		var out bytes.Buffer
		if err := Verdict(&out, v, between(), Options{Width: 80}); err != nil {
			t.Fatal(err)
		}
		golden(t, "verdict-"+name+".txt", out.Bytes())
	}
}

// Whoever copies one line out of the answer must carry along what it holds for.
func TestADifferenceIsNeverToldWithoutIntervalLoadAndNumberOfRuns(t *testing.T) {
	for _, call := range []lab.Call{lab.Better, lab.Worse, lab.TradeOff, lab.NoDifference, lab.Inconclusive, lab.Historical} {
		v := verdict()
		v.Call = call
		text := sentence(v)
		for _, part := range []string{"3.8 %", "95 % interval -5.5 % to -2.1 %", "22 requests/s", "n = 4 runs"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %q says nothing of %s", call, text, part)
			}
		}
	}
}

func TestAVerdictThatCouldNotBeReachedIsPrintedToo(t *testing.T) {
	for _, call := range []lab.Call{lab.InvalidCall, lab.Inconclusive, lab.Historical} {
		var out bytes.Buffer
		if err := Verdict(&out, lab.Verdict{Call: call}, nil, Options{}); err != nil || out.Len() == 0 {
			t.Errorf("%s: %v, %d bytes", call, err, out.Len())
		}
	}
}

func sealed() lab.Sealed {
	e := arm("seqs-64", 64)
	return lab.Sealed{
		Run: lab.Run{
			ID: "20261123-141012-abcd", Arm: "A", Block: 2, Slot: 3, Plan: is(verdict().Plan), Experiment: e, Key: e.Key(), Outcome: lab.Complete, Ended: 312 * time.Second,
			Epoch: lab.Epoch{Wall: made(), Monotonic: 1}, Lab: "0.1.0",
			Host: lab.Host{Name: "gpu-box-3", CPU: "AMD EPYC 9354", Cores: 64, Memory: 512 << 30, Driver: "580.95",
				GPUs: []lab.Device{{Name: "NVIDIA H100 80GB HBM3", Memory: 80 << 30, UUID: "GPU-5f1e"}}},
			Server: lab.ServerFacts{Version: "0.32.0", Inert: []string{"swap_space: this engine has no swap, so it does nothing"},
				Stages: []lab.Stage{{Name: "import", At: time.Second, Took: 20 * time.Second}, {Name: "weights", At: 21 * time.Second, Took: 40 * time.Second}, {Name: "canary", At: 61 * time.Second, Took: 2 * time.Second}},
				GPUs:   []lab.GPUUse{{UUID: "GPU-5f1e", Before: is(lab.Bytes(600 << 20)), Loaded: is(lab.Bytes(72 << 30)), Stopped: is(lab.Bytes(610 << 20)), Server: is(lab.Bytes(71 << 30)), Method: lab.ByPID}},
				Stop:   &lab.Stop{Took: time.Second, Leftovers: []string{"process 4121 was killed"}}},
			Findings: []lab.Finding{{Code: "client-lag", Level: lab.Invalid, Detail: "phase load: the client was the limit: it sent up to 41.0 ms late (p99; at most 5.0 ms may be)"},
				{Code: "power-capped", Level: lab.Note, Detail: "a GPU ran at its power limit for 18.6 s by its counter"}},
		},
		Summary: lab.Summary{Definitions: 1,
			Phases: []lab.Tally{{Phase: "load", Judged: true, Open: true, Start: 70 * time.Second, End: 118 * time.Second, Offered: 1000, OK: 998, Input: 510976, Output: 127744}},
			Figures: []lab.Figure{
				{Phase: "load", Metric: "ttft.mean", Value: .0479, Unit: "s", N: 998}, {Phase: "load", Metric: "ttft.p50", Value: .0464, Unit: "s", N: 998},
				{Phase: "load", Metric: "ttft.p90", Value: .0698, Unit: "s", N: 998}, {Phase: "load", Metric: "ttft.p95", Value: .0843, Unit: "s", N: 998}, {Phase: "load", Metric: "ttft.p99", Value: .1012, Unit: "s", N: 998},
				{Phase: "load", Metric: "output_throughput", Value: 2661.3, Unit: "tok/s", N: 998}, {Phase: "load", Metric: "error_share", Value: .002, Unit: "share", N: 1000},
				{Phase: "load", Metric: "gpu_mem.max", Value: 71.8 * (1 << 30), Unit: "bytes", N: 960}, {Phase: "load", Metric: "lag.p99", Value: .000041, Unit: "s", N: 1000},
				{Phase: "load", Metric: "read_lag.mean", Value: .0000312, Unit: "s", N: 127744}, {Phase: "load", Metric: "read_lag.p50", Value: .0000211, Unit: "s", N: 127744},
				{Phase: "load", Metric: "read_lag.p99", Value: .00041, Unit: "s", N: 127744}, {Phase: "load", Metric: "read_lag.max", Value: .0021, Unit: "s", N: 127744},
				{Phase: "load", Metric: "connect.p99", Value: .00009, Unit: "s", N: 12}, {Phase: "load", Metric: "client_cpu", Value: .41, Unit: "cores", N: 49},
				{Phase: "load", Metric: "client_rss.max", Value: 78 << 20, Unit: "bytes", N: 49}, {Phase: "load", Metric: "unread.max", Value: 1711, Unit: "bytes", N: 49},
				{Phase: "", Metric: "startup", Value: 62.9, Unit: "s", N: 1},
			}},
	}
}

// gate is the verdict with a rule that holds, one that does not, and one that nobody can tell.
func gate() Gate {
	return Gate{Verdict: verdict(), Rulings: []compare.Ruling{
		{Rule: "tpot.mean > +3%", Outcome: compare.Passed, Limit: .03, Seen: is(-.038), Low: is(-.051), High: is(-.024), Level: .95, Why: "a harm as large as the limit can be ruled out"},
		{Rule: "ttft.p95 > 60ms", Outcome: compare.Broken, Unit: "s", Limit: .06, Seen: is(.0687), Low: is(.0672), High: is(.0702), Level: .95, Why: "there is a harm for certain"},
		{Rule: "goodput < -1 pp", Outcome: compare.Broken, Unit: "share", Absolute: true, Limit: -.01, Seen: is(-.013), Low: is(-.016), High: is(-.009996), Level: .95, Why: "there is a harm for certain"},
		{Rule: "e2el.p95 > 2s", Outcome: compare.Undecided, Unit: "s", Limit: 2, Level: .95, Why: "too few runs, or too much noise, for bounds"},
	}}
}

func entries() []store.Entry {
	headline := sealed().Summary.Figures
	return []store.Entry{
		{ID: "20261123-140000-0aaa", Name: "seqs-64", Arm: "A", PlanID: "20261123-140512-k3f9", Outcome: lab.Complete, Valid: true, Started: made(), Took: 90 * time.Second},
		{ID: "20261123-141012-abcd", Name: "seqs-64", Arm: "A", PlanID: "20261123-140512-k3f9", Block: 2, Outcome: lab.Complete, Started: made(), Took: 312 * time.Second, Headline: headline},
		{ID: "20261123-150000-0bbb", Name: "長い名前の実験 with a name that no terminal has room for", Outcome: lab.Failed, Started: made(), Took: 3 * time.Second},
		{ID: "20261123-160000-0ccc", Problem: "checksum"},
		{ID: "20261123-170000-0ddd", Name: "mixed", Outcome: lab.Live, Started: made()},
	}
}

func TestARunAListAPlanAndAComparisonReadLikeThis(t *testing.T) {
	failed := sealed()
	failed.Run.Outcome, failed.Run.Plan, failed.Run.Findings, failed.Summary = lab.Failed, nil, nil, lab.Summary{}
	failed.Run.Failure = &lab.Failure{Class: lab.FailMemory, Reason: "no GPU memory left for the KV cache: lower max_model_len", Exit: "exit code 1", Quote: []string{"ValueError: No available memory for the cache blocks."}}
	rows := []lab.Row{
		{Phase: "load", Metric: "ttft.mean", Unit: "s", A: .0479, B: .0551, Delta: .15, N: 1, Reason: "measured from different moments"},
		{Phase: "load", Metric: "tpot.mean", Unit: "s", A: .0118, B: .0114, Delta: -.034, N: 1, Reason: lab.SingleRun},
		{Phase: "load", Metric: "itl.mean", Unit: "s", A: .0118, B: .0114, Delta: -.034, N: 1, Reason: "measured differently"},
	}
	estimate := Estimate{Starts: 10, Extra: 2, Run: 5 * time.Minute, Total: 50 * time.Minute, Basis: "from earlier runs of these files", CV: .012, CVBasis: "assumed", MDE: .032}
	for name, print := range map[string]func(io.Writer) error{
		"run.txt":        func(w io.Writer) error { return Run(w, sealed(), Options{Width: 80}) },
		"run-failed.txt": func(w io.Writer) error { return Run(w, failed, Options{Width: 80}) },
		"list.txt":       func(w io.Writer) error { return List(w, entries(), Options{Width: 100}) },
		"list-empty.txt": func(w io.Writer) error { return List(w, nil, Options{}) },
		"plan.txt":       func(w io.Writer) error { return PlanText(w, verdict().Plan, estimate, Options{Width: 80}) },
		"comparison.txt": func(w io.Writer) error {
			return Comparison(w, "seqs-64 (2026-11-23 14:05:12)", "out.json (tiny)", rows, "no verdict: one run a side", Options{Width: 80})
		},
		"verdict.json":    func(w io.Writer) error { return VerdictJSON(w, Gate{Verdict: verdict(), Hardware: between()}) },
		"run.json":        func(w io.Writer) error { return RunJSON(w, sealed()) },
		"junit.xml":       func(w io.Writer) error { return JUnit(w, gate()) },
		"gate.md":         func(w io.Writer) error { return Markdown(w, gate()) },
		"gate.txt":        func(w io.Writer) error { return Rulings(w, gate().Rulings, Options{Width: 80}) },
		"list.json":       func(w io.Writer) error { return ListJSON(w, entries()) },
		"plan.json":       func(w io.Writer) error { return PlanJSON(w, verdict().Plan, estimate) },
		"comparison.json": func(w io.Writer) error { return ComparisonJSON(w, "a", "b", rows, "no verdict") },
	} {
		var out bytes.Buffer
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
}

func TestEveryDocumentBeginsWithItsFormAndHasKeysInSnakeCase(t *testing.T) {
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) < 5 {
		t.Fatalf("documents %v, %v", names, err)
	}
	form := regexp.MustCompile(`^\{\n  "schema": "lab\.[a-z-]+/v1",\n`)
	snake := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !form.Match(text) {
			t.Errorf("%s begins with %.40q", name, text)
		}
		var tree any
		if err := json.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		var walk func(node any)
		walk = func(node any) {
			switch node := node.(type) {
			case map[string]any:
				for key, child := range node {
					if !snake.MatchString(key) {
						t.Errorf("%s has the key %q", name, key)
					}
					walk(child)
				}
			case []any:
				for _, child := range node {
					walk(child)
				}
			case nil:
				t.Errorf("%s has a null: absent is absent", name)
			}
		}
		walk(tree)
	}
}

func TestANumberThatJSONDoesNotKnowIsAnErrorNotADocument(t *testing.T) {
	for _, odd := range []float64{math.NaN(), math.Inf(1)} {
		v := verdict()
		v.Primary.A = odd
		var out bytes.Buffer
		if err := VerdictJSON(&out, Gate{Verdict: v}); err == nil || out.Len() > 0 {
			t.Errorf("%g: error %v, %d bytes written", odd, err, out.Len())
		}
	}
	v := verdict()
	v.Plan.A.Phases[0].Load.Rate = lab.Number(math.Inf(1)) // an experiment may ask for it
	if err := VerdictJSON(io.Discard, Gate{Verdict: v}); err != nil {
		t.Error(err)
	}
}

func TestColourOnlyAddsToWhatTheWordsSay(t *testing.T) {
	var plain, coloured bytes.Buffer
	if err := errors.Join(Verdict(&plain, verdict(), between(), Options{Width: 80}), Verdict(&coloured, verdict(), between(), Options{Width: 80, Color: true})); err != nil {
		t.Fatal(err)
	}
	escapes := regexp.MustCompile("\x1b\\[[0-9;]*m")
	if escapes.Match(plain.Bytes()) || !escapes.Match(coloured.Bytes()) || !bytes.Equal(escapes.ReplaceAll(coloured.Bytes(), nil), plain.Bytes()) {
		t.Errorf("%q", coloured.String()[:200])
	}
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	for _, width := range []int{80, 100, 140} {
		var out bytes.Buffer
		err := errors.Join(Verdict(&out, verdict(), between(), Options{Width: width}), Run(&out, sealed(), Options{Width: width}), List(&out, entries(), Options{Width: width}))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > width {
				t.Errorf("%d columns of %d: %s", w, width, line)
			}
		}
	}
}

// Where there is no room for all percentiles, p95 goes first and p99 stays.
func TestANarrowTerminalGetsFewerPercentilesAndNoBrokenLine(t *testing.T) {
	for width, want := range map[int]string{80: "mean p50 p90 p95 p99 n", 60: "mean p50 p90 p99 n", 50: "mean p50 p99 n"} {
		var out bytes.Buffer
		if err := Run(&out, sealed(), Options{Width: width}); err != nil {
			t.Fatal(err)
		}
		heads := 0
		for line := range strings.Lines(out.String()) {
			fields := strings.Join(strings.Fields(line), " ")
			if fields == want {
				heads++
			}
			if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > width && strings.Contains(fields, " ms ") {
				t.Errorf("%d columns of %d: %s", w, width, line)
			}
		}
		if heads == 0 {
			t.Errorf("with %d columns no table has %s:\n%s", width, want, out.String())
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAPipeThatBreaksIsReported(t *testing.T) {
	for _, err := range []error{Verdict(full{}, verdict(), between(), Options{}), Run(full{}, sealed(), Options{}), List(full{}, entries(), Options{}), RunJSON(full{}, sealed())} {
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("error %v", err)
		}
	}
}
