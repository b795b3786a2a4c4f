package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Experiment is what one YAML file asks for: a server, the load on it, what decides and what is watched.
// It is pure input: nothing in it changes after it was read.
type Experiment struct {
	Name    string  `json:"name,omitempty"`
	Server  Server  `json:"server"`
	Phases  []Phase `json:"load"`
	Primary string  `json:"primary,omitempty"` // a metric name of the catalogue (docs/metrics.md); empty: by the kind of load
	Margin  float64 `json:"margin,omitempty"`  // relative difference that does not matter, 0.03 = 3 %

	Guardrails []string `json:"guardrails,omitzero"` // metrics that must not become worse; nil: the usual ones, empty: none

	Telemetry Telemetry `json:"telemetry"`
	SLO       []SLO     `json:"slo,omitempty"`

	Profile *ProfileWindow `json:"profile,omitempty"` // nil: no extra run with the profiler on
}

// Server says which vLLM server to run and how, or which running one to use.
//
// Model, BaseURL: with BaseURL the server already runs and none of the keys that shape a process apply.
// Nil means "not set": the flag is then not passed and the installed vllm's own default holds.
type Server struct {
	Model   string `json:"model,omitempty"`
	BaseURL string `json:"base_url,omitempty"`

	// Where vllm is: at most one of these; none means `vllm` on PATH.
	Executable string     `json:"executable,omitempty"` // path of the vllm command
	Venv       string     `json:"venv,omitempty"`       // folder of a virtual environment that has vllm
	Python     string     `json:"python,omitempty"`     // interpreter that can import vllm
	Simulator  *Simulator `json:"simulator,omitempty"`  // lab's own simulated server instead of vllm

	// What people tune. Each is checked for its unit and rendered as the flag that the installed version has.
	SwapSpace            *Bytes         `json:"swap_space,omitempty"` // CPU swap per GPU; the V0 engine only
	GPUMemoryUtilization *float64       `json:"gpu_memory_utilization,omitempty"`
	KVCacheMemory        *Bytes         `json:"kv_cache_memory,omitempty"`
	MaxModelLen          *int           `json:"max_model_len,omitempty"`          // tokens
	MaxNumSeqs           *int           `json:"max_num_seqs,omitempty"`           // sequences
	MaxNumBatchedTokens  *int           `json:"max_num_batched_tokens,omitempty"` // tokens a step
	TensorParallelSize   *int           `json:"tensor_parallel_size,omitempty"`   // GPUs
	Speculative          map[string]any `json:"speculative,omitempty"`            // vLLM's --speculative-config
	PrefixCaching        *bool          `json:"prefix_caching,omitempty"`
	ChunkedPrefill       *bool          `json:"chunked_prefill,omitempty"`
	Dtype                string         `json:"dtype,omitempty"`
	Eager                *bool          `json:"eager,omitempty"`

	Args map[string]any    `json:"args,omitempty"` // any other vllm flag by its own name: scalar, bool, list or mapping (JSON)
	Env  map[string]string `json:"env,omitempty"`
	GPUs []string          `json:"gpus,omitempty"` // indices or UUIDs, as CUDA_VISIBLE_DEVICES takes them

	APIKeyEnv    string   `json:"api_key_env,omitempty"` // name of the variable that holds the key; the key itself is never stored
	StartTimeout Duration `json:"start_timeout,omitempty"`
	HangTimeout  Duration `json:"hang_timeout,omitempty"` // no token for this long while requests are in flight: hung
	StopTimeout  Duration `json:"stop_timeout,omitempty"`
}

// Simulator asks for lab's own simulated server (lab sim). Flags are flags of `lab sim` beyond vLLM's own, by name
// without dashes, for example {"step-time": "8ms", "fail": "crash-after=3s"}.
type Simulator struct {
	As    string            `json:"as,omitempty"` // the vLLM version whose help, errors and metric names it answers with
	Flags map[string]string `json:"flags,omitempty"`
}

// Telemetry says what is sampled beside the load.
type Telemetry struct {
	Period  Duration `json:"period,omitempty"`  // of the fast GPU group; default 50ms
	Replay  string   `json:"replay,omitempty"`  // a trace file that stands in for the GPU
	Off     bool     `json:"off,omitempty"`     // sample nothing
	Require bool     `json:"require,omitempty"` // no GPU is then an obstacle (exit 4), not a note
}

// SLO is one limit a request must keep to count as good: TTFT, TPOT or E2EL at most Limit.
type SLO struct {
	Metric string   `json:"metric"` // "ttft", "tpot" or "e2el"
	Limit  Duration `json:"limit"`
}

// Key identifies what a run of an experiment does: two files that ask for the same server and load have the same key,
// whatever they are called and however their runs are judged (primary, margin, guardrails). A rate that was found by
// measuring the capacity is no part of it, for it is another each time; the share that was asked for is. It is a hash of
// the canonical JSON without all that: 16 hexadecimal digits.
func (e Experiment) Key() string {
	e.Name, e.Primary, e.Margin, e.Guardrails = "", "", 0, nil
	e.Phases = slices.Clone(e.Phases)
	for i := range e.Phases {
		if load := &e.Phases[i].Load; load.CapacityShare > 0 {
			load.Rate = 0
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		// Only values that the reader of experiments built can be in here, and all of them have a JSON form.
		panic("hash experiment: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Alike says whether runs of two experiments may be set beside one another as runs of one: they do the same, and where
// the rate was found by measuring the capacity, at the same rate.
func (e Experiment) Alike(o Experiment) bool {
	return e.Key() == o.Key() && slices.EqualFunc(e.Phases, o.Phases, func(p, q Phase) bool { return p.Load.Rate == q.Load.Rate })
}

// Attached says whether the experiment uses a server that already runs instead of starting one.
func (e Experiment) Attached() bool { return e.Server.BaseURL != "" }
