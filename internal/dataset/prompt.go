package dataset

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

// Distinct is 0: random prompts never run out.
func (r randomPrompts) Distinct() int { return 0 }

// At makes the prompt at an index; the same index always gives the same.
func (r randomPrompts) At(i int) lab.Prompt {
	random := rand.New(rand.NewPCG(r.seed, r.pool<<40|uint64(i)+1))
	input, output := r.length(random, r.d.InputTokens), r.length(random, r.d.OutputTokens)
	ids := make([]int32, 0, len(r.prefix)+input)
	ids = append(ids, r.prefix...)
	for range input {
		ids = append(ids, r.token(random))
	}
	return lab.Prompt{IDs: ids, Output: output, Hash: hashIDs(ids)}
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
	lines []lab.Prompt
	start int
}

// At is the line at an index, from the beginning again when the lines run out.
func (f filePrompts) At(i int) lab.Prompt { return f.lines[(f.start+i)%len(f.lines)] }

// Distinct is the number of lines.
func (f filePrompts) Distinct() int { return len(f.lines) }

func readPrompts(l lab.Load, pool uint64) (Prompts, error) {
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
func parsePrompts(r io.Reader, l lab.Load) ([]lab.Prompt, error) {
	var all []lab.Prompt
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

func parsePrompt(text []byte, chat bool, output int) (lab.Prompt, error) {
	var line struct {
		Prompt    json.RawMessage `json:"prompt"`
		Messages  json.RawMessage `json:"messages"`
		Output    int             `json:"output_tokens"`
		MaxTokens int             `json:"max_tokens"`
		OutputLen int             `json:"output_len"`
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return lab.Prompt{}, fmt.Errorf("is not a JSON object with a prompt: %w", err)
	}
	p := lab.Prompt{Output: max(line.Output, line.MaxTokens, line.OutputLen)}
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
