package kit

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// measured is a small report with every optional part of the outputs.
func measured() Report {
	b := Bench{
		Backend: "vllm", Model: "m", Requests: 3, Rate: 2, Burstiness: 1, Concurrency: 2,
		Metrics: []string{"ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue"}, Percentiles: []float64{99},
		Goodput: []lab.SLO{{Metric: "ttft", Limit: lab.Duration(100 * ms)}},
		Spec:    &SpecDecode{AcceptanceRate: 62.5, AcceptanceLength: 2.25, Drafts: 8, DraftTokens: 16, AcceptedTokens: 10, PerPosition: []float64{0.75, 0.5}},
	}
	return Measure(b, Lists{
		InputLens: []int{4, 4, 4}, OutputLens: []int{3, 1, 0}, TTFTs: []float64{0.1, 0.2, 0}, ITLs: [][]float64{{0.5, 0.5}, nil, nil},
		Latencies: []float64{1.1, 0.2, 0}, StartTimes: []float64{10, 11, 12}, QueueTimes: []float64{0, 0.5, 0}, Texts: []string{"a", "b", ""}, Errors: []string{"", "", "Not Found"},
	}, 2)
}

// auto_tune.sh of vLLM, and scripts like it, take the number off these rows: grep, then the last word.
func TestTheRowsThatScriptsGrepAreThere(t *testing.T) {
	block := measured().Console()
	for row, want := range map[string]string{
		"Request throughput (req/s):": "1.00", "P99 E2EL (ms):": "1091.00", "Request goodput (req/s):": "0.50", "Mean TTFT (ms):": "150.00",
		"Output token throughput (tok/s):": "2.00", "Total token throughput (tok/s):": "6.00", "Failed requests:": "1", "Mean TPOT (ms):": "500.00",
	} {
		found := regexp.MustCompile(`(?m)^.*`+regexp.QuoteMeta(row)+`.*$`).FindAllString(block, -1)
		if len(found) != 1 {
			t.Errorf("%d rows %s", len(found), row)
			continue
		}
		words := strings.Fields(found[0])
		if got := words[len(words)-1]; got != want {
			t.Errorf("%s %s, want %s", row, got, want)
		}
	}
}

func TestTheBlockOfASpeculatingServerGoesOn(t *testing.T) {
	_, after, ok := strings.Cut(measured().Console(), "---------------Speculative Decoding---------------\n")
	want := `Acceptance rate (%):                     62.50     
Acceptance length:                       2.25      
Drafts:                                  8         
Draft tokens:                            16        
Accepted tokens:                         10        
Per-position acceptance (%):
  Position 0:                            75.00     
  Position 1:                            50.00     
` + closing
	if d := cmp.Diff(want, after); !ok || d != "" {
		t.Error(d)
	}
	document := string(measured().JSON())
	if want := `"rtfx": 0.0, "spec_decode_acceptance_rate": 62.5, "spec_decode_acceptance_length": 2.25, "spec_decode_num_drafts": 8, "spec_decode_draft_tokens": 16, "spec_decode_accepted_tokens": 10, "spec_decode_per_position_acceptance_rates": [0.75, 0.5], "mean_ttft_ms": `; !strings.Contains(document, want) {
		t.Errorf("%s lacks %s", document, want)
	}
}

func TestAPeakCountsMessagesAndRequestsThatTouchASecond(t *testing.T) {
	r := measured()
	if r.PeakOutput != 2 || r.PeakConcurrent != 2 { // 10.1 and 10.6; the first request ends at 11.1, the second begins at 11
		t.Errorf("%g messages, %d requests", r.PeakOutput, r.PeakConcurrent)
	}
}

func TestMetadataIsADictsKey(t *testing.T) {
	r := measured()
	r.Bench.Metadata = []Pair{{"a", "1"}, {"model_id", "mine"}, {"a", "2"}, {"duration", "long"}, {"ttfts", "gone"}, {"errors", "gone"}}
	var keys []string
	decoder := json.NewDecoder(strings.NewReader(string(r.JSON())))
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if d, ok := token.(json.Delim); ok {
			depth += map[json.Delim]int{'{': 1, '[': 1, '}': -1, ']': -1}[d]
		} else if word, ok := token.(string); ok && depth == 1 {
			keys = append(keys, word) // strings that are values come too
		}
	}
	const want = "date 00010101-000000 endpoint_type vllm backend vllm label model_id mine tokenizer_id  num_prompts a 2 duration request_rate burstiness max_concurrency completed"
	if got := strings.Join(keys, " "); !strings.HasPrefix(got, want) || strings.Contains(got, "gone") {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestARampUpTellsEveryWholeRateItReached(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	second := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	sent := []time.Time{second(1), second(2), second(3), second(4), second(5)}
	for name, c := range map[string]struct {
		up   lab.RampUp
		want []RPSChange
	}{
		"linear":      {lab.RampUp{Strategy: "linear", Start: 2, End: 4}, []RPSChange{{2, began}, {3, second(3)}, {4, second(5)}}},
		"steep":       {lab.RampUp{Strategy: "linear", Start: 1, End: 9}, []RPSChange{{1, began}, {2, second(2)}, {3, second(2)}, {4, second(3)}, {5, second(3)}, {6, second(4)}, {7, second(4)}, {8, second(5)}, {9, second(5)}}},
		"exponential": {lab.RampUp{Strategy: "exponential", Start: 1, End: 16}, []RPSChange{{1, began}, {2, second(2)}, {3, second(3)}, {4, second(3)}, {5, second(4)}, {6, second(4)}, {7, second(4)}, {8, second(4)}, {9, second(5)}, {10, second(5)}, {11, second(5)}, {12, second(5)}, {13, second(5)}, {14, second(5)}, {15, second(5)}, {16, second(5)}}},
		"flat":        {lab.RampUp{Strategy: "linear", Start: 3, End: 3}, []RPSChange{{3, began}}},
	} {
		if d := cmp.Diff(c.want, RampEvents(c.up, began, sent)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if got := RampEvents(lab.RampUp{Strategy: "linear", Start: 2, End: 4}, began, nil); len(got) != 1 {
		t.Errorf("no requests: %v", got)
	}
}

func TestARunsRampUpIsInItsReport(t *testing.T) {
	run := lab.Run{Epoch: lab.Epoch{Wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, Experiment: lab.Experiment{Phases: []lab.Phase{{Name: phase, Load: lab.Load{
		RampUp: &lab.RampUp{Strategy: "linear", Start: 5, End: 6}, Requests: 2, API: "completions"}}}}}
	records := []lab.RequestRecord{{Phase: phase, Seq: 0, Intended: 1500 * ms, Sent: 1600 * ms}, {Phase: phase, Seq: 1, Intended: 1700*ms + 1001, Sent: 1800 * ms}, {Phase: lab.Warmup, Intended: 1}}
	r := ReportOf(run, lab.Tally{Phase: phase, Offered: 2, Start: time.Second, End: 3 * time.Second}, records)
	began := run.Epoch.Wall.Local()
	if d := cmp.Diff([]RPSChange{{5, began.Add(time.Second)}, {6, began.Add(1700*ms + 1001)}}, r.Bench.RPSChanges); d != "" {
		t.Error(d)
	}
	want := `"rps_change_events": [{"rps": 5, "timestamp": "` + began.Add(time.Second).Format("2006-01-02T15:04:05") +
		`"}, {"rps": 6, "timestamp": "` + began.Add(time.Second).Format("2006-01-02T15:04:05") + `.700001"}]`
	if document := string(r.JSON()); !strings.Contains(document, want) {
		t.Errorf("%s lacks %s", document, want)
	}
	if r.Duration != 2 || r.Bench.Date != began.Add(3*time.Second) || r.Bench.Requests != 2 {
		t.Errorf("%+v", r.Bench)
	}
}

func TestAResultIsSavedWholeOrAppendedAsALine(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "new", "r.json"), filepath.Join(dir, "link.json")
	save := func(name, text string, appendTo bool, want string) {
		t.Helper()
		if err := AppendResult(name, []byte(text), appendTo); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%q, want %q: %v", got, want, err)
		}
	}
	save(file, "{1}", false, "{1}")
	save(file, "{2}", false, "{2}")
	save(file, "{3}", true, "{2}\n{3}")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	save(link, "{4}", false, "{4}")
	save(link, "{5}", true, "{4}\n{5}")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	err := AppendResult(filepath.Join(file, "below.json"), nil, false)
	if err == nil || !strings.HasPrefix(err.Error(), "save result: ") {
		t.Errorf("a folder that is a file: %v", err)
	}
}

func TestTheFirstTenFailuresAreTold(t *testing.T) {
	l := Lists{Errors: append([]string{"", "first"}, make([]string, 20)...)}
	if got, want := l.Failures(), "Failed requests during benchmark run detected (capping to 10):\nError 0: first\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range l.Errors {
		l.Errors[i] = "x"
	}
	if got := l.Failures(); strings.Count(got, "\n") != 11 || !strings.HasSuffix(got, "Error 9: x\n") {
		t.Error(got)
	}
	if got := (Lists{Errors: []string{"", ""}}).Failures(); got != "" {
		t.Error(got)
	}
}

// FuzzJSON: whatever the lists are, what is written can be read, and Python's words for what is no number survive.
func FuzzJSON(f *testing.F) {
	f.Add("model", "text \"\\ \x00\xff", "", 3, 2, 0.1, 0.2, 5.0, 1.0, 2.0, true)
	f.Add("", "", "Not Found\nTraceback", -1, 0, math.Inf(1), math.NaN(), -1e300, 0.0, math.Inf(-1), false)
	f.Add("a/b", "\u2028", "", 1<<40, 1<<40, 1e-300, 1e308, 1e308, 1e-320, math.NaN(), true)
	f.Fuzz(func(t *testing.T, word, text, fault string, input, output int, ttft, gap, start, duration, rate float64, detailed bool) {
		l := Lists{
			InputLens: []int{input, 1}, OutputLens: []int{output}, TTFTs: []float64{ttft, 0.1, 0.2}, ITLs: [][]float64{{gap, gap}}, Latencies: []float64{ttft + gap},
			StartTimes: []float64{start, 1}, QueueTimes: []float64{gap}, Texts: []string{text}, Errors: []string{fault},
		}
		b := Bench{
			Backend: word, Model: word, Label: word, Metadata: []Pair{{word, text}, {text, fault}}, Requests: input, Rate: rate, Burstiness: rate, Concurrency: output, Detailed: detailed,
			Metrics: []string{"ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue", word}, Percentiles: []float64{0, 50, 99.9, 100},
			Goodput: []lab.SLO{{Metric: "tpot", Limit: lab.Duration(output)}, {Metric: word}}, Spec: &SpecDecode{AcceptanceRate: gap, PerPosition: []float64{ttft}},
		}
		r := Measure(b, l, duration)
		_ = r.Console()
		_ = b.FileName()
		document := r.JSON()
		for _, c := range document {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %#x in %s", c, document)
			}
		}
		name := filepath.Join(t.TempDir(), "r.json")
		for range 2 {
			if err := AppendResult(name, document, true); err != nil {
				t.Fatal(err)
			}
		}
		if documents, err := Documents(name); err != nil || len(documents) != 2 || string(documents[1]) != string(document) {
			t.Fatalf("%d documents, %v: %s", len(documents), err, document)
		}
		read, err := Read(name)
		if err != nil {
			if !hidesTheCounts(b) {
				t.Fatalf("%v: %s", err, document)
			}
			return
		}
		if tally := read.Summary.Phases[0]; !hidesTheCounts(b) && (tally.OK != r.Completed || tally.Offered != r.Completed+r.Failed) {
			t.Errorf("%+v, want %d of %d", tally, r.Completed, r.Completed+r.Failed)
		}
	})
}

// hidesTheCounts: metadata with a reader's key may be any text. A later key of the result's own overwrites it, but "schema" has none.
func hidesTheCounts(b Bench) bool {
	for _, p := range b.Metadata {
		if p.Key == "schema" {
			return true
		}
	}
	return false
}
