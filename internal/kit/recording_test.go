package kit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// recording is one run of the real vllm bench serve.
type recording struct {
	arguments []string // what follows `vllm bench serve`
	result    []byte   // the last object of the result file
	fields    map[string]json.RawMessage
	failures  string // what it printed of failed requests
	console   string // the result block
}

// closing is the last line of the result block; what --profile says comes after it.
const closing = "==================================================\n"

// recorded reads every recording that ended in a result, by the name of its case.
func recorded(t *testing.T) map[string]recording {
	t.Helper()
	all := map[string]recording{}
	for name, result := range recordings(t) {
		folder := filepath.Join("testdata", "vllm-0.32", name)
		r := recording{result: result, arguments: commandLine(t, filepath.Join(folder, "command.txt"))}
		if err := json.Unmarshal(plainNumbers(result), &r.fields); err != nil {
			t.Fatal(err)
		}
		stdout, err := os.ReadFile(filepath.Join(folder, "stdout.txt"))
		if err != nil {
			t.Fatal(err)
		}
		begin, end := strings.Index(string(stdout), "============ Serving"), strings.LastIndex(string(stdout), closing)
		if begin < 0 || end < begin {
			t.Fatalf("%s: no result block", name)
		}
		before := string(stdout[:begin])
		r.console = string(stdout[begin : end+len(closing)])
		if i := strings.Index(before, "Failed requests during"); i >= 0 {
			r.failures = before[i:]
			// The tip stands between the two: the kit says it before its block.
			r.failures = strings.TrimSuffix(r.failures, "tip: install termplotlib and gnuplot to plot the metrics\n")
		}
		all[name] = r
	}
	return all
}

// commandLine reads the words after `vllm bench serve`. The recorder wrote a comma as a shell may.
func commandLine(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(strings.ReplaceAll(line, `\,`, ","))
	if len(words) < 3 || strings.Join(words[:3], " ") != "vllm bench serve" {
		t.Fatalf("%s: %q", name, line)
	}
	return words[3:]
}

// said decodes one key of the result.
func said[T any](t *testing.T, r recording, key string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(r.fields[key], &v); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return v
}

// bench is what the outputs say beside the measurements: all of it from the command line, by the way that lab bench takes,
// but the date and the moments of a ramp-up.
func (r recording) bench(t *testing.T) Bench {
	t.Helper()
	a, err := ParseArguments(r.arguments)
	if err != nil {
		t.Fatal(err)
	}
	e, err := a.Experiment()
	if err != nil {
		t.Fatal(err)
	}
	date, err := time.ParseInLocation(dateForm, said[string](t, r, "date"), time.Local)
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.Apply(BenchOf(lab.Run{Experiment: e, Epoch: lab.Epoch{Wall: date}}, lab.Tally{Phase: phase}))
	if err != nil {
		t.Fatal(err)
	}
	if b.RampUp != nil {
		for _, event := range said[[]struct {
			RPS       int
			Timestamp string
		}](t, r, "rps_change_events") {
			at, err := time.ParseInLocation("2006-01-02T15:04:05.999999", event.Timestamp, time.Local)
			if err != nil {
				t.Fatal(err)
			}
			b.RPSChanges = append(b.RPSChanges, RPSChange{event.RPS, at})
		}
	}
	return b
}

func TestConsoleAndJSONRecomputedFromTheListsOfARecordingEqualItByteForByte(t *testing.T) {
	detailed := 0
	for name, r := range recorded(t) {
		lists, has := listsIn(r.fields)
		if !has {
			continue
		}
		detailed++
		report := Measure(r.bench(t), lists, said[float64](t, r, "duration"))
		if d := cmp.Diff(string(r.result), string(report.JSON())); d != "" {
			t.Errorf("%s: JSON (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(r.console, report.Console()); d != "" {
			t.Errorf("%s: console (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(r.failures, lists.Failures()); d != "" {
			t.Errorf("%s: failures (-want +got):\n%s", name, d)
		}
	}
	if detailed < 9 {
		t.Errorf("only %d recordings have lists", detailed)
	}
}

// saved is the report whose every number the recording says, so that only the writing is left.
func (r recording) saved(t *testing.T) Report {
	t.Helper()
	lists, _ := listsIn(r.fields)
	if len(lists.StartTimes) == 0 {
		lists = Lists{Latencies: said[[]float64](t, r, "latencies"), QueueTimes: said[[]float64](t, r, "queue_times")}
	}
	report := Report{
		Bench: r.bench(t), Lists: lists, Duration: said[float64](t, r, "duration"),
		Completed: said[int](t, r, "completed"), Failed: said[int](t, r, "failed"),
		InputTokens: said[int](t, r, "total_input_tokens"), OutputTokens: said[int](t, r, "total_output_tokens"),
		RequestThroughput: said[float64](t, r, "request_throughput"), OutputThroughput: said[float64](t, r, "output_throughput"),
		TotalThroughput: said[float64](t, r, "total_token_throughput"),
		PeakOutput:      said[float64](t, r, "max_output_tokens_per_s"), PeakConcurrent: said[int](t, r, "max_concurrent_requests"),
	}
	if len(report.Bench.Goodput) > 0 {
		report.Goodput = said[float64](t, r, "request_goodput")
	}
	for _, q := range quantities {
		if _, has := r.fields["mean_"+q.name+"_ms"]; !has {
			continue
		}
		s := Statistic{Metric: q.name}
		for key, into := range map[string]*float64{"mean": &s.Mean, "median": &s.Median, "std": &s.Std} {
			*into = said[float64](t, r, key+"_"+q.name+"_ms")
		}
		for _, p := range report.Bench.Percentiles {
			s.Percentiles = append(s.Percentiles, said[float64](t, r, "p"+percentWord(p)+"_"+q.name+"_ms"))
		}
		report.Statistics = append(report.Statistics, s)
	}
	return report
}

func TestTheNumbersOfEveryRecordingAreWrittenAsTheKitWritesThem(t *testing.T) {
	for name, r := range recorded(t) {
		report := r.saved(t)
		if d := cmp.Diff(string(r.result), string(report.JSON())); d != "" {
			t.Errorf("%s: JSON (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(r.console, report.Console()); d != "" {
			t.Errorf("%s: console (-want +got):\n%s", name, d)
		}
	}
}

// TestARecordingWithoutListsIsRecomputedAsFarAsItsLatenciesGo: those and the queue times are saved whatever was asked.
func TestARecordingWithoutListsIsRecomputedAsFarAsItsLatenciesGo(t *testing.T) {
	queues := 0
	for name, r := range recorded(t) {
		want := r.saved(t)
		lists := Lists{Latencies: want.Lists.Latencies, QueueTimes: want.Lists.QueueTimes, Errors: make([]string, len(want.Lists.Latencies))}
		for i, latency := range lists.Latencies {
			if latency == 0 {
				lists.Errors[i] = "failed"
			}
		}
		got := Measure(want.Bench, lists, want.Duration)
		if got.Completed != want.Completed || got.Failed != want.Failed || got.RequestThroughput != want.RequestThroughput {
			t.Errorf("%s: %d, %d, %g, want %d, %d, %g", name, got.Completed, got.Failed, got.RequestThroughput, want.Completed, want.Failed, want.RequestThroughput)
		}
		if len(got.Statistics) != len(want.Statistics) {
			t.Fatalf("%s: %d statistics, want %d", name, len(got.Statistics), len(want.Statistics))
		}
		for i, s := range got.Statistics {
			switch s.Metric {
			case "e2el", "client_queue_time", "e2el_including_client_queue":
				queues++
				s.N = 0 // the file does not say
				if d := cmp.Diff(want.Statistics[i], s); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
		}
	}
	if queues < 4 {
		t.Errorf("only %d statistics were compared", queues)
	}
}

func TestTheFileNameIsTheKitsOwn(t *testing.T) {
	text, err := os.ReadFile("testdata/vllm-0.32/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := recorded(t)
	n := 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		n++
		if got := all[words[0]].bench(t).FileName(); got != words[1] {
			t.Errorf("%s: %s, want %s", words[0], got, words[1])
		}
	}
	if n < 15 {
		t.Errorf("only %d names", n)
	}
	b := Bench{Backend: "openai-chat", Label: "a label", Model: "org/model-7b", Rate: 0.5, Concurrency: 8, Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if got, want := b.FileName(), "a label-0.5qps-concurrency8-model-7b-20260102-030405.json"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	b.RampUp = &lab.RampUp{Strategy: "exponential", Start: 1, End: 30}
	if got, want := b.FileName(), "a label-ramp-up-exponential-1qps-30qps-concurrency8-model-7b-20260102-030405.json"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAppendedResultsEqualTheRecordedFile(t *testing.T) {
	want, err := os.ReadFile("testdata/vllm-0.32/xv-append/result.json")
	if err != nil {
		t.Fatal(err)
	}
	documents, err := cut(want)
	if err != nil || len(documents) != 2 {
		t.Fatalf("%d results: %v", len(documents), err)
	}
	name := filepath.Join(t.TempDir(), "new", "app.json")
	for _, document := range documents {
		if err := AppendResult(name, document, true); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(want, got) {
		t.Errorf("%q, want %q: %v", got, want, err)
	}
}
