package loadgen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"

	"lab/internal/lab"
)

// Prompt is one thing to send. Exactly one of IDs, Text and Messages is set.
type Prompt struct {
	IDs      []int32         // token ids
	Text     string          // plain text
	Messages json.RawMessage // of the chat endpoint
	Output   int             // tokens wanted
	Hash     uint64          // of the content
}

// Pools of prompts: the same load and pool give the same prompts, other pools give others.
const (
	measured uint64 = iota
	warmup
)

// prompts gives the prompts of a load one by one; the same index always gives the same.
type prompts interface{ at(i int) Prompt }

func newPrompts(l lab.Load, vocab int, pool uint64) (prompts, error) {
	if l.Dataset.Kind == "prompts" {
		return readPrompts(l.Dataset, pool)
	}
	if vocab < 2*firstID {
		return nil, fmt.Errorf("make random prompts: a vocabulary of %d tokens is too small", vocab)
	}
	return randomPrompts{l.Dataset, vocab, l.Seed, pool}, nil
}

// firstID leaves out the ids below it, which vocabularies like to give to control tokens.
const firstID = 8

// randomPrompts are token ids of exact length.
type randomPrompts struct {
	d     lab.Dataset
	vocab int
	seed  uint64
	pool  uint64
}

func (r randomPrompts) at(i int) Prompt {
	random := rand.New(rand.NewPCG(r.seed, r.pool<<40|uint64(i)+1))
	input, output := r.length(random, r.d.InputTokens), r.length(random, r.d.OutputTokens)
	ids := make([]int32, 0, r.d.PrefixTokens+input)
	prefix := rand.New(rand.NewPCG(r.seed, 0)) // one for all prompts and pools
	for range r.d.PrefixTokens {
		ids = append(ids, r.token(prefix))
	}
	for range input {
		ids = append(ids, r.token(random))
	}
	return Prompt{IDs: ids, Output: output, Hash: hashIDs(ids)}
}

func (r randomPrompts) token(random *rand.Rand) int32 {
	return int32(firstID + random.IntN(r.vocab-firstID))
}

// length draws uniformly from [mean*(1-ratio), mean*(1+ratio)].
func (r randomPrompts) length(random *rand.Rand, mean int) int {
	low := int(math.Ceil(float64(mean) * (1 - r.d.RangeRatio)))
	high := int(math.Floor(float64(mean) * (1 + r.d.RangeRatio)))
	return max(1, low+random.IntN(high-low+1))
}

func hashIDs(ids []int32) uint64 {
	h := fnv.New64a()
	var word [4]byte
	for _, id := range ids {
		binary.LittleEndian.PutUint32(word[:], uint32(id))
		h.Write(word[:])
	}
	return h.Sum64()
}

// filePrompts are the lines of a file, from the beginning again when they run out. Each pool starts elsewhere, so that
// warm-up and measurement differ as far as the file allows.
type filePrompts struct {
	lines []Prompt
	start int
}

func (f filePrompts) at(i int) Prompt { return f.lines[(f.start+i)%len(f.lines)] }

func readPrompts(d lab.Dataset, pool uint64) (prompts, error) {
	f, err := os.Open(d.File)
	if err != nil {
		return nil, fmt.Errorf("read prompts: %w", err)
	}
	defer f.Close()
	lines, err := parsePrompts(d.File, bufio.NewReader(f), d.OutputTokens)
	if err != nil {
		return nil, err
	}
	// The golden ratio spreads any number of pools evenly over the file.
	_, part := math.Modf(float64(pool) * math.Phi)
	return filePrompts{lines, int(part * float64(len(lines)))}, nil
}

// parsePrompts reads JSONL: {"prompt": "text" or [ids]} or {"messages": [...]}, and how many tokens to generate as
// "output_tokens" (also "max_tokens", "output_len"); output is taken where a line does not say.
func parsePrompts(name string, r *bufio.Reader, output int) ([]Prompt, error) {
	var all []Prompt
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			p, problem := parsePrompt(text, output)
			if problem != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, n, problem)
			}
			all = append(all, p)
		}
		if err != nil {
			break
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: holds no prompt", name)
	}
	return all, nil
}

func parsePrompt(text []byte, output int) (Prompt, error) {
	var line struct {
		Prompt    json.RawMessage `json:"prompt"`
		Messages  json.RawMessage `json:"messages"`
		Output    int             `json:"output_tokens"`
		MaxTokens int             `json:"max_tokens"`
		OutputLen int             `json:"output_len"`
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return Prompt{}, fmt.Errorf("is not a JSON object: %w", err)
	}
	p := Prompt{Output: max(line.Output, line.MaxTokens, line.OutputLen)}
	if p.Output == 0 {
		p.Output = output
	}
	if p.Output <= 0 {
		return p, fmt.Errorf("says no output_tokens, and neither does the dataset")
	}
	h := fnv.New64a()
	switch {
	case len(line.Messages) > 0:
		var messages []map[string]any
		if err := json.Unmarshal(line.Messages, &messages); err != nil || len(messages) == 0 {
			return p, fmt.Errorf("messages is not a list of messages")
		}
		p.Messages = line.Messages
		h.Write(line.Messages)
	case json.Unmarshal(line.Prompt, &p.Text) == nil && p.Text != "":
		h.Write([]byte(p.Text))
	case json.Unmarshal(line.Prompt, &p.IDs) == nil && len(p.IDs) > 0:
		p.Text, p.Hash = "", hashIDs(p.IDs)
		return p, nil
	default:
		return p, fmt.Errorf(`has neither "prompt" (text or token ids) nor "messages"`)
	}
	p.Hash = h.Sum64()
	return p, nil
}
