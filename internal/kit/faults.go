package kit

import (
	"strings"

	"lab/internal/lab"
)

// inWords tells faults of the experiment in the words of the command line.
func (a *Arguments) inWords(faults lab.Faults) string {
	words := strings.NewReplacer("use api: chat", "use --backend openai-chat", "use api: completions", "use --backend openai", "untimed: true", "--no-self-timed")
	var all []string
	for _, f := range faults {
		all = append(all, a.flagOf(f.Path)+" "+words.Replace(f.Problem))
	}
	return strings.Join(all, "; ")
}

// flagOf is the flag behind a field of the experiment, or else the field.
func (a *Arguments) flagOf(path string) string {
	path = strings.TrimPrefix(path, "load.")
	if field, ok := strings.CutPrefix(path, "body."); ok {
		return "--extra-body: " + field
	}
	if flag := flagsOfFields[path]; flag != "" {
		return flag
	}
	field, ok := strings.CutPrefix(path, "dataset.")
	if !ok {
		return path
	}
	kind := a.Word("dataset-name")
	if kind == "random-mm" {
		kind = "random"
	}
	if flag := flagsOfDatasets[kind][field]; flag != "" {
		return flag
	}
	return field
}

var flagsOfFields = map[string]string{
	"server.base_url": "--base-url", "requests": "--num-prompts", "concurrency": "--max-concurrency", "rate": "--request-rate",
	"burstiness": "--burstiness", "seed": "--seed", "temperature": "--temperature", "warmup": "--num-warmups",
	"dataset.kind": "--dataset-name", "dataset.file": "--dataset-path",
}

var flagsOfDatasets = map[string]map[string]string{
	"random": {
		"input_tokens": "--random-input-len", "output_tokens": "--random-output-len", "prefix_tokens": "--random-prefix-len",
		"range_ratio": "--random-range-ratio", "output_range_ratio": "--random-range-ratio",
		"images.items": "--random-mm-base-items-per-request", "images.range_ratio": "--random-mm-num-mm-items-range-ratio",
		"images.limit": "--random-mm-limit-mm-per-prompt", "images.buckets": "--random-mm-bucket-config",
	},
	"prefix_repetition": {
		"input_tokens": "--prefix-repetition-suffix-len", "output_tokens": "--prefix-repetition-output-len",
		"prefix_tokens": "--prefix-repetition-prefix-len", "prefixes": "--prefix-repetition-num-prefixes",
	},
	"timed_trace": {"trace.block_tokens": "--timed-trace-chunk-hash-size", "trace.seconds_unit": "--timed-trace-sec-multiplier"},
}
