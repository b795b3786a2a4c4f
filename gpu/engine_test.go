package gpu

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func TestTheEnginesMetricsAreReadUnderEveryNameTheyHaveHad(t *testing.T) {
	idle := func(prompt, generated, steps float64) map[string]float64 {
		return map[string]float64{
			lab.EngineRunning: 0, lab.EngineWaiting: 0, lab.EngineKVUsage: 0, lab.EnginePreempt: 0,
			lab.EnginePrompt: prompt, lab.EngineGenerated: generated, lab.EngineSteps: steps, lab.EngineHits: 0, lab.EngineQueries: prompt,
		}
	}
	old := idle(26, 24, 24) // this engine counts no prefix cache
	delete(old, lab.EngineHits)
	delete(old, lab.EngineQueries)
	for version, want := range map[string]map[string]float64{
		"0.8.5": old, "0.12.0": idle(26, 24, 24), "0.17.1": idle(26, 24, 24), "0.32.0": idle(18373, 9054, 2738),
	} {
		t.Run(version, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.ServeFile(w, r, "testdata/metrics-"+version+".txt")
			}))
			defer server.Close()
			s := newEngine(server.URL).read(t.Context(), lab.NewEpoch().Clock().Now)
			if s.Error != "" || s.Device != "engine" || s.Took <= 0 {
				t.Errorf("%+v", s)
			}
			if diff := cmp.Diff(want, s.Values); diff != "" {
				t.Error(diff)
			}
		})
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
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0"} 7
# TYPE vllm:spec_decode_num_accepted_tokens_per_pos_total counter
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="0"} 4
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="1",position="0"} 2
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",position="1"} 1
`))
	want := map[string]float64{lab.EngineRunning: 7, lab.EngineKVUsage: 0.5, lab.EngineHits: 11, lab.EngineDrafts: 7, lab.EngineAcceptedAt + "0": 6, lab.EngineAcceptedAt + "1": 1}
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
