package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"lab/internal/lab"
)

// traced is one request of a trace.
type traced struct {
	at     float64 // time stamp, in the trace's unit
	input  int
	output int
	blocks []uint64 // hashes of its hash ids
}

// trace is a timed trace: lengths and shared blocks from the file, token ids made up.
type trace struct {
	requests []traced
	times    []time.Duration
	alphabet alphabet
	block    int
	seed     uint64
	pool     uint64
}

func openTrace(l lab.Load, env Env) (Prompts, error) {
	if l.API == "chat" {
		return nil, fmt.Errorf("replay a trace: its prompts are token ids, which the chat endpoint does not take: use api: completions")
	}
	t := trace{block: l.Dataset.Trace.BlockTokens, seed: l.Seed, pool: env.Pool}
	var err error
	if t.alphabet, err = newAlphabet(l, env); err != nil {
		return nil, err
	}
	n, told := wanted(l, env)
	err = eachLine(l.Dataset.File, func(_ int, line []byte) error {
		if told && len(t.requests) >= n {
			return nil
		}
		r, err := parseTraced(line, *l.Dataset.Trace)
		t.requests = append(t.requests, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Written by many threads, some traces are not quite in order.
	slices.SortStableFunc(t.requests, func(a, b traced) int {
		if a.at < b.at {
			return -1
		}
		if a.at > b.at {
			return 1
		}
		return 0
	})
	if l.Timed() {
		err = t.schedule(l)
	}
	return t, err
}

// schedule sets the times, up to the end of the load where it has one.
func (t *trace) schedule(l lab.Load) error {
	for i, r := range t.requests {
		seconds := (r.at - t.requests[0].at) * l.Dataset.Trace.SecondsUnit
		if seconds > longestTrace {
			return fmt.Errorf("%s: the trace lasts %.0f s, longer than a year: is trace.seconds_unit right?", l.Dataset.File, seconds)
		}
		at := time.Duration(seconds * float64(time.Second))
		if l.Duration > 0 && at >= time.Duration(l.Duration) {
			t.requests = t.requests[:i]
			return nil
		}
		t.times = append(t.times, at)
	}
	return nil
}

const (
	longestTrace = 366 * 24 * 3600 // seconds
	longestPart  = 1 << 24         // tokens: far beyond every context window
)

// Field names where the experiment gives none: Mooncake's.
func traceFields(d lab.Trace) (at, input, output, hashes string) {
	or := func(name, usual string) string {
		if name == "" {
			return usual
		}
		return name
	}
	return or(d.Timestamp, "timestamp"), or(d.InputLength, "input_length"), or(d.OutputLen, "output_length"), or(d.HashIDs, "hash_ids")
}

func parseTraced(line []byte, d lab.Trace) (traced, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return traced{}, fmt.Errorf("is not a JSON object: %w", plainly(err))
	}
	at, input, output, hashes := traceFields(d)
	var r traced
	if err := number(fields, at, "timestamp", &r.at); err != nil {
		return r, err
	}
	for _, f := range []struct {
		name, key string
		into      *int
	}{{input, "input_length", &r.input}, {output, "output_length", &r.output}} {
		var v float64
		if err := number(fields, f.name, f.key, &v); err != nil {
			return r, err
		}
		if v != math.Trunc(v) || v < 1 || v > longestPart {
			return r, fmt.Errorf("says %s %v, which is no length in tokens", f.name, v)
		}
		*f.into = int(v)
	}
	var ids []json.RawMessage // numbers, in some traces text
	if raw, ok := fields[hashes]; ok && json.Unmarshal(raw, &ids) != nil {
		return r, fmt.Errorf("says %s, which is no list", hashes)
	}
	for _, id := range ids {
		r.blocks = append(r.blocks, hashText(bytes.TrimSpace(id)))
	}
	return r, nil
}

func number(fields map[string]json.RawMessage, name, key string, into *float64) error {
	raw, ok := fields[name]
	if !ok {
		names := make([]string, 0, len(fields))
		for n := range fields {
			names = append(names, n)
		}
		slices.Sort(names)
		return fmt.Errorf("has no %q but %q: name the field with trace.%s", name, names, key)
	}
	var v *float64
	if err := json.Unmarshal(raw, &v); err != nil || v == nil {
		return fmt.Errorf("says %s %s, which is no number", name, raw)
	}
	*into = *v
	return nil
}

// Distinct is the number of requests in the trace.
func (t trace) Distinct() int { return len(t.requests) }

func (t trace) limit() int { return len(t.requests) }

// At makes the prompt at an index: the block of each hash id, cut at the input length. Where the hash ids end before it,
// tokens of this request alone fill up, so that it has the length that the trace says. (vLLM sends it short.)
func (t trace) At(i int) lab.Prompt {
	i %= len(t.requests)
	r := t.requests[i]
	ids := make([]int32, 0, r.input)
	for _, hash := range r.blocks {
		n := min(t.block, r.input-len(ids))
		ids = t.alphabet.drawMany(rand.New(rand.NewPCG(t.seed^t.pool<<32, hash)), ids, n)
	}
	own := rand.New(rand.NewPCG(^(t.seed ^ t.pool<<32), uint64(i)))
	ids = t.alphabet.drawMany(own, ids, r.input-len(ids))
	return lab.Prompt{IDs: ids, Input: len(ids), Output: r.output, Hash: hashIDs(ids)}
}
