package dataset

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"lab/internal/lab"
)

func chat(d lab.Dataset) lab.Load {
	return lab.Load{API: "chat", Seed: 1, Requests: 20, Dataset: d}
}

func TestRandomTextHasExactlyTheTokensAskedFor(t *testing.T) {
	d := lab.Dataset{Kind: "random", InputTokens: 40, OutputTokens: 8, RangeRatio: 0.5, PrefixTokens: 10}
	for name, env := range map[string]Env{"tokenizer": {Vocab: 16, Tokenizer: toy{}}, "server": {Vocab: toyOther, Server: server{}}} {
		p := open(t, chat(d), env)
		all := first(p, 20)
		lengths := map[int]bool{}
		for i, one := range all {
			ids := toy{}.Encode(one.Text)
			lengths[len(ids)] = true
			if len(ids) != one.Input || len(ids) < 30 || len(ids) > 70 || one.Output < 4 || one.Output > 12 {
				t.Errorf("%s: prompt %d has %d tokens, says %d in and %d out", name, i, len(ids), one.Input, one.Output)
			}
			if one.Text[:15] != all[0].Text[:15] || one.Hash == all[(i+1)%20].Hash {
				t.Errorf("%s: prompt %d: the prefix differs, or the prompt comes again", name, i)
			}
		}
		if len(lengths) < 5 {
			t.Errorf("%s: only %d different lengths", name, len(lengths))
		}
		again, warm := first(open(t, chat(d), env), 20), open(t, chat(d), Env{Vocab: env.Vocab, Tokenizer: env.Tokenizer, Server: env.Server, Pool: 1})
		for i := range all {
			if again[i].Text != all[i].Text || warm.At(i).Text == all[i].Text {
				t.Errorf("%s: prompt %d is not its own", name, i)
			}
		}
	}
}

func TestWithoutATokenizerTheErrorSaysWhatToPlaceWhere(t *testing.T) {
	for _, d := range []lab.Dataset{
		{Kind: "random", InputTokens: 5, OutputTokens: 1},
		{Kind: "prefix_repetition", InputTokens: 5, OutputTokens: 1, PrefixTokens: 5, Prefixes: 2},
		{Kind: "random-mm", InputTokens: 5, OutputTokens: 1, Images: &lab.Images{Buckets: []lab.ImageBucket{{Width: 1, Height: 1, Share: 1}}}},
	} {
		_, err := Open(t.Context(), chat(d), Env{Vocab: 512})
		if !errors.Is(err, ErrNoTokenizer) || !strings.Contains(err.Error(), "place tokenizer.json in the model's folder") {
			t.Errorf("%s: %v", d.Kind, err)
		}
		_, err = Open(t.Context(), chat(d), Env{Tokenizer: stubborn{}})
		if err == nil || !strings.Contains(err.Error(), "20 draws did not give exactly 5 tokens") {
			t.Errorf("%s with a stubborn tokenizer: %v", d.Kind, err)
		}
		_, err = Open(t.Context(), chat(d), Env{Vocab: 512, Server: server{broken: true}})
		if !errors.Is(err, errNotFound) {
			t.Errorf("%s with a server that does not tokenize: %v", d.Kind, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = Open(ctx, chat(d), Env{Tokenizer: toy{}}); !errors.Is(err, context.Canceled) && d.Kind != "prefix_repetition" {
			t.Errorf("%s canceled: %v", d.Kind, err)
		}
	}
}

func TestRandomIDsLeaveOutTheTokenizersSpecialOnes(t *testing.T) {
	l := lab.Load{API: "completions", Requests: 1, Dataset: lab.Dataset{Kind: "random", InputTokens: 5000, OutputTokens: 1}}
	ids := open(t, l, Env{Vocab: 40, Tokenizer: toy{}}).At(0).IDs
	if slices.Min(ids) != toyLetter || slices.Max(ids) != 39 {
		t.Errorf("ids from %d to %d, want %d to 39", slices.Min(ids), slices.Max(ids), toyLetter)
	}
}

func TestEachPrefixIsRepeatedEquallyOften(t *testing.T) {
	d := lab.Dataset{Kind: "prefix_repetition", InputTokens: 20, PrefixTokens: 30, Prefixes: 3, OutputTokens: 4}
	for _, api := range []string{"completions", "chat"} {
		l := lab.Load{API: api, Seed: 1, Requests: 20, Dataset: d}
		p := open(t, l, Env{Vocab: toyOther, Tokenizer: toy{}})
		if Limit(p) != 18 || p.Distinct() != 18 {
			t.Fatalf("%s: limit %d, distinct %d, want 3 x 6", api, Limit(p), p.Distinct())
		}
		seen, hashes, order := map[string]int{}, map[uint64]bool{}, ""
		for _, one := range first(p, 18) {
			ids := one.IDs
			if api == "chat" {
				ids = toy{}.Encode(one.Text)
			}
			key := toy{}.Decode(ids[:29]) // in text, the last token of the prefix may merge with the suffix
			seen[key]++
			hashes[one.Hash] = true
			order += key[:1]
			if len(ids) != 50 || one.Input != 50 || one.Output != 4 {
				t.Errorf("%s: %d tokens, says %d in and %d out", api, len(ids), one.Input, one.Output)
			}
		}
		if len(seen) != 3 || len(hashes) != 18 {
			t.Errorf("%s: %d prefixes, %d prompts", api, len(seen), len(hashes))
		}
		if strings.Contains(order, strings.Repeat(order[:1], 6)) {
			t.Errorf("%s: the prompts are not shuffled: %s", api, order)
		}
		for prefix := range seen {
			warm := open(t, l, Env{Vocab: toyOther, Tokenizer: toy{}, Pool: 1, Requests: 2}).At(0)
			if strings.HasPrefix(warm.Text+toy{}.Decode(warm.IDs), prefix) {
				t.Errorf("%s: the warm-up has a measured prefix", api)
			}
		}
	}
}

func TestALoadWithoutANumberGetsEnoughPromptsForItsRate(t *testing.T) {
	l := chat(lab.Dataset{Kind: "random", InputTokens: 2, OutputTokens: 1})
	l.Requests, l.Rate, l.Duration = 0, 10, lab.Duration(20e9)
	if n := open(t, l, Env{Tokenizer: toy{}}).Distinct(); n < 200 || n > 400 {
		t.Errorf("10 a second for 20 s: %d prompts", n)
	}
	l.Rate, l.Concurrency = 0, 2
	if n := open(t, l, Env{Tokenizer: toy{}}).Distinct(); n < 1000 {
		t.Errorf("2 at a time for 20 s: %d prompts", n)
	}
}
