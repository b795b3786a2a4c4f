package sim

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// latencies are the histograms of /metrics, kept as sum and count: the buckets are too coarse to be of use.
type latencies struct {
	mu                sync.Mutex
	ttft, itl, e2e    float64
	nTTFT, nITL, nE2E int
}

func (l *latencies) token(arrived, last, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last.IsZero() {
		l.ttft += now.Sub(arrived).Seconds()
		l.nTTFT++
		return
	}
	l.itl += now.Sub(last).Seconds()
	l.nITL++
}

func (l *latencies) request(arrived, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.e2e += now.Sub(arrived).Seconds()
	l.nE2E++
}

// metrics answers in Prometheus' text format with the names of the version.
func (s *server) metrics(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	labels := fmt.Sprintf(`engine="0",model_name="%s"`, s.names()[0])
	if s.t.version == "0.8.5" {
		labels = fmt.Sprintf(`model_name="%s"`, s.names()[0])
	}
	metric := func(name, kind string, value any) {
		fmt.Fprintf(&b, "# HELP %s simulated\n# TYPE %s %s\n%s{%s} %v\n", name, name, kind, name, labels, value)
	}
	histogram := func(name string, sum float64, n int) {
		fmt.Fprintf(&b, "# HELP %s simulated\n# TYPE %s histogram\n", name, name)
		fmt.Fprintf(&b, "%s_bucket{le=\"+Inf\",%s} %d\n%s_count{%s} %d\n%s_sum{%s} %v\n", name, labels, n, name, labels, n, name, labels, sum)
	}
	s.loop.lock(func() {
		e := s.loop.engine
		metric("vllm:num_requests_running", "gauge", len(e.running))
		metric("vllm:num_requests_waiting", "gauge", len(e.waiting))
		metric(s.t.kvUsage, "gauge", float64(e.kv)/float64(e.physics.KVTokens))
		metric("vllm:num_preemptions_total", "counter", e.preempted)
		metric(s.t.hits+"_queries_total", "counter", e.queries)
		metric(s.t.hits+"_hits_total", "counter", e.hits)
		metric("vllm:prompt_tokens_total", "counter", e.prompt)
		metric("vllm:generation_tokens_total", "counter", e.generated)
		histogram("vllm:iteration_tokens_total", float64(e.prompt+e.generated), e.steps)
		fmt.Fprintf(&b, "# HELP vllm:cache_config_info simulated\n# TYPE vllm:cache_config_info gauge\n")
		fmt.Fprintf(&b, "vllm:cache_config_info{block_size=\"%d\",enable_prefix_caching=\"%s\",num_gpu_blocks=\"%d\",%s} 1.0\n",
			blockTokens, pythonBool(e.physics.PrefixCache), e.physics.KVTokens/blockTokens, labels)
	})
	s.latency.mu.Lock()
	defer s.latency.mu.Unlock()
	histogram("vllm:time_to_first_token_seconds", s.latency.ttft, s.latency.nTTFT)
	histogram(s.t.itl, s.latency.itl, s.latency.nITL)
	histogram("vllm:e2e_request_latency_seconds", s.latency.e2e, s.latency.nE2E)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, b.String())
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
