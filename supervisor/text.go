package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Text has a server turn text into tokens and back: its own tokenizer and chat template are the ones that count.
type Text struct {
	c     client
	model string
}

// NewText asks the server behind a, which serves the model under that name.
func NewText(a Access, model string) Text { return Text{newClient(a), model} }

// Tokenize gives the token ids of a text, without special tokens.
func (t Text) Tokenize(ctx context.Context, text string) ([]int32, error) {
	return t.tokens(ctx, map[string]any{"prompt": text, "add_special_tokens": false})
}

// ChatPrompt gives the token ids of one user message in the model's chat template, with the generation prompt.
func (t Text) ChatPrompt(ctx context.Context, text string) ([]int32, error) {
	return t.tokens(ctx, map[string]any{
		"messages":              []map[string]string{{"role": "user", "content": text}},
		"add_generation_prompt": true, "add_special_tokens": false,
	})
}

func (t Text) tokens(ctx context.Context, body map[string]any) ([]int32, error) {
	var answer struct{ Tokens []int32 }
	if err := t.post(ctx, "/tokenize", body, &answer); err != nil {
		return nil, err
	}
	return answer.Tokens, nil
}

// Detokenize gives the text of token ids, special tokens included.
func (t Text) Detokenize(ctx context.Context, ids []int32) (string, error) {
	var answer struct{ Prompt string }
	err := t.post(ctx, "/detokenize", map[string]any{"tokens": ids}, &answer)
	return answer.Prompt, err
}

func (t Text) post(ctx context.Context, path string, body map[string]any, into any) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if t.model != "" { // else the server's first
		body["model"] = t.model
	}
	status, text, err := t.c.do(ctx, "POST", path, body)
	switch {
	case err != nil:
		return fmt.Errorf("ask %s: %w", path, err)
	case status != http.StatusOK:
		return fmt.Errorf("ask %s: status %d %s", path, status, brief(text))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	return nil
}
