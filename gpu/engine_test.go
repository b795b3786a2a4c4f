package gpu

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recordings are answers of real servers by their names.
func recordings(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, _ := filepath.Glob("testdata/metrics/*.txt.gz")
	for _, name := range names {
		packed, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer packed.Close()
		unpacked, err := gzip.NewReader(packed)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(unpacked)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".txt.gz")] = string(text)
	}
	return all
}

func TestTheEnginesMetricsAreReadFromEveryRecordedServer(t *testing.T) {
	const golden = "testdata/metrics.golden"
	all := recordings(t)
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		values, err := parseMetrics(strings.NewReader(all[name]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		fmt.Fprintf(&got, "%s\n", name)
		for _, value := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(&got, "\t%s %.6g\n", value, values[value])
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAServersMetricsAreReadOverHTTP(t *testing.T) {
	text := recordings(t)["0.17.1-metrics"]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) }))
	defer server.Close()
	s := newEngine(server.URL).read(t.Context(), lab.NewEpoch().Clock().Now)
	if s.Error != "" || s.Device != "engine" || s.Took <= 0 || s.Values[lab.EnginePrompt] != 26 {
		t.Errorf("%+v", s)
	}
}

func TestEveryNameThatAMetricHasHadLeadsToTheSameValue(t *testing.T) {
	for text, want := range map[string]map[string]float64{
		// A V0 engine with the other name of the queue's time.
		"# TYPE vllm:time_in_queue_requests histogram\nvllm:time_in_queue_requests_bucket{le=\"+Inf\"} 4\nvllm:time_in_queue_requests_sum 2.5\nvllm:time_in_queue_requests_count 4\n": {
			lab.EngineQueueTime: 2.5, lab.EngineQueueCount: 4},
		"# TYPE vllm:gpu_prefix_cache_queries counter\nvllm:gpu_prefix_cache_queries 9\n# TYPE vllm:gpu_prefix_cache_hits counter\nvllm:gpu_prefix_cache_hits 3\n": {
			lab.EngineQueries: 9, lab.EngineHits: 3},
		"# TYPE vllm:spec_decode_num_accepted_tokens_total counter\nvllm:spec_decode_num_accepted_tokens_total 6\n# TYPE vllm:spec_decode_num_draft_tokens_total counter\nvllm:spec_decode_num_draft_tokens_total 8\n": {
			lab.EngineAccepted: 6, lab.EngineDraftTokens: 8},
		// A gauge under the name of a histogram has no sum.
		"# TYPE vllm:request_queue_time_seconds gauge\nvllm:request_queue_time_seconds 3\n": {lab.EngineQueueCount: 3},
	} {
		values, err := parseMetrics(strings.NewReader(text))
		if diff := cmp.Diff(want, values); err != nil || diff != "" {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
}

func BenchmarkMetrics(b *testing.B) {
	text := recordings(b)["0.32.0-metrics"]
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := parseMetrics(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestEnginesAreSummedAndNoNumberIsNoValue(t *testing.T) {
	values, err := parseMetrics(strings.NewReader(`# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} 3
vllm:num_requests_running{engine="1"} 4
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0"} NaN
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
# TYPE vllm:gpu_cache_usage_perc gauge
vllm:gpu_cache_usage_perc{engine="0"} 0.9
# TYPE vllm:gpu_prefix_cache_hits_total counter
vllm:gpu_prefix_cache_hits_total{engine="0"} 5
vllm:gpu_prefix_cache_hits_total{engine="1"} 6
# TYPE vllm:request_queue_time_seconds histogram
vllm:request_queue_time_seconds_bucket{engine="0",le="+Inf"} 2
vllm:request_queue_time_seconds_sum{engine="0"} 0.5
vllm:request_queue_time_seconds_count{engine="0"} 2
vllm:request_queue_time_seconds_bucket{engine="1",le="+Inf"} 1
vllm:request_queue_time_seconds_sum{engine="1"} 0.25
vllm:request_queue_time_seconds_count{engine="1"} 1
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0"} 7
# TYPE vllm:spec_decode_num_accepted_tokens_per_pos_total counter
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="0"} 4
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="1",position="0"} 2
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="1"} 1
`))
	want := map[string]float64{lab.EngineRunning: 7, lab.EngineKVUsage: 0.5, lab.EngineHits: 11, lab.EngineDrafts: 7, lab.EngineQueueTime: 0.75, lab.EngineQueueCount: 3, lab.EngineAcceptedAt + "0": 6, lab.EngineAcceptedAt + "1": 1}
	if err != nil || !cmp.Equal(values, want) {
		t.Errorf("%v: %s", err, cmp.Diff(want, values))
	}
}

func TestAServerThatDoesNotAnswerItsMetricsIsAnErrorAndNoValue(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	s := newEngine(server.URL).read(t.Context(), lab.NewEpoch().Clock().Now)
	if !strings.Contains(s.Error, "404") || len(s.Values) > 0 {
		t.Errorf("%+v", s)
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\"} 3\n")
	f.Add("vllm:prompt_tokens_total NaN\nvllm:iteration_tokens_total_count 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := parseMetrics(strings.NewReader(text))
		for name, v := range values {
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s is %g (%v)", name, v, err)
			}
		}
	})
}
