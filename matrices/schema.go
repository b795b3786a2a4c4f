package matrices

import (
	"encoding/json"
	"reflect"

	"lab/internal/lab"
)

// docs explains the keys; a test holds it to the fields that the reader knows.
var docs = map[string]string{
	"name":      "what the experiment is called; default: the file's name",
	"extends":   "another experiment file: everything in it holds, except what this file says otherwise",
	"server":    "the vLLM server to run, or the running one to use",
	"load":      "what is sent: one phase, or a list of phases run in order",
	"primary":   "the metric that decides an A/B; default: tpot.mean in an open loop, output_throughput in a closed loop",
	"margin":    "relative difference that does not matter, such as 3%",
	"telemetry": "what is sampled beside the load; off samples nothing",
	"slo":       "limits of a good request, for goodput",

	"server.model":                  "a name on the hub or a folder",
	"server.base_url":               "a server that already runs, such as http://127.0.0.1:8000",
	"server.executable":             "path of the vllm command",
	"server.venv":                   "virtual environment that has vllm",
	"server.python":                 "Python interpreter that can import vllm",
	"server.simulator":              "lab's own simulated server in place of vllm",
	"server.swap_space":             "CPU swap per GPU, such as 4GiB; vLLM below 0.18, used by its V0 engine only",
	"server.gpu_memory_utilization": "share of GPU memory that vLLM takes, such as 90%",
	"server.kv_cache_memory":        "memory of the KV cache, such as 24GiB; the best way to make two arms alike",
	"server.max_model_len":          "longest context in tokens",
	"server.max_num_seqs":           "most sequences in a batch",
	"server.max_num_batched_tokens": "most tokens in a step",
	"server.tensor_parallel_size":   "GPUs that share the model",
	"server.speculative":            "vLLM's speculative-config, such as {method: ngram, num_speculative_tokens: 4}",
	"server.prefix_caching":         "prefix caching on or off",
	"server.chunked_prefill":        "chunked prefill on or off",
	"server.dtype":                  "auto, bfloat16, float16 …",
	"server.eager":                  "no compilation and no CUDA graphs",
	"server.args":                   "any other flag of vllm serve by its own name",
	"server.env":                    "environment variables of the server",
	"server.gpus":                   "GPUs to use, by index or UUID",
	"server.api_key_env":            "name of the environment variable that holds the API key",
	"server.start_timeout":          "longest start-up, such as 10m",
	"server.hang_timeout":           "no token for this long while requests are in flight: the server hangs",
	"server.stop_timeout":           "how long a stop may take before it is forced",
	"server.simulator.as":           "the vLLM version to play",
	"server.simulator.flags":        "flags of `lab sim` by name, such as {step-time: 8ms}",

	"load.name":            "what the phase is called",
	"load.judged":          "its figures enter the verdict; default true",
	"load.rate":            "open loop: requests a second, or inf for all at once",
	"load.concurrency":     "closed loop: requests in flight; with rate: at most so many",
	"load.requests":        "ends after so many requests",
	"load.duration":        "ends after this time, such as 60s",
	"load.burstiness":      "1 is Poisson, below 1 burstier, inf is evenly spaced",
	"load.seed":            "of arrival times and prompts",
	"load.warmup":          "requests sent before the phase and not measured",
	"load.api":             "completions or chat",
	"load.temperature":     "default 0",
	"load.body":            "further fields of the request, sent as they are",
	"load.request_timeout": "longest time for one request",
	"load.dataset":         "where prompts come from",

	"load.dataset.kind":          "random (token ids of exact length) or prompts (a file)",
	"load.dataset.input_tokens":  "length of random prompts",
	"load.dataset.output_tokens": "tokens to generate, exactly",
	"load.dataset.range_ratio":   "lengths are uniform in [L(1-r), L(1+r)]",
	"load.dataset.prefix_tokens": "tokens that all prompts share, on top",
	"load.dataset.vocab":         "token ids are below this; default: the model's config.json",
	"load.dataset.file":          `JSONL, a line each: {"prompt": text or ids} or {"messages": [...]}`,

	"telemetry.period":  "of power and energy samples, such as 50ms",
	"telemetry.replay":  "a recorded trace in place of the GPU",
	"telemetry.require": "no GPU is then an obstacle",

	"slo.ttft": "longest time to the first token",
	"slo.tpot": "longest time per further token",
	"slo.e2el": "longest time to the last token",
}

// choices are the values of keys that know only these.
var choices = map[string][]string{
	"load.api":          {"completions", "chat"},
	"load.dataset.kind": {"random", "prompts"},
}

// schemaVersion is the dialect of JSON Schema that editors understand.
const schemaVersion = "https://json-schema.org/draft/2020-12/schema"

// object is a part of a schema.
type object map[string]any

// Schema is the JSON Schema of experiment files. It is made from the same fields that the reader fills.
func Schema() []byte {
	root := structSchema("", reflect.TypeFor[lab.Experiment]())
	keys := root["properties"].(object)
	phase := structSchema("load", reflect.TypeFor[lab.Phase]())
	telemetry := structSchema("telemetry", reflect.TypeFor[lab.Telemetry]())
	keys["extends"] = describe("extends", object{"type": "string"})
	keys["load"] = describe("load", object{"oneOf": []object{phase, {"type": "array", "items": phase}}})
	keys["telemetry"] = describe("telemetry", object{"oneOf": []object{telemetry, {"enum": []any{"off", false}}}})
	limits := object{}
	for _, name := range []string{"ttft", "tpot", "e2el"} {
		limits[name] = describe("slo."+name, durationSchema())
	}
	keys["slo"] = describe("slo", object{"type": "object", "properties": limits, "additionalProperties": false})
	root["$schema"], root["title"] = schemaVersion, "lab experiment"
	root["patternProperties"] = object{"^x-": object{}}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("encode schema: " + err.Error()) // strings and maps only
	}
	return text
}

func describe(path string, o object) object {
	o["description"] = docs[path]
	return o
}

func structSchema(path string, t reflect.Type) object {
	properties := object{}
	addFields(path, t, properties)
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

func addFields(path string, t reflect.Type, into object) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := jsonName(f)
		if inlined(t, name) {
			addFields(path, f.Type, into)
			continue
		}
		if special(t, name) {
			continue
		}
		full := name
		if path != "" {
			full = path + "." + name
		}
		into[name] = describe(full, typeSchema(full, name, f.Type))
	}
}

func durationSchema() object {
	return object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}
}

func typeSchema(path, name string, t reflect.Type) object {
	switch t {
	case reflect.TypeFor[lab.Duration]():
		return durationSchema()
	case reflect.TypeFor[*lab.Bytes]():
		return object{"type": "string", "pattern": `^[0-9.]+ ?(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)$`}
	case reflect.TypeFor[lab.Number]():
		return object{"oneOf": []object{{"type": "number"}, {"const": "inf"}}}
	}
	if values, ok := choices[path]; ok {
		return object{"enum": values}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(path, name, t.Elem())
	case reflect.Struct:
		return structSchema(path, t)
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float64:
		if percent(name) {
			return object{"type": "string", "pattern": `^[0-9.]+ ?%$`}
		}
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": []string{"array", "string", "integer"}, "items": object{"type": []string{"string", "integer"}}}
	case reflect.Map:
		if t.Elem().Kind() == reflect.String {
			return object{"type": "object", "additionalProperties": object{"type": []string{"string", "number", "boolean"}}}
		}
		return object{"type": "object"}
	}
	panic("no schema for " + path) // as in reader.value
}
