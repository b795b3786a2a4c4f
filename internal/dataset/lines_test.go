package dataset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestRandomPromptsHaveExactLengthsAndPoolsDiffer(t *testing.T) {
	l := lab.Load{Seed: 1, API: "completions"}
	l.Dataset = lab.Dataset{Kind: "random", InputTokens: 100, OutputTokens: 50, RangeRatio: 0.5, PrefixTokens: 10}
	a, err := Open(t.Context(), l, Env{Vocab: 512})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Open(t.Context(), l, Env{Vocab: 512, Pool: 1})
	low, high, seen := 1000, 0, map[uint64]bool{}
	for i := range 1000 {
		p := a.At(i)
		n := len(p.IDs) - 10
		low, high = min(low, n), max(high, n)
		if !slices.Equal(p.IDs[:10], b.At(i).IDs[:10]) {
			t.Fatal("the shared prefix differs")
		}
		if p.Hash != a.At(i).Hash || seen[p.Hash] || b.At(i).Hash == p.Hash {
			t.Fatal("a prompt is not its own: it changed, came twice, or is in the warm-up too")
		}
		seen[p.Hash] = true
		for _, id := range p.IDs {
			if id < firstID || id >= 512 {
				t.Fatalf("token id %d is out of range", id)
			}
		}
	}
	if low != 50 || high != 150 {
		t.Errorf("lengths from %d to %d, want 50 to 150", low, high)
	}
}

func TestAPromptFileIsReadLineByLineAndItsFaultsNameTheLine(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) lab.Load {
		name := filepath.Join(dir, "p.jsonl")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return lab.Load{API: "completions", Dataset: lab.Dataset{Kind: "prompts", File: name, OutputTokens: 9}}
	}
	got, err := Open(t.Context(), write(`{"prompt":"hello"}`+"\n\n"+`{"prompt":[1,2,3],"output_tokens":5}`), Env{})
	if err != nil {
		t.Fatal(err)
	}
	if p := got.At(0); p.Text != "hello" || p.Output != 9 {
		t.Errorf("got %+v", p)
	}
	if p := got.At(3); len(p.IDs) != 3 || p.Output != 5 {
		t.Errorf("got %+v", p)
	}
	for text, want := range map[string]string{
		`{"prompt":"a"}` + "\n" + `{"prompt":7}`: `p.jsonl:2: has no "prompt"`,
		`nonsense`:                               "p.jsonl:1: is not a JSON object",
		"\n\n":                                   "holds no prompt",
		`{"messages":[{"role":"user","content":"x"}]}`: `p.jsonl:1: has no "prompt"`,
		`{"prompt":"a","output_tokens":"many"}`:        "p.jsonl:1: is not a JSON object",
	} {
		if _, err := Open(t.Context(), write(text), Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", text, err, want)
		}
	}
	chat := write(`{"prompt":"a"}` + "\n" + `{"messages":[{"role":"user","content":"x"}]}`)
	chat.API = "chat"
	if _, err := Open(t.Context(), chat, Env{}); err != nil {
		t.Error(err)
	}
	chat = write(`{"prompt":[1,2]}`)
	chat.API = "chat"
	if _, err := Open(t.Context(), chat, Env{}); err == nil || !strings.Contains(err.Error(), "p.jsonl:1: has neither") {
		t.Errorf("token ids for the chat endpoint: got %v", err)
	}
}

func TestTheVocabularyIsFoundInAFolderAndInTheCache(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("tiny/config.json", `{"vocab_size":512}`)
	put("hub/models--org--seeing/snapshots/abc/config.json", `{"text_config":{"vocab_size":32000}}`)
	put("broken/config.json", `{"vocab_size":"many"}`)
	env := map[string]string{"HF_HOME": dir}
	for model, want := range map[string]int{
		filepath.Join(dir, "tiny"): 512, "org/seeing": 32000, "org/none": 0, filepath.Join(dir, "broken"): 0,
	} {
		if got, ok := Vocab(model, func(name string) string { return env[name] }); got != want || ok != (want > 0) {
			t.Errorf("%s: got %d %v, want %d", model, got, ok, want)
		}
	}
}

func FuzzPromptLine(f *testing.F) {
	f.Add([]byte(`{"prompt":"a","output_tokens":3}`), false)
	f.Add([]byte(`{"prompt":[1,2]}`), false)
	f.Add([]byte(`{"messages":[{"role":"user","content":"x"}]}`), true)
	f.Fuzz(func(t *testing.T, line []byte, chat bool) {
		p, err := parsePrompt(line, chat, 5)
		if err != nil {
			return
		}
		if p.Output <= 0 || p.Messages != nil && !json.Valid(p.Messages) {
			t.Errorf("%q makes %+v", line, p)
		}
	})
}

func BenchmarkRandomPrompts1000x1024(b *testing.B) {
	l := lab.Load{Seed: 1, API: "completions", Requests: 1000}
	l.Dataset = lab.Dataset{Kind: "random", InputTokens: 1024, OutputTokens: 128}
	b.Run("ids", func(b *testing.B) {
		for b.Loop() {
			first(open(b, l, Env{Vocab: 128_000}), 1000)
		}
	})
	b.Run("text", func(b *testing.B) {
		l.API = "chat"
		for b.Loop() {
			first(open(b, l, Env{Tokenizer: toy{}}), 1000)
		}
	})
}
