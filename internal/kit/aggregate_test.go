package kit

import (
	"bytes"
	"encoding/csv"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s:\n%s", name, d)
	}
}

// aggregated puts files into a table, each under the name that the function gives it.
func aggregated(t *testing.T, pattern string, called func(string) string) *Aggregate {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	var a Aggregate
	for _, name := range names {
		documents, err := Documents(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			input, output := LengthsIn(name)
			if err := a.Add(called(name), document, input, output); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return &a
}

func asCSV(t *testing.T, a *Aggregate, headers Headers, excel bool) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := a.CSV(&out, headers, excel); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTheAggregateOfRecordingsHasTheKitsColumns(t *testing.T) {
	a := aggregated(t, "vllm-0.32/*/result.json", func(name string) string { return filepath.Base(filepath.Dir(name)) + ".json" })
	golden(t, "aggregate/recordings.csv", asCSV(t, a, EnglishHeader, false))
	left := []string{"latencies", "queue_times", "input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts", "errors", "rps_change_events"}
	if d := cmp.Diff(left, a.LeftOut()); d != "" {
		t.Error(d)
	}
	for _, column := range a.Columns() {
		if chineseName(column) == column && column != "config" && column != "gpu_memory" { // of --metadata
			t.Errorf("no Chinese name for %s", column)
		}
	}
}

func TestTheAggregateReadsResultsOfEveryAge(t *testing.T) {
	a := aggregated(t, "old/*.json", filepath.Base)
	golden(t, "aggregate/old.csv", asCSV(t, a, EnglishHeader, false))
	golden(t, "aggregate/old-both.csv", asCSV(t, a, BothHeaders, true))
	rows, err := csv.NewReader(bytes.NewReader(asCSV(t, a, ChineseHeader, false))).ReadAll()
	if err != nil || len(rows) != 1+a.Rows() || rows[0][0] != "测试时间" {
		t.Errorf("Chinese header: %v, %v", rows, err)
	}
}

func TestADocumentThatIsNoResultGetsNoRow(t *testing.T) {
	for document, reason := range map[string]string{
		`{"avg_latency": 1.5}`:                `"completed" is missing`,
		`{"completed": NaN}`:                  `"completed" is missing`,
		`{"schema": "lab.run/v1", "run": {}}`: "--runs",
	} {
		var a Aggregate
		if err := a.Add("x.json", []byte(document), 0, 0); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %q", document, err, reason)
		}
		if a.Rows() > 0 {
			t.Errorf("%s became a row", document)
		}
	}
}

func TestEveryResultOfAFileIsCutOutAsItStands(t *testing.T) {
	const first, second = `{"a": "}{\"", "b": [Infinity, {"c": NaN}]}`, `{"a": "\\"}`
	for text, want := range map[string][]string{
		first:                         {first},
		first + "\n" + second:         {first, second},
		"\xef\xbb\xbf" + first + "\n": {first},
		first + second + " ":          {first, second},
	} {
		got, err := cut([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var texts []string
		for _, g := range got {
			texts = append(texts, string(g))
		}
		if d := cmp.Diff(want, texts); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	for text, reason := range map[string]string{
		"": "empty", " \n": "empty", `[{"a": 1}]`: "beside", `{"a": 1} x`: "beside", first + `{"b": 1`: "in the middle", `{"a": x}`: "no JSON", `{"a": "`: "in the middle",
	} {
		if _, err := cut([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q", text, err, reason)
		}
	}
}

func TestLengthsAreReadFromTheNameOnly(t *testing.T) {
	for name, want := range map[string][2]int{
		"results/bench_io256x128_mc4_np40.json": {256, 128}, "io1x2/bench.json": {0, 0}, "radio3x4.json": {3, 4},
		"bench_io99999999999999999999x1.json": {0, 0}, "x.json": {0, 0},
	} {
		if input, output := LengthsIn(name); [2]int{input, output} != want {
			t.Errorf("%s: %d, %d, want %v", name, input, output, want)
		}
	}
}

func FuzzAggregate(f *testing.F) {
	f.Add([]byte(`{"completed": 1, "a": {"b": [1, {"c": 2}], "": "x,\"y\"\n"}, "x": 1e999, "request_goodput:": -0.0, "filename": 1, "input_len": {}}`))
	f.Add([]byte("{\"completed\": 1e3, \"a\": NaN, \"b\": -Infinity}{\"completed\":2,\"\xff\":true}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, err := cut(text)
		if err != nil {
			return
		}
		var a Aggregate
		for _, document := range documents {
			_ = a.Add("io1x2.json", document, 1, 2) // what is no result has no row
		}
		rows, err := csv.NewReader(bytes.NewReader(asCSV(t, &a, BothHeaders, true))).ReadAll()
		if err != nil || len(rows) != a.Rows()+2 {
			t.Fatalf("%d rows, want %d and two headers: %v", len(rows), a.Rows(), err)
		}
		for _, row := range rows[2:] {
			if n := len(row); row[n-1] != "io1x2.json" || row[n-2] != "2" || row[n-3] != "1" {
				t.Errorf("row %q", row)
			}
		}
	})
}

func TestAChineseColumnNameMeansOneKeyAgain(t *testing.T) {
	keys := []string{"mean_ttft_ms", "median_tpot_ms", "std_itl_ms", "p99.9_e2el_including_client_queue_ms", "spread.by.dots", "一个 键 (ms)"}
	for key := range chineseNames {
		keys = append(keys, key)
	}
	for _, key := range keys {
		want := key
		if key == "total_input" { // what total_input_tokens was called before
			want = "total_input_tokens"
		}
		if got := EnglishName(chineseName(key)); got != want {
			t.Errorf("%s: %q means %s", key, chineseName(key), got)
		}
		if got := EnglishName(key); got != key {
			t.Errorf("%s means %s", key, got)
		}
	}
}
