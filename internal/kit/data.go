package kit

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"lab/internal/lab"
)

const (
	margin          = 0.03 // as everywhere in lab
	telemetryPeriod = 50 * time.Millisecond
	requestTimeout  = 6 * time.Hour // as vllm bench serve has it
)

// dataset says where the prompts come from, in lab's words.
func (a *Arguments) dataset(l *lab.Load) error {
	d := &l.Dataset
	d.Kind = a.Word("dataset-name")
	for _, name := range []string{"self-timed", "no-self-timed"} {
		if a.Has(name) && d.Kind != "timed_trace" {
			return &ArgumentError{"--" + name, "only --dataset-name timed_trace has times of its own"}
		}
	}
	d.File, d.Tokenizer = a.Word("dataset-path"), a.Word("tokenizer")
	d.NoShuffle, d.NoOversample = a.Has("disable-shuffle"), a.Has("no-oversample")
	d.NoChatTemplate = a.Has("skip-chat-template") || a.Has("custom-skip-chat-template")
	switch d.Kind {
	case "random", "random-mm":
		return a.random(d)
	case "sharegpt":
		return a.outputLen(d, "sharegpt-output-len")
	case "custom":
		if a.length("output-len", "custom-output-len") == -1 {
			return nil // each line says its own
		}
		return a.outputLen(d, "custom-output-len")
	case "hf":
		d.Name, d.Subset, d.Split = a.Word("hf-name"), a.Word("hf-subset"), a.Word("hf-split")
		return a.outputLen(d, "hf-output-len")
	case "prefix_repetition":
		d.PrefixTokens, d.Prefixes = a.whole("prefix-repetition-prefix-len"), a.whole("prefix-repetition-num-prefixes")
		d.InputTokens = a.length("input-len", "prefix-repetition-suffix-len")
		d.OutputTokens = a.length("output-len", "prefix-repetition-output-len")
		d.File = ""
	case "timed_trace":
		return a.trace(l)
	default:
		return &ArgumentError{"--dataset-name", fmt.Sprintf("%q: %s; there are random, random-mm, sharegpt, custom, prefix_repetition, timed_trace, hf", d.Kind, otherData)}
	}
	return nil
}

// length is --input-len or --output-len where one was given, else the data set's own flag.
func (a *Arguments) length(general, own string) int {
	if a.Given(general) {
		return a.whole(general)
	}
	return a.whole(own)
}

// outputLen sets the length that holds whatever the file says, where a flag gives one.
func (a *Arguments) outputLen(d *lab.Dataset, own string) error {
	name := own
	if a.Given("output-len") {
		name = "output-len"
	}
	if a.Word(name) == "" {
		return nil
	}
	if d.OutputTokens, d.FixedOutput = a.whole(name), true; d.OutputTokens <= 0 {
		return &ArgumentError{"--" + name, "must be above zero"}
	}
	return nil
}

func (a *Arguments) random(d *lab.Dataset) error {
	d.File = ""
	d.InputTokens = a.length("input-len", "random-input-len")
	d.OutputTokens = a.length("output-len", "random-output-len")
	d.PrefixTokens = a.whole("random-prefix-len")
	if err := a.rangeRatio(d); err != nil {
		return err
	}
	if d.Kind == "random" {
		return nil
	}
	all, err := buckets(a.Word("random-mm-bucket-config"))
	if err != nil {
		return &ArgumentError{"--random-mm-bucket-config", err.Error()}
	}
	var limit struct{ Image *int }
	if err := json.Unmarshal([]byte(a.Word("random-mm-limit-mm-per-prompt")), &limit); err != nil || limit.Image == nil {
		return &ArgumentError{"--random-mm-limit-mm-per-prompt", `is not {"image": N, …}`}
	}
	d.Images = &lab.Images{
		Items: a.whole("random-mm-base-items-per-request"), RangeRatio: a.number("random-mm-num-mm-items-range-ratio"),
		Limit: *limit.Image, Buckets: all,
	}
	if *limit.Image == 0 { // which to lab is no limit at all
		if fewest := math.Floor(float64(d.Images.Items) * (1 - d.Images.RangeRatio)); fewest > 0 {
			return &ArgumentError{"--random-mm-limit-mm-per-prompt", fmt.Sprintf("allows no image, but every request has at least %.0f: say --random-mm-base-items-per-request 0", fewest)}
		}
		d.Images.Items, d.Images.RangeRatio = 0, 0
	}
	return nil
}

// rangeRatio is a number for both lengths, or {"input": r, "output": r}.
func (a *Arguments) rangeRatio(d *lab.Dataset) error {
	word := a.Word("random-range-ratio")
	both, err := strconv.ParseFloat(word, 64)
	if err == nil {
		d.RangeRatio = both
		return nil
	}
	var each struct{ Input, Output *float64 }
	if err := json.Unmarshal([]byte(word), &each); err != nil || each.Input == nil || each.Output == nil {
		return &ArgumentError{"--random-range-ratio", fmt.Sprintf(`%q is neither a number nor {"input": r, "output": r}`, word)}
	}
	d.RangeRatio, d.OutputRangeRatio = *each.Input, each.Output
	return nil
}

// trace: unless the user wants a rate, the trace's own times hold.
func (a *Arguments) trace(l *lab.Load) error {
	d := &l.Dataset
	d.Trace = &lab.Trace{
		BlockTokens: a.whole("timed-trace-chunk-hash-size"), SecondsUnit: a.number("timed-trace-sec-multiplier"),
		Untimed:   a.Has("no-self-timed"),
		Timestamp: a.Word("timed-trace-label-timestamp"), InputLength: a.Word("timed-trace-label-input-length"),
		OutputLen: a.Word("timed-trace-label-output-length"), HashIDs: a.Word("timed-trace-label-hash-ids"),
	}
	if !l.Timed() {
		return nil
	}
	const instead = "the trace says when requests are sent: leave it out, or say --no-self-timed"
	if l.RampUp != nil {
		return &ArgumentError{"--ramp-up-strategy", instead}
	}
	if !math.IsInf(float64(l.Rate), 1) {
		return &ArgumentError{"--request-rate", instead}
	}
	l.Rate, l.Burstiness = 0, 0
	return nil
}
