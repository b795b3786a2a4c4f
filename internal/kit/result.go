// Package kit is vLLM's benchmark kit as files and text: it computes what `vllm bench serve` computes, writes its result
// block and its result JSON to the letter, and reads such files of any age, and lab's own run documents, as summaries
// that can be compared or as runs.
package kit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"lab/internal/lab"
)

// Result is one result file.
type Result struct {
	Name    string // file, model and load, for people
	Source  string // "vllm" or "lab"
	Summary lab.Summary
	When    time.Time // zero where the file does not say
}

// Read reads a result file of `vllm bench serve` (or the older benchmark_serving.py) of any age, or a run document of
// lab. Of a file with several results (--append-result) it takes the last.
func Read(name string) (Result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Result{}, fmt.Errorf("read result: %w", err)
	}
	r, err := parse(text)
	if err != nil {
		return Result{}, fmt.Errorf("read result %s: %w", name, err)
	}
	if r.Name == "" {
		r.Name = filepath.Base(name)
	} else {
		r.Name = filepath.Base(name) + " (" + r.Name + ")"
	}
	return r, nil
}

func parse(text []byte) (Result, error) {
	document, err := lastObject(text)
	if err != nil {
		return Result{}, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(document, &fields); err != nil {
		return Result{}, fmt.Errorf("it is no JSON object: %w", err)
	}
	// This key first: a user of the kit may have named a key of --metadata "schema".
	if _, ok := number(fields, "completed"); ok {
		return vllmResult(fields), nil
	}
	form, ok := word(fields["schema"])
	switch {
	case !ok:
		return Result{}, errors.New(`it is no result of vllm bench serve: the key "completed" is missing or no number`)
	case form != "lab.run/v1":
		return Result{}, fmt.Errorf("it is a document of the form %q, not a run", form)
	}
	return labRun(document)
}

func labRun(document []byte) (Result, error) {
	var s lab.Sealed
	if err := json.Unmarshal(document, &s); err != nil {
		return Result{}, fmt.Errorf("decode run document: %w", err)
	}
	if s.Run.ID == "" {
		return Result{}, errors.New("it is a run document without a run")
	}
	return Result{Name: s.Run.Experiment.Name, Source: "lab", Summary: s.Summary, When: s.Run.Epoch.Wall}, nil
}

// lastObject finds the last of one or more JSON values that stand one after the other, and wants it to be an object.
func lastObject(text []byte) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(plainNumbers(text)))
	var last json.RawMessage
	for {
		var next json.RawMessage
		err := decoder.Decode(&next)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		last = next
	}
	switch {
	case last == nil:
		return nil, errors.New("it is empty")
	case last[0] != '{':
		return nil, errors.New("it holds no JSON object")
	}
	return last, nil
}

// plainNumbers replaces what Python writes for numbers that JSON does not know: what is no number becomes null, what is
// infinite a number beyond every range. Text in quotes stays as it is.
func plainNumbers(text []byte) []byte {
	var out []byte
	for quoted := false; len(text) > 0; {
		taken, put := 1, text[:1]
		switch {
		case quoted && text[0] == '\\':
			taken = min(2, len(text))
			put = text[:taken]
		case text[0] == '"':
			quoted = !quoted
		case !quoted:
			for _, odd := range []struct{ word, put string }{{"-Infinity", "-1e999"}, {"Infinity", "1e999"}, {"NaN", "null"}} {
				if bytes.HasPrefix(text, []byte(odd.word)) {
					taken, put = len(odd.word), []byte(odd.put)
					break
				}
			}
		}
		out, text = append(out, put...), text[taken:]
	}
	return out
}
