package lab

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// faultsOf are the faults of an experiment that has nothing but a load.
func faultsOf(l Load) (all []string) {
	l.Requests = max(l.Requests, 1)
	if !l.Timed() {
		l.Concurrency = 1
	}
	e := Experiment{Server: Server{Model: "m"}, Margin: 0.05, Phases: []Phase{{Name: "p", Judged: true, Load: l}}}
	for _, f := range e.Validate() {
		all = append(all, f.Path+" "+f.Problem)
	}
	return all
}

func TestEachKindOfDataSetIsAcceptedWithItsOwnFields(t *testing.T) {
	ratio := 0.5
	images := &Images{Items: 2, RangeRatio: 1, Limit: 3, Buckets: []ImageBucket{{Width: 256, Height: 256, Share: 1}}}
	for _, l := range []Load{
		{API: "chat", Dataset: Dataset{Kind: "random", InputTokens: 5, OutputTokens: 1, RangeRatio: 0.5, OutputRangeRatio: &ratio, PrefixTokens: 3, Vocab: 99, Tokenizer: "t"}},
		{API: "completions", Dataset: Dataset{Kind: "prompts", File: "f", OutputTokens: 3, NoOversample: true}},
		{API: "chat", Dataset: Dataset{Kind: "custom", File: "f", OutputTokens: 3, FixedOutput: true, NoShuffle: true, NoOversample: true, NoChatTemplate: true}},
		{API: "completions", Dataset: Dataset{Kind: "sharegpt", File: "f", OutputTokens: 3, FixedOutput: true}},
		{API: "completions", Requests: 9, Dataset: Dataset{Kind: "prefix_repetition", InputTokens: 5, OutputTokens: 1, PrefixTokens: 3, Prefixes: 9, NoShuffle: true}},
		{API: "completions", Dataset: Dataset{Kind: "timed_trace", File: "f", Trace: &Trace{BlockTokens: 512, SecondsUnit: 0.001}}},
		{API: "chat", Dataset: Dataset{Kind: "random-mm", InputTokens: 5, OutputTokens: 1, Images: images}},
		{API: "chat", Dataset: Dataset{Kind: "hf", File: "f", Name: "a/b", Subset: "s", Split: "t", OutputTokens: 3}},
	} {
		if got := faultsOf(l); got != nil {
			t.Errorf("%s: %q", l.Dataset.Kind, got)
		}
	}
}

func TestEachFaultOfADataSetHasItsPathAndSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		load Load
		want []string
	}{
		{Load{API: "chat", Dataset: Dataset{Kind: "sonnet"}}, []string{
			`kind "sonnet" is not one of random, prompts, custom, sharegpt, prefix_repetition, timed_trace, random-mm, hf`}},
		{Load{API: "chat", Dataset: Dataset{Kind: "random", File: "f", Prefixes: 2, RangeRatio: 1}}, []string{
			"prefixes belongs to kind: prefix_repetition", "file belongs to kind: prompts, custom, sharegpt, timed_trace, hf",
			"input_tokens must be above zero", "output_tokens must be above zero", "range_ratio must be at least 0 and below 1"}},
		{Load{API: "chat", Dataset: Dataset{Kind: "custom", FixedOutput: true, Name: "n", Trace: &Trace{}}}, []string{
			"name belongs to kind: hf", "trace belongs to kind: timed_trace", "output_tokens is missing: fixed_output takes it for every prompt",
			`file is missing: a JSONL file with {"prompt": text} on each line, and "output_tokens" where they differ`}},
		{Load{API: "chat", Dataset: Dataset{Kind: "sharegpt", File: "f", OutputTokens: 9}}, []string{
			"output_tokens needs fixed_output: true: else the answers in the file say how many tokens to generate"}},
		{Load{API: "chat", Requests: 3, Dataset: Dataset{Kind: "prefix_repetition", InputTokens: 1, OutputTokens: 1, Prefixes: 4}}, []string{
			"prefix_tokens must be above zero", "prefixes are more than the load's 3 requests: every prefix needs one at least"}},
		{Load{API: "chat", Dataset: Dataset{Kind: "timed_trace", File: "f"}}, []string{
			"kind the prompts of a trace are token ids, which the chat endpoint does not take: use api: completions",
			"trace is missing: say {block_tokens: 512, seconds_unit: 0.001} for Mooncake's traces; vLLM's default is 16 and 1"}},
		{Load{API: "completions", Dataset: Dataset{Kind: "timed_trace", File: "f", Trace: &Trace{BlockTokens: -1}}}, []string{
			"trace.block_tokens must be above zero and at most 16777216", "trace.seconds_unit must be above zero: seconds in one unit of the time stamps"}},
		{Load{API: "completions", Dataset: Dataset{Kind: "random-mm", InputTokens: 1, OutputTokens: 1}}, []string{
			"kind random-mm sends images, which only the chat endpoint takes: use api: chat",
			"images is missing: say how many and how large, for example {items: 1, buckets: [{width: 256, height: 256, share: 1}]}"}},
		{Load{API: "chat", Dataset: Dataset{Kind: "random-mm", InputTokens: 1, OutputTokens: 1, Images: &Images{Items: 4, RangeRatio: 0.5, Limit: 1, Buckets: []ImageBucket{{Width: 70000, Height: 1}}}}}, []string{
			"images.limit is below the 2 images that every request has at least",
			"images.buckets a size of 70000 x 1 is out of range: 1 to 65535 pixels each way",
			"images.buckets must hold a size with a share above zero, for example [{width: 256, height: 256, share: 1}]"}},
		{Load{API: "chat", Dataset: Dataset{Kind: "hf", Vocab: 3}}, []string{
			"vocab belongs to kind: random, prefix_repetition, timed_trace, random-mm",
			"file is missing: a Parquet, JSON or JSONL file, or a folder of them; lab never downloads", "vocab must be at least 16"}},
	} {
		var got []string
		for _, f := range faultsOf(c.load) {
			got = append(got, strings.TrimPrefix(f, "load.dataset."))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.load.Dataset.Kind, d)
		}
	}
}
