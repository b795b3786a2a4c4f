package gpu

import (
	"bufio"
	"bytes"
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

// part says what of a family is taken, and how the engines of one server are put together.
type part int

const (
	whole part = iota // its value, added up; of a histogram the number of observations
	sum               // of a histogram: the sum of the observations
	mean              // its value, averaged
)

// engineNames maps what vLLM has called its metrics over the years to lab's names. The first that is there counts.
// Counters have gone by their names with and without _total.
var engineNames = []struct {
	ours   string
	part   part
	theirs []string
}{
	{lab.EngineRunning, whole, []string{"vllm:num_requests_running"}},
	{lab.EngineWaiting, whole, []string{"vllm:num_requests_waiting"}},
	{lab.EngineKVUsage, mean, []string{"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"}},
	{lab.EnginePreempt, whole, counter("vllm:num_preemptions")},
	{lab.EngineHits, whole, counter("vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits")},
	{lab.EngineQueries, whole, counter("vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries")},
	{lab.EnginePrompt, whole, counter("vllm:prompt_tokens")},
	{lab.EngineGenerated, whole, counter("vllm:generation_tokens")},
	{lab.EngineSteps, whole, []string{"vllm:iteration_tokens_total"}}, // a histogram: each step is an observation
	{lab.EngineStarted, whole, []string{"process_start_time_seconds"}},
	{lab.EngineQueueTime, sum, queueTime},
	{lab.EngineQueueCount, whole, queueTime},
	{lab.EnginePrefillTime, sum, prefillTime},
	{lab.EnginePrefillCount, whole, prefillTime},
	{lab.EngineDecodeTime, sum, decodeTime},
	{lab.EngineDecodeCount, whole, decodeTime},
	{lab.EngineDrafts, whole, counter("vllm:spec_decode_num_drafts")},
	{lab.EngineDraftTokens, whole, counter("vllm:spec_decode_num_draft_tokens")},
	{lab.EngineAccepted, whole, counter("vllm:spec_decode_num_accepted_tokens")},
}

var acceptedByPosition = counter("vllm:spec_decode_num_accepted_tokens_per_pos")

// The histograms over finished requests.
var (
	queueTime   = []string{"vllm:request_queue_time_seconds", "vllm:time_in_queue_requests"} // the latter of some V0 engines
	prefillTime = []string{"vllm:request_prefill_time_seconds"}
	decodeTime  = []string{"vllm:request_decode_time_seconds"}
)

// counter lists the names that a counter may have.
func counter(names ...string) []string {
	var all []string
	for _, name := range names {
		all = append(all, name+"_total", name)
	}
	return all
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

// parseMetrics picks lab's values out of the exposition format, put together over the engines of a server that runs
// several (data parallel): added up, a KV usage averaged.
func parseMetrics(r io.Reader) (map[string]float64, error) {
	wanted, err := wantedLines(r)
	if err != nil {
		return nil, fmt.Errorf("read engine metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(wanted)
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
			if v, ok := together(family, name.part); ok {
				values[name.ours] = v
			}
			break
		}
	}
	for _, theirs := range acceptedByPosition {
		byPosition(families[theirs], values)
	}
	return values, nil
}

// wantedLines leaves out what lab takes nothing from, the buckets of histograms among it: of vLLM's 60 kB some 50 lines stay, and
// parsing all would take the core that the load may need for milliseconds.
func wantedLines(r io.Reader) (*bytes.Buffer, error) {
	names := map[string]bool{}
	for _, name := range engineNames {
		for _, theirs := range name.theirs {
			names[theirs] = true
		}
	}
	for _, theirs := range acceptedByPosition {
		names[theirs] = true
	}
	var kept bytes.Buffer
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line, typed := bytes.CutPrefix(lines.Bytes(), []byte("# TYPE "))
		name := line[:max(0, bytes.IndexAny(line, " \t{"))]
		if !typed {
			name = bytes.TrimSuffix(bytes.TrimSuffix(name, []byte("_sum")), []byte("_count"))
		}
		if names[string(name)] {
			kept.Write(lines.Bytes())
			kept.WriteByte('\n')
		}
	}
	return &kept, lines.Err()
}

// together is one value of a family over all engines. No number is no value, and of a family that is no histogram there
// is no sum of observations.
func together(family *dto.MetricFamily, part part) (v float64, ok bool) {
	for _, m := range family.Metric {
		switch {
		case part != sum:
			v += metricValue(m)
		case m.Histogram != nil:
			v += m.Histogram.GetSampleSum()
		case m.Summary != nil:
			v += m.Summary.GetSampleSum()
		default:
			return 0, false
		}
	}
	if part == mean {
		v /= float64(len(family.Metric))
	}
	return v, len(family.Metric) > 0 && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// byPosition adds up what was accepted at each place of a draft.
func byPosition(family *dto.MetricFamily, values map[string]float64) {
	for _, m := range family.GetMetric() {
		for _, l := range m.Label {
			v := metricValue(m)
			if l.GetName() == "position" && !math.IsNaN(v) && !math.IsInf(v, 0) {
				values[lab.EngineAcceptedAt+l.GetValue()] += v
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
	case m.Summary != nil:
		return float64(m.Summary.GetSampleCount())
	}
	return m.Untyped.GetValue()
}
