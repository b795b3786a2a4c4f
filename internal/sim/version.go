package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// versions are the vLLM versions that can be played, oldest first: those whose behaviour was recorded.
var versions = []string{"0.8.5", "0.12.0", "0.15.1", "0.17.1", "0.32.0"}

const newest = "0.32.0"

// traits are the ways in which versions differ to a client or a supervisor.
type traits struct {
	version string
	minor   int

	engineLabel string // of the engine's log lines; empty: lines name no process
	colour      bool   // the label is coloured, into a file too
	flatErrors  bool   // {"object":"error",…} instead of {"error":{…}}
	nullUsage   bool   // frames without usage say "usage":null
	waits       bool   // SIGTERM stops the engine and then waits for ever while a stream is open
	loses       bool   // one SIGTERM while the engine starts has no effect
	drains      bool   // --shutdown-timeout
	deadHealth  int    // status of /health over a dead engine
	envProfiler bool   // VLLM_TORCH_PROFILER_DIR switches the profiler on
	gpuShare    float64

	kvUsage string // name of the KV usage gauge
	hits    string // name of the prefix cache counters; empty: there are none
	itl     string // name of the inter-token latency histogram
	labels  string // labels of every metric before model_name

	usage string // of the top parser
}

func traitsOf(version string) (traits, error) {
	if !slices.Contains(versions, version) {
		return traits{}, fmt.Errorf("argument --as: cannot play %s, only %s", version, strings.Join(versions, ", "))
	}
	minor, err := strconv.Atoi(strings.Split(version, ".")[1])
	if err != nil {
		return traits{}, fmt.Errorf("read version %s: %w", version, err)
	}
	t := traits{
		version: version, minor: minor,
		engineLabel: "EngineCore", colour: minor == 12, flatErrors: minor <= 10, nullUsage: minor <= 17,
		waits: minor >= 12 && minor <= 17, loses: minor >= 18, drains: minor >= 18, deadHealth: 503, envProfiler: minor <= 15, gpuShare: 0.92,
		kvUsage: "vllm:kv_cache_usage_perc", hits: "vllm:prefix_cache", itl: "vllm:inter_token_latency_seconds", labels: `engine="0",`,
		usage: "usage: vllm [-h] [-v]\n            {chat,complete,serve,launch,bench,collect-env,download-kernels,preload,run-batch,snapshot}\n            ...\n",
	}
	if minor < 20 {
		t.gpuShare = 0.9
	}
	if minor < 18 {
		t.engineLabel = "EngineCore_DP0"
		t.usage = "usage: vllm [-h] [-v] {chat,complete,serve,bench,collect-env,run-batch} ...\n"
	}
	if minor < 10 {
		t.engineLabel, t.deadHealth, t.labels = "", 500, ""
		t.kvUsage, t.hits, t.itl = "vllm:gpu_cache_usage_perc", "", "vllm:time_per_output_token_seconds"
		t.usage = "usage: vllm [-h] [-v] {chat,complete,serve,bench,collect-env} ...\n"
	}
	return t, nil
}
