// Package dataset makes the prompts of a load: from random tokens, and from files by the rules of vLLM's benchmark.
package dataset

import (
	"context"
	"fmt"
	"math/rand/v2"

	"lab/internal/lab"
)

// Prompts gives the prompts of a load one by one; the same index always gives the same.
type Prompts interface {
	At(i int) lab.Prompt
	Distinct() int // how many there are before they come again; 0: they never do
}

// Env is what prompts are made with beyond the load itself.
type Env struct {
	Vocab int // random token ids are below it

	// Pool sets prompts apart: the same load and pool give the same prompts, other pools give others. Warm-up takes the
	// pool after that of the measured requests.
	Pool uint64

	Server Server // the server under test, which may tokenize; nil: none runs yet
}

// Server is what a data set may ask of the server under test.
type Server interface {
	// Tokenize gives the token ids of a text, without special tokens.
	Tokenize(ctx context.Context, text string) ([]int32, error)
	// Detokenize gives the text of token ids, special tokens included.
	Detokenize(ctx context.Context, ids []int32) (string, error)
	// ChatPrompt gives the token ids of one user message in the model's chat template, with the generation prompt.
	ChatPrompt(ctx context.Context, text string) ([]int32, error)
}

// Open makes the prompts of a load ready.
func Open(_ context.Context, l lab.Load, env Env) (Prompts, error) {
	if l.Dataset.Kind == "prompts" {
		return readPrompts(l, env.Pool)
	}
	if l.API == "chat" {
		return nil, fmt.Errorf("make random prompts: they are token ids, which the chat endpoint does not take")
	}
	if env.Vocab < 2*firstID {
		return nil, fmt.Errorf("make random prompts: a vocabulary of %d tokens is too small", env.Vocab)
	}
	r := randomPrompts{d: l.Dataset, vocab: env.Vocab, seed: l.Seed, pool: env.Pool}
	shared := rand.New(rand.NewPCG(r.seed, 0))
	for range r.d.PrefixTokens {
		r.prefix = append(r.prefix, r.token(shared))
	}
	return r, nil
}
