// Package kit reads the formats of vLLM's benchmark kit, and lab's own run documents, as summaries that can be compared.
package kit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lab/internal/lab"
)

// Result is one result file.
type Result struct {
	Name    string // what it measured, for people
	Source  string // "vllm" or "lab"
	Summary lab.Summary
}

// Read reads a result file of `vllm bench serve` (or the older benchmark_serving.py) of any age, or a run document of
// lab. Of a file with one result per line (--append-result) it takes the last.
func Read(name string) (Result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Result{}, fmt.Errorf("read result: %w", err)
	}
	r, err := parse(text)
	if err != nil {
		return Result{}, fmt.Errorf("read result %s: %w", name, err)
	}
	r.Name = strings.TrimSpace(filepath.Base(name) + " " + r.Name)
	return r, nil
}

func parse(text []byte) (Result, error) {
	fields, err := lastObject(text)
	if err != nil {
		return Result{}, err
	}
	var form string
	json.Unmarshal(fields["schema"], &form)
	switch {
	case form == "lab.run/v1":
		return labRun(text)
	case form != "":
		return Result{}, fmt.Errorf("it is a document of the form %q, not a run", form)
	}
	if _, ok := fields["completed"]; !ok {
		return Result{}, fmt.Errorf("it is no result of vllm bench serve: the key \"completed\" is missing")
	}
	return vllmResult(fields), nil
}

func labRun(text []byte) (Result, error) {
	var s lab.Sealed
	if err := json.Unmarshal(text, &s); err != nil {
		return Result{}, err
	}
	return Result{Name: s.Run.Experiment.Name, Source: "lab", Summary: s.Summary}, nil
}

// bareNumbers are values that Python writes and JSON does not know.
var bareNumbers = regexp.MustCompile(`([:\[,]\s*)(-?Infinity|NaN)\b`)

// lastObject decodes the last of one or more JSON objects.
func lastObject(text []byte) (map[string]json.RawMessage, error) {
	text = bareNumbers.ReplaceAll(text, []byte("${1}null"))
	decoder := json.NewDecoder(bytes.NewReader(text))
	var last map[string]json.RawMessage
	for decoder.More() {
		var next map[string]json.RawMessage
		if err := decoder.Decode(&next); err != nil {
			return nil, fmt.Errorf("it is no JSON object: %w", err)
		}
		last = next
	}
	if last == nil {
		return nil, fmt.Errorf("it is empty")
	}
	return last, nil
}

// phase is what the one phase of a kit's result is called.
const phase = "load"

// vllmResult takes over what the kit and lab define alike, or nearly so: docs/metrics.md lists the differences.
func vllmResult(fields map[string]json.RawMessage) Result {
	number := func(keys ...string) (float64, bool) {
		for _, key := range keys {
			var v *float64
			if json.Unmarshal(fields[key], &v) == nil && v != nil {
				return *v, true
			}
		}
		return 0, false
	}
	completed, _ := number("completed")
	failed, _ := number("failed")
	r := Result{Source: "vllm"}
	json.Unmarshal(fields["model_id"], &r.Name)
	add := func(metric, unit string, scale float64, keys ...string) {
		if v, ok := number(keys...); ok {
			r.Summary.Figures = append(r.Summary.Figures, lab.Figure{Phase: phase, Metric: metric, Value: v * scale, Unit: unit, N: int(completed)})
		}
	}
	for _, q := range []string{"ttft", "tpot", "itl", "e2el"} {
		add(q+".mean", "s", 1e-3, "mean_"+q+"_ms")
		add(q+".p50", "s", 1e-3, "median_"+q+"_ms", "p50_"+q+"_ms")
		for _, p := range []string{"90", "95", "99"} {
			add(q+".p"+p, "s", 1e-3, "p"+p+"_"+q+"_ms")
		}
	}
	add("output_throughput", "tok/s", 1, "output_throughput")
	add("total_throughput", "tok/s", 1, "total_token_throughput")
	add("request_throughput", "req/s", 1, "request_throughput")
	input, _ := number("total_input_tokens")
	output, _ := number("total_output_tokens")
	r.Summary.Phases = []lab.Tally{{Phase: phase, Judged: true, Offered: int(completed + failed), OK: int(completed), Input: int(input), Output: int(output)}}
	r.Summary.Figures = slices.Clip(r.Summary.Figures)
	return r
}
