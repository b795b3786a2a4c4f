package dataset

import (
	"context"
	"fmt"
	"math/rand/v2"

	"lab/internal/lab"
)

// repetition is prefix_repetition: some prefixes, each followed by its share of random suffixes, shuffled as vLLM does.
type repetition struct {
	random   randomPrompts
	prefixes [][]int32
	order    []int // which prompt is sent when; prompt k has prefix k / (prompts of a prefix)
}

// openRepetition makes the prompts ready. Each pool has prefixes of its own: after the warm-up the measured prefixes are
// as cold as vLLM's.
func openRepetition(ctx context.Context, l lab.Load, env Env) (Prompts, error) {
	n, _ := wanted(l, env)
	if env.Requests > 0 {
		n = max(n, l.Dataset.Prefixes) // a short warm-up is no fault of the load
	}
	share := n / max(1, l.Dataset.Prefixes)
	if share == 0 {
		return nil, fmt.Errorf("make prompts with %d prefixes: the load has only %d requests: ask for at least as many, or for fewer prefixes", l.Dataset.Prefixes, n)
	}
	r := repetition{random: randomPrompts{d: l.Dataset, seed: l.Seed, pool: env.Pool}, order: make([]int, share*l.Dataset.Prefixes)}
	var err error
	if r.random.alphabet, err = newAlphabet(l, env); err != nil {
		return nil, err
	}
	for k := range l.Dataset.Prefixes {
		random := rand.New(rand.NewPCG(r.random.seed, ^(env.Pool<<20 | uint64(k)))) // counts down, the prompts' count up
		r.prefixes = append(r.prefixes, r.random.alphabet.drawMany(random, nil, l.Dataset.PrefixTokens))
	}
	for i := range r.order {
		r.order[i] = i
	}
	if !l.Dataset.NoShuffle {
		shuffle(seedPython(l.Seed), r.order)
	}
	if l.API != "chat" {
		return r, nil
	}
	return r.texts(ctx, env)
}

// Distinct is the number of prompts.
func (r repetition) Distinct() int { return len(r.order) }

func (r repetition) limit() int { return len(r.order) }

// At makes the prompt at an index.
func (r repetition) At(i int) lab.Prompt {
	p := r.prompt(i)
	return p.At(r.order[i%len(r.order)])
}

// prompt is the random prompt at an index: one with the prefix that its place gives.
func (r repetition) prompt(i int) randomPrompts {
	p := r.random
	p.prefix = r.prefixes[r.order[i%len(r.order)]/(len(r.order)/len(r.prefixes))]
	return p
}

// texts makes the prompts as text. The tokens of prefix and suffix together are exact.
func (r repetition) texts(ctx context.Context, env Env) (Prompts, error) {
	w := env.words()
	if w == nil {
		return nil, fmt.Errorf("make text of exact length: %w (or use api: completions, which takes token ids)", ErrNoTokenizer)
	}
	for k, prefix := range r.prefixes {
		random := rand.New(rand.NewPCG(r.random.seed, ^(r.random.pool<<20 | uint64(k))))
		_, settled, err := r.random.exact(ctx, w, random, nil, len(prefix))
		if err != nil {
			return nil, err
		}
		r.prefixes[k] = settled
	}
	made := list{entries: make([]entry, len(r.order)), distinct: len(r.order), ends: true}
	err := each(ctx, len(r.order), env.workers(), func(ctx context.Context, i int) error {
		p, err := r.prompt(i).text(ctx, w, r.order[i])
		made.entries[i].Prompt = p
		return err
	})
	return made, err
}
