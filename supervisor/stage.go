package supervisor

import (
	"strings"
	"time"

	"lab/internal/lab"
)

// stages are the parts of a start-up in their order, each with the log lines that begin it, old spellings included.
// A later part never goes back to an earlier one: with several workers the same lines come again.
var stages = []struct {
	name    string
	markers []string
}{
	{"import", nil}, // from the start of the process; silent
	{"config", []string{"non-default args:", "args: Namespace(", "vLLM API server version", "vLLM server version"}},
	{"engine", []string{"Initializing a V1 LLM engine", "Initializing a V0 LLM engine", "Initializing an LLM engine"}},
	{"weights", []string{"Starting to load model"}},
	{"profile", []string{"Model loading took", "Loading model weights took"}},
	{"compile", []string{"Dynamo bytecode transform", "torch_compile_cache"}},
	{"kv-cache", []string{"KV cache size:", "Available KV cache memory", "# GPU blocks:", "# cpu blocks:", "# CPU blocks:"}},
	{"graphs", []string{"Capturing CUDA graph", "Capturing the model for CUDA graphs", "Capturing cudagraphs"}},
	{"routes", []string{"Starting vLLM API server", "Starting vLLM server on"}},
	{"canary", []string{"Application startup complete."}},
}

const serving = "serving" // the phase after a start-up

// startup reads the progress of a start-up and what the server settled on out of its log.
type startup struct {
	now      int // position in stages
	seen     []lab.Stage
	resolved map[string]string
}

func (s *startup) begin(at time.Duration) {
	s.seen = append(s.seen, lab.Stage{Name: stages[0].name, At: at})
}

func (s *startup) see(line lab.LogLine) {
	s.resolve(line.Text)
	for i := len(stages) - 1; i > s.now; i-- {
		for _, marker := range stages[i].markers {
			if strings.Contains(line.Text, marker) {
				s.enter(i, line.At)
				return
			}
		}
	}
}

func (s *startup) enter(i int, at time.Duration) {
	if n := len(s.seen); n > 0 {
		s.seen[n-1].Took = at - s.seen[n-1].At
	}
	s.now = i
	s.seen = append(s.seen, lab.Stage{Name: stages[i].name, At: at})
}

// end closes the last stage.
func (s *startup) end(at time.Duration) {
	if n := len(s.seen); n > 0 && s.seen[n-1].Took == 0 {
		s.seen[n-1].Took = at - s.seen[n-1].At
	}
}

// differs are values of one run, not of a configuration: they would show up as a difference in every comparison.
var differs = map[string]bool{"host": true, "port": true, "uds": true, "served_model_name": true, "model_tag": true, "api_key": true}

// resolve picks up the values that the server reports about itself.
func (s *startup) resolve(text string) {
	if s.resolved == nil {
		s.resolved = map[string]string{}
	}
	if _, list, ok := strings.Cut(text, "non-default args: {"); ok {
		s.keep("args.", strings.TrimSuffix(list, "}"), ": ")
		return
	}
	if _, rest, ok := strings.Cut(text, "Initializing a V"); ok && strings.Contains(rest, " LLM engine") {
		s.resolved["engine"] = "V" + rest[:1]
		if _, list, ok := strings.Cut(rest, "with config: "); ok {
			s.keep("engine.", list, "=")
		}
		return
	}
	for _, fact := range spoken {
		if _, rest, ok := strings.Cut(text, fact.before); ok {
			if fact.value != "" {
				s.resolved[fact.key] = fact.value
			} else if word := strings.TrimRight(firstWord(rest), ".,"); word != "" {
				s.resolved[fact.key] = word
			}
		}
	}
}

// spoken are single facts of the log: the word after a text, or a fixed value if the text occurs.
var spoken = []struct{ before, key, value string }{
	{"Using max model len ", "max_model_len", ""},
	{"Chunked prefill is enabled with max_num_batched_tokens=", "max_num_batched_tokens", ""},
	{"KV cache size: ", "kv_cache_tokens", ""},
	{"Available KV cache memory: ", "kv_cache_gib", ""},
	{"Asynchronous scheduling is enabled", "async_scheduling", "true"},
	{"Asynchronous scheduling is disabled", "async_scheduling", "false"},
	{"Using V2 Model Runner", "model_runner", "V2"},
	{"using the V1 model runner", "model_runner", "V1"},
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return strings.ReplaceAll(word, ",", "")
}

// keep enters a list that Python printed: key=value or 'key': value, between commas.
func (s *startup) keep(prefix, list, equals string) {
	for _, item := range splitTop(list, ", ") {
		key, value, ok := strings.Cut(item, equals)
		key = strings.Trim(key, "' ")
		if !ok || !flagName(strings.ToLower(key)) || differs[key] {
			continue
		}
		if value = strings.TrimSpace(value); value != "None" {
			s.resolved[prefix+key] = unquote(value)
		}
	}
}

// unquote takes the quotes off a plain Python string.
func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '\'' || value[0] == '"') && value[n-1] == value[0] && strings.Count(value, value[:1]) == 2 {
		return value[1 : n-1]
	}
	return value
}

// cacheConfig reads the labels of vllm:cache_config_info, the engine's own account of its cache.
func cacheConfig(metrics string) map[string]string {
	resolved := map[string]string{}
	for line := range strings.Lines(metrics) {
		list, ok := strings.CutPrefix(strings.TrimSpace(line), "vllm:cache_config_info{")
		if !ok {
			continue
		}
		if end := strings.LastIndexByte(list, '}'); end >= 0 {
			list = list[:end]
		}
		for _, label := range splitTop(list, ",") {
			key, value, ok := strings.Cut(label, "=")
			if value = unquote(value); ok && key != "engine" && value != "None" {
				resolved[key] = value
			}
		}
		return resolved // further engines of the same server are configured alike
	}
	return resolved
}
