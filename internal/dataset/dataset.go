// Package dataset makes the prompts of a load: from random tokens, and from files by the rules of vLLM's benchmark.
package dataset

import (
	"context"
	"fmt"
	"math"
	"time"

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

	// Pool sets prompts apart: the same load and pool give the same prompts, other pools give others, as far as a file
	// has them. Pool 0 takes a file in vLLM's order; warm-up takes the pool after that of the measured requests.
	Pool uint64

	Requests int // how many prompts will be taken; 0: as many as the load says

	Tokenizer Tokenizer // the model's; nil: not found on this machine
	Server    Server    // the server under test, which may tokenize; nil: none runs yet
}

// Tokenizer turns text into token ids and back.
type Tokenizer interface {
	Encode(text string) []int32        // no special tokens added
	EncodeSpecial(text string) []int32 // with those that the server puts around a plain prompt
	Decode(ids []int32) string
	Plain() []int32 // the ids that are no special tokens, ascending
	// Exact decodes ids, encodes them again and pads (with more) or cuts, until the text has exactly n tokens; ok is
	// false where it never settles.
	Exact(ids []int32, n int, more func() int32) (text string, got []int32, ok bool)
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

// Open makes the prompts of a load ready. Nothing is downloaded. Where only a tokenizer or a running server is missing,
// the error is ErrNoTokenizer, and the files were found in order.
func Open(ctx context.Context, l lab.Load, env Env) (Prompts, error) {
	switch l.Dataset.Kind {
	case "random":
		return openRandom(ctx, l, env)
	case "random-mm":
		return openPictured(ctx, l, env)
	case "prefix_repetition":
		return openRepetition(ctx, l, env)
	case "prompts":
		return readPrompts(l, env)
	case "custom":
		return openCustom(ctx, l, env)
	case "sharegpt":
		return openShareGPT(ctx, l, env)
	case "timed_trace":
		return openTrace(l, env)
	case "hf":
		return openHub(ctx, l, env)
	}
	return nil, fmt.Errorf("open data set: the kind %q is not known", l.Dataset.Kind)
}

// Times are when the requests of a timed trace are to leave, as offsets from its first one; nil for every other data
// set, and for a trace whose times are left aside.
func Times(p Prompts) []time.Duration {
	if t, ok := p.(trace); ok {
		return t.times
	}
	return nil
}

// Limit is how many requests the data set has where it has no more than that: of a file that may not be repeated, of a
// trace, of prefix repetition. 0: it never ends.
func Limit(p Prompts) int {
	if l, ok := p.(interface{ limit() int }); ok {
		return l.limit()
	}
	return 0
}

// wanted is how many prompts are made ready. Only a load that ends by time alone leaves that open: then enough for its
// rate, else a number that few servers use up (the prompts come again, and Distinct says after how many).
func wanted(l lab.Load, env Env) (n int, told bool) {
	const untold = 2048
	switch {
	case env.Requests > 0:
		return env.Requests, true
	case l.Requests > 0:
		return l.Requests, true
	}
	rate := float64(l.Rate)
	if l.RampUp != nil {
		rate = float64(max(l.RampUp.Start, l.RampUp.End))
	}
	if rate > 0 && !math.IsInf(rate, 1) {
		return int(1.25*rate*time.Duration(l.Duration).Seconds()) + 64, false
	}
	return untold, false
}
