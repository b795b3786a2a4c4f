package kit

// option is one flag of `vllm bench serve`, or of the older benchmark_serving.py.
type option struct {
	name    string
	kind    kind
	initial string   // the value where none is given; empty: none
	choices []string // the only values there are; nil: any
	only    []string // the data sets it says something to; nil: all
	whole   bool     // vLLM 0.32 does not have it: its abbreviations must not become ambiguous by it
	help    string
	moot    string // it is accepted and changes nothing, because …
	refused string // it is refused, because …
}

// kind says how many words a flag takes, and of what.
type kind int

const (
	single kind = iota
	toggle      // no value
	integer
	float
	pace    // a number above zero, or inf
	several // one word or more
	asJSON  // JSON; also by dots, --extra-body.a.b 1
)

// section is a group of flags as the help shows them.
type section struct {
	title string
	flags []option
}

const (
	otherModels = "lab measures text generation: --backend vllm, openai and openai-chat"
	otherData   = "lab does not read this data set"
	picture     = "lab draws from the record: lab visualize"
)

// sections lists every flag of vllm bench serve 0.32 and of benchmark_serving.py, and lab's own last.
var sections = []section{
	{"Server", []option{
		{name: "backend", initial: "openai", choices: []string{"openai", "vllm", "openai-chat"}, help: "vllm and openai: completions; openai-chat: chat"},
		{name: "endpoint-type", whole: true, choices: []string{"openai", "vllm", "openai-chat"}, help: "the older name of --backend"},
		{name: "base-url", help: "the server, in place of host and port"},
		{name: "host", initial: "127.0.0.1"},
		{name: "port", kind: integer, initial: "8000"},
		{name: "endpoint", help: "path of the request; default: the one of the backend"},
		{name: "model", help: "name of the model; default: the first one that the server names"},
		{name: "served-model-name", help: "the model's name in requests; default: --model"},
		{name: "header", kind: several, help: "KEY=VALUE … sent with every request"},
		{name: "insecure", kind: toggle, help: "do not check the server's certificate"},
		{name: "request-id-prefix", help: "prefix of X-Request-Id; default: made from the run's ID"},
		{name: "extra-body", kind: asJSON, help: "JSON of further fields of the request"},
		{name: "lora-modules", kind: several, refused: "lab sends one model name: run lab bench once per adapter with --served-model-name"},
		{name: "lora-assignment", refused: "lab sends one model name: run lab bench once per adapter with --served-model-name"},
	}},
	{"Load", []option{
		{name: "num-prompts", kind: integer, initial: "1000"},
		{name: "request-rate", kind: pace, initial: "inf", help: "requests a second; inf: all at once"},
		{name: "burstiness", kind: pace, initial: "1.0", help: "shape of the gamma distribution of gaps: 1 Poisson, inf even"},
		{name: "max-concurrency", kind: integer, help: "most requests in flight"},
		{name: "ramp-up-strategy", choices: []string{"linear", "exponential"}, help: "a rate that changes over the requests"},
		{name: "ramp-up-start-rps", kind: integer},
		{name: "ramp-up-end-rps", kind: integer},
		{name: "num-warmups", kind: integer, initial: "0", help: "requests before the measurement, with prompts of their own"},
		{name: "ready-check-timeout-sec", kind: integer, initial: "0", help: "wait so long for the server; 0: it must be there"},
		{name: "seed", kind: integer, initial: "0", help: "of arrivals and prompts"},
		{name: "ignore-eos", kind: toggle, help: "generate exactly the tokens asked for; always on for random data"},
		{name: "profile", kind: toggle, help: "run the server's torch profiler beside the load"},
		{name: "self-timed", kind: toggle, help: "timed_trace: send at the trace's own times (default)"},
		{name: "no-self-timed", kind: toggle, help: "timed_trace: send at --request-rate"},
		{name: "probe-request-rate", kind: float, refused: "lab sends no probes: the requests' own latencies are in the record"},
	}},
	{"Sampling", []option{
		{name: "temperature", kind: float}, {name: "top-p", kind: float}, {name: "top-k", kind: integer},
		{name: "min-p", kind: float}, {name: "frequency-penalty", kind: float}, {name: "presence-penalty", kind: float},
		{name: "repetition-penalty", kind: float}, {name: "logprobs", kind: integer},
		{name: "use-beam-search", kind: toggle, moot: "vllm bench serve never sends it either"},
		{name: "best-of", whole: true, kind: integer, refused: "vLLM no longer has it"},
	}},
	{"Data set", []option{
		{name: "dataset-name", initial: "random", help: "random, random-mm, sharegpt, custom, prefix_repetition, timed_trace, hf"},
		{name: "dataset-path", help: "file, or folder for hf: lab never downloads"},
		{name: "dataset", whole: true, refused: "it was replaced by --dataset-name and --dataset-path"},
		{name: "input-len", kind: integer, help: "prompt length, whatever the data set calls it"},
		{name: "output-len", kind: integer, help: "output length, whatever the data set calls it"},
		{name: "disable-shuffle", kind: toggle, only: []string{"custom", "sharegpt", "prefix_repetition", "hf"}, help: "prompts in the order of the file"},
		{name: "no-oversample", kind: toggle, only: []string{"custom", "sharegpt", "hf"}, help: "do not repeat a file that is shorter than --num-prompts"},
		{name: "skip-chat-template", kind: toggle, only: []string{"custom", "hf"}, help: "send a prompt as it stands"},
		{name: "custom-skip-chat-template", kind: toggle, only: []string{"custom", "hf"}, whole: true, help: "the older name of --skip-chat-template"},
		{name: "tokenizer", help: "folder or hub name; default: the model's"},
		{name: "random-input-len", kind: integer, initial: "1024"},
		{name: "random-output-len", kind: integer, initial: "128"},
		{name: "random-range-ratio", initial: "0.0", help: `lengths within [L(1-r), L(1+r)]; a number, or {"input": r, "output": r}`},
		{name: "random-prefix-len", kind: integer, initial: "0"},
		{name: "random-mm-base-items-per-request", kind: integer, initial: "1"},
		{name: "random-mm-num-mm-items-range-ratio", kind: float, initial: "0"},
		{name: "random-mm-limit-mm-per-prompt", kind: asJSON, initial: `{"image": 255, "video": 1}`},
		{name: "random-mm-bucket-config", initial: "{(256, 256, 1): 0.5, (720, 1280, 1): 0.5, (720, 1280, 16): 0.0}", help: "{(height, width, 1): share, …}"},
		{name: "sharegpt-output-len", kind: integer},
		{name: "custom-output-len", kind: integer, initial: "256", help: "-1: output_tokens of each line"},
		{name: "hf-name", help: "which data set of the hub --dataset-path is a copy of"},
		{name: "hf-subset"}, {name: "hf-split"}, {name: "hf-output-len", kind: integer},
		{name: "prefix-repetition-prefix-len", kind: integer, initial: "256"},
		{name: "prefix-repetition-suffix-len", kind: integer, initial: "256"},
		{name: "prefix-repetition-num-prefixes", kind: integer, initial: "10"},
		{name: "prefix-repetition-output-len", kind: integer, initial: "128"},
		{name: "timed-trace-chunk-hash-size", kind: integer, initial: "16"},
		{name: "timed-trace-sec-multiplier", kind: float, initial: "1"},
		{name: "timed-trace-label-timestamp", initial: "timestamp"},
		{name: "timed-trace-label-input-length", initial: "input_length"},
		{name: "timed-trace-label-output-length", initial: "output_length"},
		{name: "timed-trace-label-hash-ids", initial: "hash_ids"},
		{name: "tokenizer-mode", choices: []string{"auto", "hf"}, moot: "lab has one way to read a tokenizer"},
		{name: "trust-remote-code", kind: toggle, moot: "lab runs no code of a model"},
		{name: "skip-tokenizer-init", kind: toggle, moot: "lab reads a tokenizer only where the data set needs one"},
		{name: "no-stream", kind: toggle, moot: "lab reads local files only"},
		{name: "enable-multimodal-chat", kind: toggle, moot: "lab sends images to the chat endpoint whenever the data set has some"},
		{name: "chat-template-kwargs", kind: asJSON, refused: `the server applies the template: --backend openai-chat with --extra-body '{"chat_template_kwargs": …}'`},
		{name: "custom-ensure-client-side-data", kind: toggle, refused: otherData},
		{name: "no-reranker", kind: toggle, refused: otherModels},
		{name: "random-batch-size", kind: integer, refused: otherModels},
		{name: "spec-bench-output-len", kind: integer, refused: otherData}, {name: "spec-bench-category", refused: otherData},
		{name: "speed-bench-dataset-subset", refused: otherData}, {name: "speed-bench-output-len", kind: integer, refused: otherData},
		{name: "speed-bench-category", refused: otherData},
		{name: "sonnet-input-len", whole: true, kind: integer, refused: otherData}, {name: "sonnet-output-len", whole: true, kind: integer, refused: otherData},
		{name: "sonnet-prefix-len", whole: true, kind: integer, refused: otherData},
		{name: "blazedit-min-distance", kind: float, refused: otherData}, {name: "blazedit-max-distance", kind: float, refused: otherData},
		{name: "asr-min-audio-len-sec", kind: float, refused: otherData}, {name: "asr-max-audio-len-sec", kind: float, refused: otherData},
		{name: "bfcl-categories", refused: otherData},
	}},
	{"Result", []option{
		{name: "percentile-metrics", initial: "ttft,tpot,itl", help: "ttft, tpot, itl, e2el, client_queue_time, e2el_including_client_queue"},
		{name: "metric-percentiles", initial: "99"},
		{name: "goodput", kind: several, help: "ttft:MS tpot:MS e2el:MS: limits of a good request"},
		{name: "save-result", kind: toggle, help: "write the result JSON"},
		{name: "save-detailed", kind: toggle, help: "with the lists by request"},
		{name: "append-result", kind: toggle, help: "add to the file"},
		{name: "result-dir"}, {name: "result-filename"}, {name: "label"},
		{name: "metadata", kind: several, help: "KEY=VALUE … kept in the result"},
		{name: "disable-tqdm", kind: toggle, help: "show no progress"},
		{name: "plot-timeline", kind: toggle, refused: picture}, {name: "timeline-itl-thresholds", refused: picture},
		{name: "plot-dataset-stats", kind: toggle, refused: picture},
		{name: "log-config-file", whole: true, refused: "lab has no log to configure"},
	}},
	{"Of lab", []option{
		{name: "preconnect", whole: true, kind: toggle, help: "open connections before they are needed, as lab run does"},
		{name: "json", whole: true, kind: toggle, help: "print lab's run document in place of vLLM's block"},
		{name: "wait", whole: true, kind: toggle, help: "wait while another lab measures on this box, instead of exit 4"},
		{name: "ui", whole: true, initial: "auto", choices: []string{"auto", "live", "plain", "none"}, help: "how to show how it goes: live redraws in place, auto does so on a terminal and prints plain lines elsewhere"},
		{name: "pprof", whole: true, help: "write a CPU profile of lab itself to this file, and one of its heap beside it"},
		{name: "dir", whole: true, help: "folder of the records (default $LAB_DIR, else $XDG_DATA_HOME/lab)"},
		{name: "help", kind: toggle},
	}},
}
