package sim

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// exposition writes Prometheus' text format.
type exposition struct {
	strings.Builder
	labels string // of every metric
}

func (x *exposition) head(name, kind, help string) {
	fmt.Fprintf(x, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (x *exposition) sample(name, labels string, value float64) {
	fmt.Fprintf(x, "%s{%s} %s\n", name, labels, number(value))
}

func (x *exposition) gauge(name, help string, value float64) {
	x.head(name, "gauge", help)
	x.sample(name, x.labels, value)
}

func (x *exposition) counter(name, help string, value int) {
	x.head(name, "counter", help)
	x.sample(name, x.labels, float64(value))
}

// split writes one metric of several samples that differ by a label, in the given order: value, label, value, label …
func (x *exposition) split(name, kind, help, label string, pairs ...any) {
	x.head(name, kind, help)
	for i := 0; i+1 < len(pairs); i += 2 {
		x.sample(name, fmt.Sprintf("%s,%s=%q", x.labels, label, pairs[i]), float64(pairs[i+1].(int)))
	}
}

func (x *exposition) histogram(name, help string, h *histogram) {
	x.head(name, "histogram", help)
	total := 0
	for i, count := range h.counts {
		total += count
		le := "+Inf"
		if i < len(h.bounds) {
			le = number(h.bounds[i])
		}
		x.sample(name+"_bucket", fmt.Sprintf("le=%q,%s", le, x.labels), float64(total))
	}
	x.sample(name+"_count", x.labels, float64(h.n))
	x.sample(name+"_sum", x.labels, h.sum)
}

// number is a float as Python writes it.
func number(v float64) string {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// metrics answers GET /metrics with the names of the version.
func (s *server) metrics(w http.ResponseWriter, _ *http.Request) {
	x := &exposition{labels: s.t.labels + fmt.Sprintf("model_name=%q", s.names()[0])}
	if s.t.minor >= 10 {
		x.process(s.start())
	}
	if !s.c.switched("disable-log-stats", false) {
		s.loop.lock(func() {
			if s.t.minor >= 10 || s.loop.stats.n.n > 0 { // old versions show nothing else before the first request
				s.engineMetrics(x, s.loop.engine)
				s.requestMetrics(x, &s.loop.stats)
			}
			s.cacheInfo(x)
		})
	}
	w.Header().Set("Content-Type", "text/plain; version=1.0.0; charset=utf-8")
	fmt.Fprint(w, x.String())
}

// start is when the process says that it started: told to, later than it did, as a server that was restarted would.
func (s *server) start() time.Time {
	if n := s.c.faults.restartAt; n > 0 && s.requests.Load() >= int64(n) {
		return s.started.Add(time.Second)
	}
	return s.started
}

// process writes what the Python client library tells of its process; it is absent in 0.8.5.
func (x *exposition) process(started time.Time) {
	x.head("process_start_time_seconds", "gauge", "Start of the process, seconds since 1970.")
	fmt.Fprintf(x, "process_start_time_seconds %s\n", number(float64(started.UnixMilli())/1000))
	x.head("python_info", "gauge", "No Python runs here.")
	fmt.Fprintf(x, "python_info{implementation=\"lab sim\",version=%q} 1.0\n", strconv.Itoa(os.Getpid()))
}

func (s *server) engineMetrics(x *exposition, e *engine) {
	x.gauge("vllm:num_requests_running", "Requests in the batch.", float64(len(e.running)))
	x.gauge("vllm:num_requests_waiting", "Requests in the queue.", float64(len(e.waiting)+len(s.loop.inbox)))
	if s.t.minor >= 20 {
		x.split("vllm:num_requests_waiting_by_reason", "gauge", "Requests in the queue by cause.", "reason", "capacity", len(e.waiting), "deferred", 0)
	}
	if s.t.minor >= 12 {
		x.split("vllm:engine_sleep_state", "gauge", "Whether the engine sleeps.", "sleep_state", "awake", 1, "weights_offloaded", 0, "discard_all", 0)
	}
	x.gauge(s.t.kvUsage, "Used share of the KV cache.", e.usage())
	if s.t.hits != "" {
		x.counter(s.t.hits+"_queries_total", "Prompt tokens looked up in the prefix cache.", e.queries)
		x.counter(s.t.hits+"_hits_total", "Prompt tokens found in the prefix cache.", e.hits)
	}
	if s.t.minor >= 12 {
		for _, name := range []string{"external_prefix_cache", "mm_cache"} {
			x.counter("vllm:"+name+"_queries_total", "Always 0: there is no such cache.", 0)
			x.counter("vllm:"+name+"_hits_total", "Always 0: there is no such cache.", 0)
		}
	}
	x.counter("vllm:num_preemptions_total", "Requests sent back to the queue.", e.preempted)
	x.counter("vllm:prompt_tokens_total", "Prompt tokens of requests that were prefilled.", e.prompt)
	if s.t.minor >= 17 {
		x.split("vllm:prompt_tokens_by_source_total", "counter", "Prompt tokens by where their KV came from.", "source",
			"local_compute", e.prompt-min(e.hits, e.prompt), "local_cache_hit", e.hits, "external_kv_transfer", 0)
		x.counter("vllm:prompt_tokens_cached_total", "Prompt tokens that needed no compute.", e.hits)
	}
	x.counter("vllm:generation_tokens_total", "Generated tokens.", e.generated)
}

func (s *server) requestMetrics(x *exposition, t *stats) {
	x.split("vllm:request_success_total", "counter", "Finished requests by cause.", "finished_reason",
		"stop", t.finished["stop"], "length", t.finished["length"], "abort", 0)
	x.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", t.promptTokens)
	x.histogram("vllm:request_generation_tokens", "Generated tokens of a request.", t.newTokens)
	x.histogram("vllm:iteration_tokens_total", "Tokens of a step.", t.stepTokens)
	x.histogram("vllm:request_max_num_generation_tokens", "Most tokens that a request could get.", t.maxTokens)
	x.histogram("vllm:request_params_n", "Texts asked for.", t.n)
	x.histogram("vllm:request_params_max_tokens", "max_tokens asked for.", t.maxTokens)
	x.histogram("vllm:time_to_first_token_seconds", "From arrival to the first token.", t.ttft)
	x.histogram(s.t.itl, "Between two tokens.", t.itl)
	if s.t.minor >= 12 {
		x.histogram("vllm:request_time_per_output_token_seconds", "Mean time between tokens of a request.", t.tpot)
	}
	x.histogram("vllm:e2e_request_latency_seconds", "From arrival to the last token.", t.e2e)
	x.histogram("vllm:request_queue_time_seconds", "From arrival to the batch.", t.queue)
	x.histogram("vllm:request_inference_time_seconds", "From the batch to the last token.", t.inference)
	x.histogram("vllm:request_prefill_time_seconds", "From the batch to the first token.", t.prefill)
	x.histogram("vllm:request_decode_time_seconds", "From the first token to the last.", t.decode)
	if s.t.minor >= 17 {
		x.histogram("vllm:request_prefill_kv_computed_tokens", "Prompt tokens computed for a request.", t.computed)
	}
	if s.t.minor >= 18 {
		x.histogram("vllm:request_num_preemptions", "How often a request was sent back to the queue.", t.preemptions)
	}
}

// cacheInfo is the engine's account of its cache, in labels.
func (s *server) cacheInfo(x *exposition) {
	p := s.loop.engine.physics
	x.head("vllm:cache_config_info", "gauge", "Settings of the KV cache.")
	labels := []string{
		fmt.Sprintf("block_size=%q", strconv.Itoa(p.BlockTokens)), `cache_dtype="auto"`,
		fmt.Sprintf("enable_prefix_caching=%q", pythonBool(p.PrefixCache)),
	}
	if s.t.minor >= 10 {
		labels = append(labels, `engine="0"`)
	}
	labels = append(labels, fmt.Sprintf("gpu_memory_utilization=%q", pythonFloat(s.c.memory)))
	if s.t.minor >= 18 {
		labels = append(labels, fmt.Sprintf("kv_cache_size_tokens=%q", strconv.Itoa(p.KVTokens)))
	}
	labels = append(labels, fmt.Sprintf("num_gpu_blocks=%q", strconv.Itoa(p.KVTokens/p.BlockTokens)))
	if s.t.minor < 18 {
		swap := "4"
		if text := s.c.last("swap-space"); text != "" {
			v, _ := strconv.ParseFloat(text, 64) // checked to be a number
			swap = pythonFloat(v)
		}
		labels = append(labels, fmt.Sprintf("swap_space=%q", swap))
	}
	x.sample("vllm:cache_config_info", strings.Join(labels, ","), 1)
}
