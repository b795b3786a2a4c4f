package dataset

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"

	"lab/internal/lab"
)

// firstID leaves out the ids below it, which vocabularies like to give to control tokens.
const firstID = 8

// alphabet is what random tokens are drawn from.
type alphabet struct {
	plain []int32 // these; nil: the ids from firstID to below size
	size  int
}

// newAlphabet takes the tokenizer's ids where there is one. Token ids must be known to the model (vocab); of text that is
// decoded from them this is true in any case.
func newAlphabet(l lab.Load, env Env) (alphabet, error) {
	bound := env.Vocab
	if l.API == "chat" && env.Tokenizer != nil {
		bound = l.Dataset.Vocab
	}
	a := alphabet{size: bound}
	if env.Tokenizer != nil {
		a.plain = env.Tokenizer.Plain()
		if bound > 0 {
			a.plain = a.plain[:sort.Search(len(a.plain), func(i int) bool { return int(a.plain[i]) >= bound })]
		}
		a.size = len(a.plain)
	}
	if a.size < 2*firstID {
		return a, fmt.Errorf("make random prompts: a vocabulary of %d tokens is too small", a.size)
	}
	return a, nil
}

func (a alphabet) draw(random *rand.Rand) int32 {
	if a.plain != nil {
		return a.plain[random.IntN(len(a.plain))]
	}
	return int32(firstID + random.IntN(a.size-firstID))
}

func (a alphabet) drawMany(random *rand.Rand, ids []int32, n int) []int32 {
	for range n {
		ids = append(ids, a.draw(random))
	}
	return ids
}

// randomPrompts are token ids of exact length.
type randomPrompts struct {
	d        lab.Dataset
	alphabet alphabet
	seed     uint64
	pool     uint64
	prefix   []int32 // one for all prompts and pools
}

func openRandom(ctx context.Context, l lab.Load, env Env) (Prompts, error) {
	r, err := newRandom(l, env)
	if err != nil || l.API != "chat" {
		return r, err
	}
	return r.texts(ctx, l, env)
}

func newRandom(l lab.Load, env Env) (randomPrompts, error) {
	r := randomPrompts{d: l.Dataset, seed: l.Seed, pool: env.Pool}
	var err error
	if r.alphabet, err = newAlphabet(l, env); err != nil {
		return r, err
	}
	r.prefix = r.alphabet.drawMany(rand.New(rand.NewPCG(r.seed, 0)), nil, r.d.PrefixTokens)
	return r, nil
}

// Distinct is 0: random prompts never run out.
func (r randomPrompts) Distinct() int { return 0 }

// At makes the prompt at an index; the same index always gives the same.
func (r randomPrompts) At(i int) lab.Prompt {
	random := r.source(i)
	input, output := r.lengths(random)
	ids := make([]int32, 0, len(r.prefix)+input)
	ids = append(ids, r.prefix...)
	ids = r.alphabet.drawMany(random, ids, input)
	return lab.Prompt{IDs: ids, Input: len(ids), Output: output, Hash: hashIDs(ids)}
}

func (r randomPrompts) source(i int) *rand.Rand {
	return rand.New(rand.NewPCG(r.seed, r.pool<<40|uint64(i)+1))
}

func (r randomPrompts) lengths(random *rand.Rand) (input, output int) {
	ratio := r.d.RangeRatio
	input = draw(random, r.d.InputTokens, ratio)
	if r.d.OutputRangeRatio != nil {
		ratio = *r.d.OutputRangeRatio
	}
	return input, draw(random, r.d.OutputTokens, ratio)
}

// draw is uniform in [mean*(1-ratio), mean*(1+ratio)], both ends rounded outwards as in vLLM.
func draw(random *rand.Rand, mean int, ratio float64) int {
	low := int(math.Floor(float64(mean) * (1 - ratio)))
	high := int(math.Ceil(float64(mean) * (1 + ratio)))
	return max(1, low+random.IntN(high-low+1))
}

// texts makes the prompts as text of exact length.
func (r randomPrompts) texts(ctx context.Context, l lab.Load, env Env) (list, error) {
	w := env.words()
	if w == nil {
		return list{}, fmt.Errorf("make random text of exact length: %w (or use api: completions, which takes token ids)", ErrNoTokenizer)
	}
	if len(r.prefix) > 0 {
		random := rand.New(rand.NewPCG(r.seed, 0))
		_, prefix, err := r.exact(ctx, w, random, nil, len(r.prefix))
		if err != nil {
			return list{}, err
		}
		r.prefix = prefix
	}
	n, _ := wanted(l, env)
	made := list{entries: make([]entry, n), distinct: n}
	err := each(ctx, n, env.workers(), func(ctx context.Context, i int) (err error) {
		made.entries[i].Prompt, err = r.text(ctx, w, i)
		return err
	})
	return made, err
}

// text is the prompt at an index as text.
func (r randomPrompts) text(ctx context.Context, w words, i int) (lab.Prompt, error) {
	random := r.source(i)
	input, output := r.lengths(random)
	text, ids, err := r.exact(ctx, w, random, r.prefix, input)
	return lab.Prompt{Text: text, Input: len(ids), Output: output, Hash: hashText([]byte(text))}, err
}

// exact makes text of the prefix and n random tokens. Some draws never settle on the length: then another is made.
func (r randomPrompts) exact(ctx context.Context, w words, random *rand.Rand, prefix []int32, n int) (string, []int32, error) {
	const draws = 20
	for range draws {
		ids := make([]int32, 0, len(prefix)+n)
		ids = r.alphabet.drawMany(random, append(ids, prefix...), n)
		text, got, ok, err := w.exact(ctx, ids, len(ids), func() int32 { return r.alphabet.draw(random) })
		if err != nil {
			return "", nil, fmt.Errorf("make random text of exact length: %w", err)
		}
		if ok {
			return text, got, nil
		}
	}
	return "", nil, fmt.Errorf("make random text: %d draws did not give exactly %d tokens with this tokenizer: use another length, or api: completions, which takes token ids",
		draws, len(prefix)+n)
}
