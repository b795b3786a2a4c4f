package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"lab/internal/lab"
)

// readPrompts takes a file line by line as it is.
func readPrompts(l lab.Load, env Env) (Prompts, error) {
	var entries []entry
	err := eachLine(l.Dataset.File, func(n int, line []byte) error {
		p, err := parsePrompt(line, l.API == "chat", l.Dataset.OutputTokens)
		entries = append(entries, entry{Prompt: p})
		return err
	})
	if err != nil {
		return nil, err
	}
	// The lines come again in order, whatever the load: this is no data set of vLLM's, which draws the rest at random.
	return list{entries: arrange(entries, env.Pool), distinct: len(entries), ends: l.Dataset.NoOversample}, nil
}

// eachLine gives the lines of a file that are not empty; what do finds wrong is told with the line's number.
func eachLine(name string, do func(n int, line []byte) error) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read prompts: %w", err)
	}
	defer f.Close()
	lines, found := bufio.NewReader(f), false
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if problem := do(n, text); problem != nil {
				return fmt.Errorf("%s:%d: %w", name, n, problem)
			}
			found = true
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read prompts: %w", err)
		}
	}
	if !found {
		return fmt.Errorf("%s: holds no prompt", name)
	}
	return nil
}

// parsePrompt reads a line: {"prompt": "text" or [ids]} or {"messages": [...]}, and how many tokens to generate as
// "output_tokens" (also "max_tokens", "output_len"); the dataset's number is taken where a line does not say.
func parsePrompt(text []byte, chat bool, output int) (lab.Prompt, error) {
	var line struct {
		Prompt    json.RawMessage `json:"prompt"`
		Messages  json.RawMessage `json:"messages"`
		Output    int             `json:"output_tokens"`
		MaxTokens int             `json:"max_tokens"`
		OutputLen int             `json:"output_len"`
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return lab.Prompt{}, fmt.Errorf("is not a JSON object with a prompt: %w", plainly(err))
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
		p.Input, p.Hash = len(p.IDs), hashIDs(p.IDs)
	case chat:
		return p, fmt.Errorf(`has neither "messages" (a list) nor "prompt" (text), which the chat endpoint takes`)
	default:
		return p, fmt.Errorf(`has no "prompt" (text or token ids), which the completions endpoint takes`)
	}
	return p, nil
}
