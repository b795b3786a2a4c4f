package gpu

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lab/internal/lab"
)

// engineNames maps what vLLM has called its metrics over the years to lab's names. The first that is there counts.
var engineNames = []struct {
	ours   string
	theirs []string
}{
	{lab.EngineRunning, []string{"vllm:num_requests_running"}},
	{lab.EngineWaiting, []string{"vllm:num_requests_waiting"}},
	{lab.EngineKVUsage, []string{"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"}},
	{lab.EnginePreempt, []string{"vllm:num_preemptions_total", "vllm:num_preemptions"}},
	{lab.EngineHits, []string{"vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total", "vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits"}},
	{lab.EngineQueries, []string{"vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total", "vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries"}},
	{lab.EnginePrompt, []string{"vllm:prompt_tokens_total", "vllm:prompt_tokens"}},
	{lab.EngineGenerated, []string{"vllm:generation_tokens_total", "vllm:generation_tokens"}},
	{lab.EngineDrafts, []string{"vllm:spec_decode_num_drafts_total", "vllm:spec_decode_num_drafts"}},
	{lab.EngineDraftTokens, []string{"vllm:spec_decode_num_draft_tokens_total", "vllm:spec_decode_num_draft_tokens"}},
	{lab.EngineAccepted, []string{"vllm:spec_decode_num_accepted_tokens_total", "vllm:spec_decode_num_accepted_tokens"}},
	{lab.EngineSteps, []string{"vllm:iteration_tokens_total"}}, // a histogram: its count is the number of steps
}

// engine reads a server's /metrics.
type engine struct {
	url  string
	http http.Client
}

func newEngine(url string) *engine { return &engine{url: url + "/metrics"} }

// scrapeTimeout keeps a server that does not answer from holding up the next reading.
const scrapeTimeout = 900 * time.Millisecond

func (e *engine) read(ctx context.Context, at func() time.Duration) lab.Sample {
	before := at()
	values, err := e.scrape(ctx)
	after := at()
	s := lab.Sample{At: (before + after) / 2, Took: after - before, Device: "engine", Values: values}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

func (e *engine) scrape(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := e.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read engine metrics: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read engine metrics: status %d", resp.StatusCode)
	}
	return parseMetrics(resp.Body)
}

// parseMetrics picks lab's values out of the exposition format, summed over engines; a KV usage is averaged.
func parseMetrics(r io.Reader) (map[string]float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("read engine metrics: %w", err)
	}
	values := map[string]float64{}
	for _, name := range engineNames {
		for _, theirs := range name.theirs {
			family, ok := families[theirs]
			if !ok {
				continue
			}
			sum := 0.0
			for _, m := range family.Metric {
				sum += metricValue(m)
			}
			if name.ours == lab.EngineKVUsage {
				sum /= float64(max(1, len(family.Metric)))
			}
			if !math.IsNaN(sum) && !math.IsInf(sum, 0) { // no number is no value
				values[name.ours] = sum
			}
			break
		}
	}
	for _, theirs := range []string{"vllm:spec_decode_num_accepted_tokens_per_pos_total", "vllm:spec_decode_num_accepted_tokens_per_pos"} {
		byPosition(families[theirs], values)
	}
	return values, nil
}

// byPosition adds up what was accepted at each place of a draft.
func byPosition(family *dto.MetricFamily, values map[string]float64) {
	for _, m := range family.GetMetric() {
		for _, l := range m.Label {
			if l.GetName() == "position" {
				values[lab.EngineAcceptedAt+l.GetValue()] += metricValue(m)
			}
		}
	}
}

func metricValue(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return m.Untyped.GetValue()
}
