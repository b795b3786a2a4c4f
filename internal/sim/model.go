package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// configError is a refusal that vllm makes after it has read its arguments: a traceback, exit code 1.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

func refuseConfig(format string, args ...any) error {
	return &configError{fmt.Sprintf(format, args...)}
}

const (
	defaultLen   = 32_768 // of a model that is only named
	weightsShare = 0.1    // of the GPU's memory, taken by the model
	invalid      = "pydantic_core._pydantic_core.ValidationError: 1 validation error for "
)

// apply works out what the flags and the model's folder come to.
func (c *command) apply() error {
	c.model = cmp.Or(c.last("model"), c.model, "Qwen/Qwen3-0.6B")
	c.host = cmp.Or(c.last("host"), c.host)
	c.port = c.number("port", c.port)
	c.names = c.given["served-model-name"]
	if len(c.names) == 0 {
		c.names = []string{c.model}
	}
	c.keys = c.given["api-key"]
	if key := os.Getenv("VLLM_API_KEY"); key != "" && len(c.keys) == 0 {
		c.keys = []string{key}
	}
	c.every = max(1, c.number("stream-interval", 1))
	c.drain = time.Duration(c.number("shutdown-timeout", 0)) * time.Second
	p := &c.physics
	p.MaxSeqs = c.number("max-num-seqs", p.MaxSeqs)
	p.BatchTokens = c.number("max-num-batched-tokens", p.BatchTokens)
	p.PrefixCache = c.switched("enable-prefix-caching", p.PrefixCache)
	p.Chunked = c.switched("enable-chunked-prefill", p.Chunked)
	for _, step := range []func() error{c.applyMemory, c.applyLength, c.applyScheduler} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// last is the value of a flag, or "".
func (c *command) last(name string) string {
	if values := c.given[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// number is the value of a flag that was checked to be one; "auto" and absence give the other.
func (c *command) number(name string, other int) int {
	if n, err := humanNumber(c.last(name)); err == nil {
		return n
	}
	return other
}

// switched is the state of a --x/--no-x pair; the later of the two wins.
func (c *command) switched(name string, state bool) bool {
	for _, given := range c.order {
		switch given {
		case name:
			state = true
		case "no-" + name:
			state = false
		}
	}
	return state
}

// applyMemory sizes the KV cache. --kv-tokens is what the version's default share of memory holds; more memory holds
// more.
func (c *command) applyMemory() error {
	p := &c.physics
	p.BlockTokens = max(1, c.number("block-size", p.BlockTokens))
	perToken := (c.t.gpuShare - weightsShare) * gpuMemory / float64(p.KVTokens)
	if text := c.last("gpu-memory-utilization"); text != "" {
		c.memory, _ = strconv.ParseFloat(text, 64) // checked to be a number
		switch {
		case c.memory > 1:
			return refuseConfig(invalid+"CacheConfig\ngpu_memory_utilization\n  Input should be less than or equal to 1 [type=less_than_equal, input_value=%s, input_type=float]", pythonFloat(c.memory))
		case !(c.memory > weightsShare):
			return refuseConfig("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.")
		}
		p.KVTokens = int((c.memory - weightsShare) * gpuMemory / perToken)
	}
	if bytes := c.number("kv-cache-memory-bytes", 0); bytes > 0 {
		p.KVTokens = int(float64(bytes) / perToken)
	}
	if blocks := c.number("num-gpu-blocks-override", 0); blocks > 0 {
		p.KVTokens = blocks * p.BlockTokens
	}
	p.KVTokens = max(p.BlockTokens, p.KVTokens/p.BlockTokens*p.BlockTokens)
	return nil
}

// applyLength sets the longest sequence; a model that is only named is taken as it is.
func (c *command) applyLength() error {
	limit, err := c.readModel()
	if err != nil {
		return err
	}
	c.maxLen = c.number("max-model-len", 0)
	if c.maxLen <= 0 {
		c.maxLen = cmp.Or(limit, min(defaultLen, c.physics.KVTokens))
	}
	if limit > 0 && c.maxLen > limit {
		return refuseConfig(invalid+"ModelConfig\n  Value error, User-specified max_model_len (%d) is greater than the derived max_model_len (max_position_embeddings=%s or model_max_length=None in model's config.json). To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.", c.maxLen, pythonFloat(float64(limit)))
	}
	return nil
}

// readModel looks at a model that is given as a folder: how long its sequences can be, and its vocabulary.
func (c *command) readModel() (limit int, err error) {
	text, err := os.ReadFile(filepath.Join(c.model, "config.json"))
	switch path := strings.HasPrefix(c.model, "/") || strings.HasPrefix(c.model, "."); {
	case err != nil && path:
		return 0, refuseConfig("huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '%s'. Use `repo_type` argument if needed.", c.model)
	case err != nil:
		return 0, nil
	}
	var config struct {
		Vocab int `json:"vocab_size"`
		Len   int `json:"max_position_embeddings"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return 0, refuseConfig("OSError: It looks like the config file at '%s/config.json' is not a valid JSON file.", c.model)
	}
	c.vocab = cmp.Or(config.Vocab, c.vocab)
	return config.Len, nil
}

func (c *command) applyScheduler() error {
	p := c.physics
	switch {
	case p.MaxSeqs < 1:
		return refuseConfig(invalid+"SchedulerConfig\nmax_num_seqs\n  Input should be greater than or equal to 1 [type=greater_than_equal, input_value=%d, input_type=int]", p.MaxSeqs)
	case p.BatchTokens < p.MaxSeqs:
		return refuseConfig(invalid+"SchedulerConfig\n  Value error, max_num_batched_tokens (%d) must be greater than or equal to max_num_seqs (%d).", p.BatchTokens, p.MaxSeqs)
	case !p.Chunked && p.BatchTokens < c.maxLen && c.last("max-num-batched-tokens") != "":
		return refuseConfig(invalid+"SchedulerConfig\n  Value error, max_num_batched_tokens (%d) is smaller than max_model_len (%d). This effectively limits the maximum sequence length to max_num_batched_tokens and makes vLLM reject longer sequences. Please increase max_num_batched_tokens or decrease max_model_len.", p.BatchTokens, c.maxLen)
	case !p.Chunked:
		c.physics.BatchTokens = max(p.BatchTokens, c.maxLen)
	}
	return nil
}

// tooLong is the refusal of a cache that holds less than one longest sequence; the engine makes it, after it has loaded.
func (c *command) tooLong() error {
	if c.maxLen <= c.physics.KVTokens {
		return nil
	}
	perToken := (c.t.gpuShare - weightsShare) * 80 / float64(c.physics.KVTokens)
	return refuseConfig("ValueError: To serve at least one request with the model's max seq len (%d), (%.2f GiB KV cache is needed, which is larger than the available KV cache memory (%.2f GiB). Based on the available memory, the estimated maximum model length is %d.",
		c.maxLen, perToken*float64(c.maxLen), perToken*float64(c.physics.KVTokens), c.physics.KVTokens)
}

func pythonFloat(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
