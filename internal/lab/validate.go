package lab

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// Validate returns everything that is wrong with the experiment as a whole: values out of range, keys that exclude or
// need each other. What the installed vllm accepts is not known here; the supervisor asks it later.
func (e Experiment) Validate() Faults {
	var v validator
	v.server(e.Server)
	if len(e.Phases) == 0 {
		v.fault("load", "is missing: say what to send, for example {concurrency: 8, requests: 200}")
	}
	names, judged := map[string]bool{}, false
	for i, p := range e.Phases {
		path := "load"
		if len(e.Phases) > 1 {
			path = fmt.Sprintf("load[%d]", i)
		}
		v.phase(path, p)
		if names[p.Name] {
			v.fault(path+".name", "%q is the name of an earlier phase too", p.Name)
		}
		if p.Name == Warmup {
			v.fault(path+".name", "%q is kept for the requests before a phase", Warmup)
		}
		names[p.Name] = true
		judged = judged || p.Judged
	}
	if len(e.Phases) > 0 && !judged {
		v.fault("load", "no phase is judged: leave out `judged: false` at one of them")
	}
	if !(e.Margin > 0 && e.Margin < 1) {
		v.fault("margin", "must be above 0%% and below 100%%")
	}
	for i, slo := range e.SLO {
		if slo.Limit <= 0 {
			v.fault(fmt.Sprintf("slo.%s", e.SLO[i].Metric), "must be above zero")
		}
	}
	if d := e.Telemetry.Period; d != 0 && (d < Duration(10e6) || d > Duration(10e9)) {
		v.fault("telemetry.period", "%s is out of range: 10ms to 10s", d)
	}
	if e.Profile != nil {
		v.profile(e.Server, *e.Profile)
	}
	return v.faults
}

type validator struct{ faults Faults }

func (v *validator) fault(path, format string, args ...any) {
	v.faults = append(v.faults, Fault{Path: path, Problem: fmt.Sprintf(format, args...)})
}

func (v *validator) server(s Server) {
	if s.Model == "" && s.BaseURL == "" {
		v.fault("server.model", "is missing: name a model, or base_url for a server that already runs")
	}
	var ways []string
	for _, way := range []struct {
		name string
		set  bool
	}{{"executable", s.Executable != ""}, {"venv", s.Venv != ""}, {"python", s.Python != ""}, {"simulator", s.Simulator != nil}} {
		if way.set {
			ways = append(ways, way.name)
		}
	}
	if len(ways) > 1 {
		v.fault("server."+ways[1], "only one of %s may say where vllm is", strings.Join(ways, ", "))
	}
	if s.BaseURL != "" {
		if !strings.HasPrefix(s.BaseURL, "http://") && !strings.HasPrefix(s.BaseURL, "https://") {
			v.fault("server.base_url", "%q is not a URL (write for example http://127.0.0.1:8000)", s.BaseURL)
		}
		for _, key := range s.processKeys() {
			v.fault("server."+key, "shapes a process that lab starts; with base_url the server already runs")
		}
	}
	v.positive("server.max_model_len", s.MaxModelLen)
	v.positive("server.max_num_seqs", s.MaxNumSeqs)
	v.positive("server.max_num_batched_tokens", s.MaxNumBatchedTokens)
	v.positive("server.tensor_parallel_size", s.TensorParallelSize)
	if u := s.GPUMemoryUtilization; u != nil && !(*u > 0 && *u <= 1) {
		v.fault("server.gpu_memory_utilization", "must be above 0%% and at most 100%%")
	}
	if s.KVCacheMemory != nil && *s.KVCacheMemory == 0 {
		v.fault("server.kv_cache_memory", "must be above zero")
	}
	for name := range s.Args {
		flag := strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-")
		if key, named := NamedFlags[flag]; named {
			v.fault("server.args."+name, "has a key of its own: write server.%s", key)
		}
		if why, taken := OwnFlags[flag]; taken {
			v.fault("server.args."+name, "%s", why)
		}
	}
}

// processKeys names the keys that are set and only make sense for a server that lab starts.
func (s Server) processKeys() []string {
	var keys []string
	for path := range flatten(Experiment{Server: s}) {
		key, inServer := strings.CutPrefix(path, "server.")
		if !inServer {
			continue
		}
		key, _, _ = strings.Cut(key, ".")
		key, _, _ = strings.Cut(key, "[")
		switch key {
		case "model", "base_url", "api_key_env", "hang_timeout":
		default:
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return slices.Compact(keys)
}

func (v *validator) positive(path string, n *int) {
	if n != nil && *n <= 0 {
		v.fault(path, "must be above zero")
	}
}

// MostCapacity is the largest share of the capacity at which latencies are judged.
const MostCapacity = 0.8

func (v *validator) phase(path string, p Phase) {
	l := p.Load
	if p.Name == "" {
		v.fault(path+".name", "is missing")
	}
	if l.Rate < 0 || math.IsNaN(float64(l.Rate)) {
		v.fault(path+".rate", "must be above zero, or inf")
	}
	if l.Concurrency < 0 {
		v.fault(path+".concurrency", "must be above zero")
	}
	if l.Rate != 0 && l.Timed() {
		v.fault(path+".rate", "is set by the trace's own times: leave it out, or say untimed: true")
	}
	if !l.Open() && l.Concurrency == 0 {
		v.fault(path, "says neither rate (open loop, requests a second) nor concurrency (closed loop, requests in flight)")
	}
	if s := l.CapacityShare; s < 0 || s > MostCapacity {
		v.fault(path+".capacity_share", "must be above 0%% and at most %g%%: nearer to the capacity the queue says how long the run was, not how fast the server is", MostCapacity*100)
	}
	if l.CapacityShare > 0 && (l.RampUp != nil || l.Timed()) {
		v.fault(path+".capacity_share", "takes the place of a rate, and the load has arrival times of its own already")
	}
	if l.Requests < 0 {
		v.fault(path+".requests", "must be above zero")
	}
	if l.Requests == 0 && l.Duration == 0 && !l.Timed() {
		v.fault(path, "has no end: say requests or duration")
	}
	if math.IsInf(float64(l.Rate), 1) && l.Requests == 0 {
		v.fault(path+".requests", "is missing: rate inf sends all requests at once, so their number must be said")
	}
	if l.RampUp != nil {
		v.rampUp(path, l)
	}
	if l.Burstiness < 0 || (l.Burstiness > 0 && !l.Open()) {
		v.fault(path+".burstiness", "shapes the gaps of an open loop: it must be above zero and needs a rate")
	}
	if l.Warmup < 0 {
		v.fault(path+".warmup", "must not be negative")
	}
	if l.API != "completions" && l.API != "chat" {
		v.fault(path+".api", "%q is not one of completions, chat", l.API)
	}
	if t := l.Temperature; t != nil && *t < 0 {
		v.fault(path+".temperature", "must not be negative")
	}
	for name := range l.Body {
		if slices.Contains(OwnBodyFields, name) {
			v.fault(path+".body."+name, "is set by lab: the prompt and its lengths come from the dataset, the rest is what the record is read from")
		}
	}
	v.dataset(path+".dataset", l)
}

func (v *validator) rampUp(path string, l Load) {
	r := l.RampUp
	if l.Rate > 0 {
		v.fault(path+".rate", "cannot stand beside ramp_up, which is a rate that changes: leave one of them out")
	}
	if l.Requests == 0 {
		v.fault(path+".requests", "is missing: ramp_up goes from start to end over the requests, so their number must be said")
	}
	if r.Strategy != "linear" && r.Strategy != "exponential" {
		v.fault(path+".ramp_up.strategy", "%q is not one of linear, exponential", r.Strategy)
	}
	if r.Start < 0 || r.Start == 0 && r.Strategy == "exponential" {
		v.fault(path+".ramp_up.start", "must be above zero (a linear ramp may start at 0)")
	}
	if r.End <= 0 {
		v.fault(path+".ramp_up.end", "must be above zero")
	}
}

// OwnBodyFields are the fields of a request that a load cannot set for itself.
var OwnBodyFields = []string{
	"max_completion_tokens", "max_tokens", "messages", "min_tokens", "n", "prompt", "stream", "stream_options",
}

// NamedFlags maps vllm flags to the experiment key that stands for them, so that no value can be given twice.
var NamedFlags = map[string]string{
	"model":                     "model",
	"swap-space":                "swap_space",
	"gpu-memory-utilization":    "gpu_memory_utilization",
	"kv-cache-memory-bytes":     "kv_cache_memory",
	"max-model-len":             "max_model_len",
	"max-num-seqs":              "max_num_seqs",
	"max-num-batched-tokens":    "max_num_batched_tokens",
	"tensor-parallel-size":      "tensor_parallel_size",
	"speculative-config":        "speculative",
	"enable-prefix-caching":     "prefix_caching",
	"no-enable-prefix-caching":  "prefix_caching",
	"enable-chunked-prefill":    "chunked_prefill",
	"no-enable-chunked-prefill": "chunked_prefill",
	"dtype":                     "dtype",
	"enforce-eager":             "eager",
	"no-enforce-eager":          "eager",
}

// OwnFlags are flags that a user cannot give, with the reason: lab sets them itself, or they would spoil the record.
var OwnFlags = map[string]string{
	"host":              "is set by lab: it serves on 127.0.0.1",
	"port":              "is set by lab: every run gets a fresh port",
	"uds":               "is not supported: lab talks HTTP over a port",
	"served-model-name": "is set by lab: a name of its own per run proves that the right server answers",
	"api-key":           "would be stored with the run: put the key in an environment variable and name it in server.api_key_env",
	"config":            "hides values from the record: write the flags in this file",
	"disable-log-stats": "removes the engine's metrics, which lab records",
}
