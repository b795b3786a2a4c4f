package lab

import (
	"math"
	"slices"
	"strings"
)

// DatasetKinds are the kinds of data sets; Dataset says what they are.
var DatasetKinds = []string{"random", "prompts", "custom", "sharegpt", "prefix_repetition", "timed_trace", "random-mm", "hf"}

// datasetField is a field of a data set that does not belong to every kind.
type datasetField struct {
	name  string
	set   func(d Dataset) bool
	kinds []string
}

// datasetFields says which field belongs to which kinds.
var datasetFields = []datasetField{
	{"input_tokens", func(d Dataset) bool { return d.InputTokens != 0 }, []string{"random", "prefix_repetition", "random-mm"}},
	{"output_tokens", func(d Dataset) bool { return d.OutputTokens != 0 }, []string{"random", "prompts", "custom", "sharegpt", "prefix_repetition", "random-mm", "hf"}},
	{"range_ratio", func(d Dataset) bool { return d.RangeRatio != 0 }, []string{"random", "random-mm"}},
	{"output_range_ratio", func(d Dataset) bool { return d.OutputRangeRatio != nil }, []string{"random", "random-mm"}},
	{"prefix_tokens", func(d Dataset) bool { return d.PrefixTokens != 0 }, []string{"random", "prefix_repetition", "random-mm"}},
	{"prefixes", func(d Dataset) bool { return d.Prefixes != 0 }, []string{"prefix_repetition"}},
	{"vocab", func(d Dataset) bool { return d.Vocab != 0 }, []string{"random", "prefix_repetition", "timed_trace", "random-mm"}},
	{"file", func(d Dataset) bool { return d.File != "" }, []string{"prompts", "custom", "sharegpt", "timed_trace", "hf"}},
	{"name", func(d Dataset) bool { return d.Name != "" }, []string{"hf"}},
	{"subset", func(d Dataset) bool { return d.Subset != "" }, []string{"hf"}},
	{"split", func(d Dataset) bool { return d.Split != "" }, []string{"hf"}},
	{"fixed_output", func(d Dataset) bool { return d.FixedOutput }, []string{"custom", "sharegpt", "hf"}},
	{"no_shuffle", func(d Dataset) bool { return d.NoShuffle }, []string{"custom", "sharegpt", "prefix_repetition", "hf"}},
	{"no_oversample", func(d Dataset) bool { return d.NoOversample }, []string{"prompts", "custom", "sharegpt", "hf"}},
	{"no_chat_template", func(d Dataset) bool { return d.NoChatTemplate }, []string{"custom", "hf"}},
	{"tokenizer", func(d Dataset) bool { return d.Tokenizer != "" }, []string{"random", "custom", "sharegpt", "prefix_repetition", "timed_trace", "random-mm", "hf"}},
	{"images", func(d Dataset) bool { return d.Images != nil }, []string{"random-mm"}},
	{"trace", func(d Dataset) bool { return d.Trace != nil }, []string{"timed_trace"}},
}

func (v *validator) dataset(path string, l Load) {
	d := l.Dataset
	if !slices.Contains(DatasetKinds, d.Kind) {
		v.fault(path+".kind", "%q is not one of %s", d.Kind, strings.Join(DatasetKinds, ", "))
		return
	}
	for _, f := range datasetFields {
		if f.set(d) && !slices.Contains(f.kinds, d.Kind) {
			v.fault(path+"."+f.name, "belongs to kind: %s", strings.Join(f.kinds, ", "))
		}
	}
	if d.OutputTokens < 0 {
		v.fault(path+".output_tokens", "must be above zero")
	}
	if d.FixedOutput && d.OutputTokens == 0 {
		v.fault(path+".output_tokens", "is missing: fixed_output takes it for every prompt")
	}
	switch d.Kind {
	case "random", "random-mm", "prefix_repetition":
		v.randomDataset(path, l)
	case "timed_trace":
		v.traceDataset(path, l)
	case "sharegpt":
		if d.OutputTokens > 0 && !d.FixedOutput {
			v.fault(path+".output_tokens", "needs fixed_output: true: else the answers in the file say how many tokens to generate")
		}
	}
	if d.File == "" {
		if what, ok := datasetFiles[d.Kind]; ok {
			v.fault(path+".file", "is missing: %s", what)
		}
	}
	if d.Vocab != 0 && d.Vocab < 16 {
		v.fault(path+".vocab", "must be at least 16")
	}
}

// datasetFiles says what the file of a kind is.
var datasetFiles = map[string]string{
	"prompts":     "a JSONL file with a prompt on each line",
	"custom":      `a JSONL file with {"prompt": text} on each line, and "output_tokens" where they differ`,
	"sharegpt":    "the ShareGPT JSON file, a list of {conversations: [{value: text}, …]}",
	"timed_trace": "a JSONL file with timestamp, input_length, output_length and hash_ids on each line",
	"hf":          "a Parquet, JSON or JSONL file, or a folder of them; lab never downloads",
}

func (v *validator) randomDataset(path string, l Load) {
	d := l.Dataset
	if d.InputTokens <= 0 {
		v.fault(path+".input_tokens", "must be above zero")
	}
	if d.OutputTokens == 0 {
		v.fault(path+".output_tokens", "must be above zero")
	}
	if !(d.RangeRatio >= 0 && d.RangeRatio < 1) {
		v.fault(path+".range_ratio", "must be at least 0 and below 1")
	}
	if r := d.OutputRangeRatio; r != nil && !(*r >= 0 && *r < 1) {
		v.fault(path+".output_range_ratio", "must be at least 0 and below 1")
	}
	if d.PrefixTokens < 0 {
		v.fault(path+".prefix_tokens", "must not be negative")
	}
	switch d.Kind {
	case "prefix_repetition":
		if d.PrefixTokens == 0 {
			v.fault(path+".prefix_tokens", "must be above zero")
		}
		if d.Prefixes <= 0 {
			v.fault(path+".prefixes", "must be above zero")
		}
		if l.Requests > 0 && d.Prefixes > l.Requests {
			v.fault(path+".prefixes", "are more than the load's %d requests: every prefix needs one at least", l.Requests)
		}
	case "random-mm":
		v.images(path, l)
	}
}

func (v *validator) images(path string, l Load) {
	if l.API != "chat" {
		v.fault(path+".kind", "random-mm sends images, which only the chat endpoint takes: use api: chat")
	}
	path += ".images"
	m := l.Dataset.Images
	if m == nil {
		v.fault(path, "is missing: say how many and how large, for example {items: 1, buckets: [{width: 256, height: 256, share: 1}]}")
		return
	}
	if m.Items < 0 {
		v.fault(path+".items", "must not be negative")
	}
	if !(m.RangeRatio >= 0 && m.RangeRatio <= 1) {
		v.fault(path+".range_ratio", "must be at least 0 and at most 1")
	} else if fewest := math.Floor(float64(m.Items) * (1 - m.RangeRatio)); m.Limit > 0 && fewest > float64(m.Limit) {
		v.fault(path+".limit", "is below the %.0f images that every request has at least", fewest)
	}
	if m.Limit < 0 {
		v.fault(path+".limit", "must not be negative; without it there is no bound")
	}
	total := 0.0
	for _, b := range m.Buckets {
		const largest = 1<<16 - 1 // of JPEG
		if b.Width < 1 || b.Width > largest || b.Height < 1 || b.Height > largest {
			v.fault(path+".buckets", "a size of %d x %d is out of range: 1 to %d pixels each way", b.Width, b.Height, largest)
		}
		if !(b.Share >= 0) || math.IsInf(b.Share, 1) {
			v.fault(path+".buckets", "a share must not be negative")
		}
		total += b.Share
	}
	if !(total > 0) {
		v.fault(path+".buckets", "must hold a size with a share above zero, for example [{width: 256, height: 256, share: 1}]")
	}
}

func (v *validator) traceDataset(path string, l Load) {
	if l.API == "chat" {
		v.fault(path+".kind", "the prompts of a trace are token ids, which the chat endpoint does not take: use api: completions")
	}
	t := l.Dataset.Trace
	if t == nil {
		v.fault(path+".trace", "is missing: say {block_tokens: 512, seconds_unit: 0.001} for Mooncake's traces; vLLM's default is 16 and 1")
		return
	}
	const longest = 1 << 24 // far beyond every context window
	if t.BlockTokens <= 0 || t.BlockTokens > longest {
		v.fault(path+".trace.block_tokens", "must be above zero and at most %d", longest)
	}
	if !(t.SecondsUnit > 0) || math.IsInf(t.SecondsUnit, 1) {
		v.fault(path+".trace.seconds_unit", "must be above zero: seconds in one unit of the time stamps")
	}
}
