package loadgen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
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
	measured uint64 = 0
	warmup   uint64 = 1 // on top of the pool of the measured requests
)

// prompts gives the prompts of a load one by one; the same index always gives the same.
type prompts interface {
	at(i int) Prompt
	distinct() int // how many there are before they come again; 0: they never do
}

// Check finds what is wrong with the data set and the request body of a load, without sending anything: Run would find
// it too, but only once a server is up.
func Check(l lab.Load, vocab int) error {
	if _, err := newPrompts(l, vocab, measured); err != nil {
		return err
	}
	_, err := newBodies("", l)
	return err
}

func newPrompts(l lab.Load, vocab int, pool uint64) (prompts, error) {
	if l.Dataset.Kind == "prompts" {
		return readPrompts(l, pool)
	}
	if l.API == "chat" {
		return nil, fmt.Errorf("make random prompts: they are token ids, which the chat endpoint does not take")
	}
	if vocab < 2*firstID {
		return nil, fmt.Errorf("make random prompts: a vocabulary of %d tokens is too small", vocab)
	}
	r := randomPrompts{d: l.Dataset, vocab: vocab, seed: l.Seed, pool: pool}
	shared := rand.New(rand.NewPCG(r.seed, 0))
	for range r.d.PrefixTokens {
		r.prefix = append(r.prefix, r.token(shared))
	}
	return r, nil
}

// firstID leaves out the ids below it, which vocabularies like to give to control tokens.
const firstID = 8

// randomPrompts are token ids of exact length.
type randomPrompts struct {
	d      lab.Dataset
	vocab  int
	seed   uint64
	pool   uint64
	prefix []int32 // one for all prompts and pools
}

func (r randomPrompts) distinct() int { return 0 }

func (r randomPrompts) at(i int) Prompt {
	random := rand.New(rand.NewPCG(r.seed, r.pool<<40|uint64(i)+1))
	input, output := r.length(random, r.d.InputTokens), r.length(random, r.d.OutputTokens)
	ids := make([]int32, 0, len(r.prefix)+input)
	ids = append(ids, r.prefix...)
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

func (f filePrompts) distinct() int { return len(f.lines) }

func readPrompts(l lab.Load, pool uint64) (prompts, error) {
	f, err := os.Open(l.Dataset.File)
	if err != nil {
		return nil, fmt.Errorf("read prompts: %w", err)
	}
	defer f.Close()
	lines, err := parsePrompts(f, l)
	if err != nil {
		return nil, err
	}
	// The golden ratio spreads any number of pools evenly over the file.
	_, part := math.Modf(float64(pool) * math.Phi)
	return filePrompts{lines, int(part * float64(len(lines)))}, nil
}

// parsePrompts reads JSONL: {"prompt": "text" or [ids]} or {"messages": [...]}, and how many tokens to generate as
// "output_tokens" (also "max_tokens", "output_len"); the dataset's number is taken where a line does not say.
func parsePrompts(r io.Reader, l lab.Load) ([]Prompt, error) {
	var all []Prompt
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			p, problem := parsePrompt(text, l.API == "chat", l.Dataset.OutputTokens)
			if problem != nil {
				return nil, fmt.Errorf("%s:%d: %w", l.Dataset.File, n, problem)
			}
			all = append(all, p)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read prompts: %w", err)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: holds no prompt", l.Dataset.File)
	}
	return all, nil
}

func parsePrompt(text []byte, chat bool, output int) (Prompt, error) {
	var line struct {
		Prompt    json.RawMessage `json:"prompt"`
		Messages  json.RawMessage `json:"messages"`
		Output    int             `json:"output_tokens"`
		MaxTokens int             `json:"max_tokens"`
		OutputLen int             `json:"output_len"`
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return Prompt{}, fmt.Errorf("is not a JSON object with a prompt: %w", err)
	}
	p := Prompt{Output: max(line.Output, line.MaxTokens, line.OutputLen)}
	if p.Output == 0 {
		p.Output = output
	}
	if p.Output <= 0 {
		return p, fmt.Errorf("says no output_tokens, and neither does the dataset")
	}
	var messages []map[string]any
	switch {
	case chat && json.Unmarshal(line.Messages, &messages) == nil && len(messages) > 0:
		p.Messages, p.Hash = line.Messages, hashText(line.Messages)
	case json.Unmarshal(line.Prompt, &p.Text) == nil && p.Text != "":
		p.Hash = hashText([]byte(p.Text))
	case !chat && json.Unmarshal(line.Prompt, &p.IDs) == nil && len(p.IDs) > 0:
		p.Hash = hashIDs(p.IDs)
	case chat:
		return p, fmt.Errorf(`has neither "messages" (a list) nor "prompt" (text), which the chat endpoint takes`)
	default:
		return p, fmt.Errorf(`has no "prompt" (text or token ids), which the completions endpoint takes`)
	}
	return p, nil
}

func hashText(text []byte) uint64 {
	h := fnv.New64a()
	h.Write(text)
	return h.Sum64()
}
