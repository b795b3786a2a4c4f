package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lab/internal/lab"
)

// customLine is a line of a custom file.
type customLine struct {
	prompt string
	output int
}

// openCustom takes a JSONL file by the rules of `vllm bench serve`: shuffled as Python does it, each prompt in the
// model's chat template, the rest drawn at random where the file is shorter than the load.
func openCustom(ctx context.Context, l lab.Load, env Env) (Prompts, error) {
	var lines []customLine
	err := eachLine(l.Dataset.File, func(_ int, text []byte) error {
		line, err := parseCustom(text, l.Dataset)
		lines = append(lines, line)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !l.Dataset.NoShuffle {
		shuffle(seedPython(l.Seed), lines)
	}
	n, _ := wanted(l, env)
	entries, err := take(ctx, arrange(lines, env.Pool), n, env.workers(), func(ctx context.Context, line customLine) (entry, bool, error) {
		p, err := userPrompt(ctx, line.prompt, !l.Dataset.NoChatTemplate, l.API, env)
		p.Output = line.output
		return entry{Prompt: p}, true, err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Dataset.File, err)
	}
	return newList(entries, l, env), nil
}

func parseCustom(text []byte, d lab.Dataset) (customLine, error) {
	var fields struct {
		Prompt json.RawMessage `json:"prompt"`
		Output *int            `json:"output_tokens"`
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return customLine{}, fmt.Errorf("is not a JSON object with a prompt and, if need be, a whole number of output_tokens: %w", plainly(err))
	}
	var line customLine
	if json.Unmarshal(fields.Prompt, &line.prompt) != nil || line.prompt == "" {
		return line, errors.New(`has no "prompt" (text); token ids and messages are for kind: prompts`)
	}
	line.output = d.OutputTokens
	if !d.FixedOutput && fields.Output != nil {
		line.output = *fields.Output
	}
	if line.output <= 0 {
		return line, errors.New("says no output_tokens above zero, and neither does the dataset")
	}
	return line, nil
}

// userPrompt is what is sent for the text of one user. The chat endpoint applies the template itself; for the
// completions endpoint it is applied here, which takes the server: there is no engine for templates in lab.
func userPrompt(ctx context.Context, text string, template bool, api string, env Env) (lab.Prompt, error) {
	if template && api != "chat" {
		if env.Server == nil {
			return lab.Prompt{}, errNoTemplate{}
		}
		ids, err := env.Server.ChatPrompt(ctx, text)
		if err == nil {
			text, err = env.Server.Detokenize(ctx, ids)
		}
		if err != nil {
			return lab.Prompt{}, fmt.Errorf("apply the chat template: ask the server: %w (no_chat_template sends the prompt as it stands)", err)
		}
	}
	p := lab.Prompt{Text: text, Hash: hashText([]byte(text))}
	// The count is for the record and nothing depends on it: where nobody can count, it is unknown.
	if w := env.words(); w != nil {
		n, err := w.count(ctx, text)
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
		if err == nil {
			p.Input = n
		}
	}
	return p, nil
}
