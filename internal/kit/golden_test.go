package kit

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// recording is what one run of vllm bench serve left.
type recording struct {
	name    string
	block   string // the result block of its console
	before  string // the console up to the block
	result  string // the line of its result file
	keys    []string
	fields  map[string]json.RawMessage
	options map[string][]string // of its command line
}

// bothOutputs are all runs with a result file. The two runs of --append-result share a file.
func bothOutputs(t testing.TB) []recording {
	t.Helper()
	commands, err := filepath.Glob("testdata/vllm-0.32/*/command.txt")
	if err != nil || len(commands) < 20 {
		t.Fatalf("%d recordings, %v", len(commands), err)
	}
	var all []recording
	for _, command := range commands {
		folder := filepath.Dir(command)
		r := recording{name: filepath.Base(folder)}
		file, line := folder, 0
		if r.name == "xv-append2" {
			file, line = "testdata/vllm-0.32/xv-append", 1
		}
		r.result = strings.Split(text(t, filepath.Join(file, "result.json")), "\n")[line]
		r.keys, r.fields = ordered(t, r.result)
		console := text(t, filepath.Join(folder, "stdout.txt"))
		start := strings.Index(console, "============ Serving Benchmark Result")
		closing := "\n" + strings.Repeat("=", 50) + "\n"
		end := strings.Index(console, closing)
		if start < 0 || end < start {
			t.Fatalf("%s: no result block", r.name)
		}
		r.before, r.block = console[:start], console[start:end+len(closing)]
		r.options = options(text(t, command))
		all = append(all, r)
	}
	return all
}

func text(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ordered reads an object with the order of its keys.
func ordered(t testing.TB, line string) ([]string, map[string]json.RawMessage) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(plainNumbers([]byte(line))))
	var keys []string
	fields := map[string]json.RawMessage{}
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := token.(json.Delim); ok && d == '}' {
			return keys, fields
		} else if ok && depth == 0 {
			depth++
			continue
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, token.(string))
		fields[token.(string)] = value
	}
}

func options(command string) map[string][]string {
	all := map[string][]string{}
	flag := ""
	for _, w := range strings.Fields(strings.ReplaceAll(command, `\`, "")) {
		if strings.HasPrefix(w, "--") {
			flag = w
			all[flag] = nil
			continue
		}
		all[flag] = append(all[flag], w)
	}
	return all
}

// get decodes a field; the zero value stands for one that is absent or null.
func get[T any](t testing.TB, r recording, key string) (v T) {
	t.Helper()
	if raw, ok := r.fields[key]; ok {
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s: %s: %v", r.name, key, err)
		}
	}
	return v
}

// bench is what the command line and the file's own description ask for.
func (r recording) bench(t testing.TB) Bench {
	t.Helper()
	when, err := time.Parse(dateForm, get[string](t, r, "date"))
	if err != nil {
		t.Fatal(err)
	}
	b := Bench{
		Date: when, Backend: get[string](t, r, "backend"), Label: get[string](t, r, "label"), Model: get[string](t, r, "model_id"),
		Tokenizer: get[string](t, r, "tokenizer_id"), Requests: get[int](t, r, "num_prompts"), Rate: math.Inf(1),
		Burstiness: math.Inf(1), Concurrency: get[int](t, r, "max_concurrency"), Metrics: []string{"ttft", "tpot", "itl"}, Percentiles: []float64{99},
	}
	if rate, finite := number(r.fields, "request_rate"); finite {
		b.Rate = rate
	}
	if shape, finite := number(r.fields, "burstiness"); finite {
		b.Burstiness = shape
	}
	for _, key := range r.keys[slices.Index(r.keys, "num_prompts")+1 : slices.Index(r.keys, "request_rate")] {
		b.Metadata = append(b.Metadata, Pair{key, get[string](t, r, key)})
	}
	if _, ramp := r.fields["ramp_up_strategy"]; ramp {
		b.RampUp = &lab.RampUp{Strategy: get[string](t, r, "ramp_up_strategy"), Start: get[int](t, r, "ramp_up_start_rps"), End: get[int](t, r, "ramp_up_end_rps")}
		for _, change := range get[[]struct {
			RPS       int
			Timestamp string
		}](t, r, "rps_change_events") {
			at, err := time.Parse("2006-01-02T15:04:05.999999", change.Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			b.RPSChanges = append(b.RPSChanges, RPSChange{change.RPS, at})
		}
	}
	_, b.Detailed = r.options["--save-detailed"]
	if words, ok := r.options["--percentile-metrics"]; ok {
		b.Metrics = strings.Split(words[0], ",")
	}
	if words, ok := r.options["--metric-percentiles"]; ok {
		b.Percentiles = nil
		for _, w := range strings.Split(words[0], ",") {
			p, err := strconv.ParseFloat(w, 64)
			if err != nil {
				t.Fatal(err)
			}
			b.Percentiles = append(b.Percentiles, p)
		}
	}
	for _, w := range r.options["--goodput"] {
		metric, limit, _ := strings.Cut(w, ":")
		ms, err := lab.ParseDuration(limit + "ms")
		if err != nil {
			t.Fatal(err)
		}
		b.Goodput = append(b.Goodput, lab.SLO{Metric: metric, Limit: ms})
	}
	return b
}

func (r recording) lists(t testing.TB) Lists {
	t.Helper()
	return Lists{
		InputLens: get[[]int](t, r, "input_lens"), OutputLens: get[[]int](t, r, "output_lens"), TTFTs: get[[]float64](t, r, "ttfts"),
		ITLs: get[[][]float64](t, r, "itls"), Latencies: get[[]float64](t, r, "latencies"), StartTimes: get[[]float64](t, r, "start_times"),
		QueueTimes: get[[]float64](t, r, "queue_times"), Texts: get[[]string](t, r, "generated_texts"), Errors: get[[]string](t, r, "errors"),
	}
}

func TestARecordingWithListsIsRecomputedFromThemByteForByte(t *testing.T) {
	seen := 0
	for _, rec := range bothOutputs(t) {
		b := rec.bench(t)
		if !b.Detailed {
			continue
		}
		seen++
		t.Run(rec.name, func(t *testing.T) {
			r := Measure(b, rec.lists(t), get[float64](t, rec, "duration"))
			if d := cmp.Diff(rec.block, r.Console()); d != "" {
				t.Errorf("console: %s", d)
			}
			differ(t, rec.result, string(r.JSON()))
			if said := r.Lists.Failures(); !strings.Contains(rec.before, "\n"+said) || (said == "") != (r.Failed == 0) {
				t.Errorf("the recording does not say in front of its result: %.200s", said)
			}
		})
	}
	if seen != 10 {
		t.Errorf("%d recordings with lists", seen)
	}
}

// A file without the lists lacks what most numbers rest on. Those are taken from it; what is left to prove is every row,
// key and digit, and the numbers that its latencies and totals give.
func TestARecordingWithoutListsIsWrittenByteForByte(t *testing.T) {
	seen := 0
	for _, rec := range bothOutputs(t) {
		b := rec.bench(t)
		if b.Detailed {
			continue
		}
		seen++
		t.Run(rec.name, func(t *testing.T) {
			r := rec.saved(t, b)
			if d := cmp.Diff(rec.block, r.Console()); d != "" {
				t.Errorf("console: %s", d)
			}
			differ(t, rec.result, string(r.JSON()))
			if r.Failed > 0 {
				return
			}
			again := Measure(b, rec.lists(t), r.Duration)
			if again.RequestThroughput != r.RequestThroughput {
				t.Errorf("request throughput %v, recorded %v", again.RequestThroughput, r.RequestThroughput)
			}
			for i, s := range again.Statistics {
				if q := s.Metric; (q == "e2el" || strings.Contains(q, "queue")) && !cmp.Equal(s, r.Statistics[i]) {
					t.Errorf("%s: %v", q, cmp.Diff(r.Statistics[i], s))
				}
			}
		})
	}
	if seen != 12 {
		t.Errorf("%d recordings without lists", seen)
	}
}

// saved is the report with the numbers of the file.
func (rec recording) saved(t testing.TB, b Bench) Report {
	t.Helper()
	r := Measure(b, rec.lists(t), get[float64](t, rec, "duration"))
	r.Completed, r.Failed = get[int](t, rec, "completed"), get[int](t, rec, "failed")
	r.InputTokens, r.OutputTokens = get[int](t, rec, "total_input_tokens"), get[int](t, rec, "total_output_tokens")
	r.RequestThroughput = get[float64](t, rec, "request_throughput")
	r.OutputThroughput, r.TotalThroughput = float64(r.OutputTokens)/r.Duration, float64(r.InputTokens+r.OutputTokens)/r.Duration
	r.PeakOutput, r.PeakConcurrent = get[float64](t, rec, "max_output_tokens_per_s"), get[int](t, rec, "max_concurrent_requests")
	for i, s := range r.Statistics {
		named := func(word string) float64 { return get[float64](t, rec, word+"_"+s.Metric+"_ms") }
		s.N = r.Completed
		s.Mean, s.Median, s.Std = named("mean"), named("median"), named("std")
		s.Percentiles = nil
		for _, p := range b.Percentiles {
			s.Percentiles = append(s.Percentiles, named("p"+percentWord(p)))
		}
		r.Statistics[i] = s
	}
	return r
}

// differ shows the place where two long lines part.
func differ(t *testing.T, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	from := max(0, i-60)
	t.Errorf("JSON parts at byte %d:\nwant …%s\ngot  …%s", i, want[from:min(len(want), i+60)], got[from:min(len(got), i+60)])
}

func TestTheKitNamesItsFilesByLoadAndModel(t *testing.T) {
	recorded := map[string]string{}
	for line := range strings.Lines(text(t, "testdata/vllm-0.32/names.txt")) {
		words := strings.Fields(line)
		recorded[words[0]] = words[1]
	}
	for _, rec := range bothOutputs(t) {
		if got, want := rec.bench(t).FileName(), recorded[rec.name]; want != "" && got != want {
			t.Errorf("%s: %s, recorded %s", rec.name, got, want)
		}
		delete(recorded, rec.name)
	}
	if len(recorded) > 0 {
		t.Errorf("no recordings of %v", recorded)
	}
	b := Bench{Backend: "vllm", Model: "meta-llama/Llama-3", Rate: 0.5, Concurrency: 8, Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if got := b.FileName(); got != "vllm-0.5qps-concurrency8-Llama-3-20260102-030405.json" {
		t.Error(got)
	}
}

// The patterns of vLLM's auto_tune.sh, which takes the last word of each row.
func TestAScriptFindsTheRowsItGreps(t *testing.T) {
	for _, rec := range bothOutputs(t) {
		if rec.name != "ii-detailed-goodput" {
			continue
		}
		rows := strings.Split(Measure(rec.bench(t), rec.lists(t), get[float64](t, rec, "duration")).Console(), "\n")
		for pattern, want := range map[string]string{"Request throughput (req/s):": "5.04", "P99 E2EL (ms):": "1116.05", "Request goodput (req/s):": "3.53"} {
			found := ""
			for _, row := range rows {
				if words := strings.Fields(row); strings.Contains(row, pattern) {
					found = words[len(words)-1]
				}
			}
			if found != want {
				t.Errorf("%s %q, want %s", pattern, found, want)
			}
		}
	}
}

func TestARampReachesEveryWholeRateOnce(t *testing.T) {
	for _, rec := range bothOutputs(t) {
		if rec.name != "xi-ramp" {
			continue
		}
		b := rec.bench(t)
		due := make([]time.Time, b.Requests)
		for i := range due {
			due[i] = b.Date.Add(time.Duration(i) * time.Second)
		}
		var rates []int
		for _, change := range RampEvents(*b.RampUp, b.Date, due) {
			rates = append(rates, change.RPS)
		}
		var recorded []int
		for _, change := range b.RPSChanges {
			recorded = append(recorded, change.RPS)
		}
		if d := cmp.Diff(recorded, rates); d != "" {
			t.Error(d)
		}
	}
	steep := RampEvents(lab.RampUp{Strategy: "linear", Start: 1, End: 9}, time.Unix(0, 0), []time.Time{time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)})
	if len(steep) != 9 || steep[4].RPS != 5 || !steep[4].At.Equal(time.Unix(2, 0)) || !steep[8].At.Equal(time.Unix(3, 0)) {
		t.Errorf("a steep ramp: %v", steep)
	}
}
