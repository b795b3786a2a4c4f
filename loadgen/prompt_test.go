package loadgen

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
	l := random(lab.Load{Seed: 1})
	l.Dataset = lab.Dataset{Kind: "random", InputTokens: 100, OutputTokens: 50, RangeRatio: 0.5, PrefixTokens: 10}
	a, err := newPrompts(l, 512, measured)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := newPrompts(l, 512, warmup)
	low, high, seen := 1000, 0, map[uint64]bool{}
	for i := range 1000 {
		p := a.at(i)
		n := len(p.IDs) - 10
		low, high = min(low, n), max(high, n)
		if !slices.Equal(p.IDs[:10], b.at(i).IDs[:10]) {
			t.Fatal("the shared prefix differs")
		}
		if p.Hash != a.at(i).Hash || seen[p.Hash] || b.at(i).Hash == p.Hash {
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
	got, err := newPrompts(write(`{"prompt":"hello"}`+"\n\n"+`{"prompt":[1,2,3],"output_tokens":5}`), 0, measured)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.at(0); p.Text != "hello" || p.Output != 9 {
		t.Errorf("got %+v", p)
	}
	if p := got.at(3); len(p.IDs) != 3 || p.Output != 5 {
		t.Errorf("got %+v", p)
	}
	for text, want := range map[string]string{
		`{"prompt":"a"}` + "\n" + `{"prompt":7}`: `p.jsonl:2: has no "prompt"`,
		`nonsense`:                               "p.jsonl:1: is not a JSON object",
		"\n\n":                                   "holds no prompt",
		`{"messages":[{"role":"user","content":"x"}]}`: `p.jsonl:1: has no "prompt"`,
		`{"prompt":"a","output_tokens":"many"}`:        "p.jsonl:1: is not a JSON object",
	} {
		if err := Check(write(text), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", text, err, want)
		}
	}
	chat := write(`{"prompt":"a"}` + "\n" + `{"messages":[{"role":"user","content":"x"}]}`)
	chat.API = "chat"
	if err := Check(chat, 0); err != nil {
		t.Error(err)
	}
	chat = write(`{"prompt":[1,2]}`)
	chat.API = "chat"
	if err := Check(chat, 0); err == nil || !strings.Contains(err.Error(), "p.jsonl:1: has neither") {
		t.Errorf("token ids for the chat endpoint: got %v", err)
	}
}

func TestARequestBodyCarriesTheLoadsFieldsButNotThoseOfTheRecord(t *testing.T) {
	l := random(lab.Load{Body: map[string]any{"model": "adapter", "top_k": 7}})
	b, err := newBodies("tiny", l)
	if err != nil {
		t.Fatal(err)
	}
	r := b.request(4, Prompt{IDs: []int32{8, 9}, Output: 3, Hash: 1})
	want := `{"ignore_eos":true,"model":"adapter","stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":true},` +
		`"temperature":0,"top_k":7,"prompt":[8,9],"max_tokens":3,"min_tokens":3}`
	if string(r.Body) != want || !r.Fixed || r.Input != 2 || r.Output != 3 || r.Path != "/v1/completions" {
		t.Errorf("got %s %+v", r.Body, r)
	}
	l.API, l.Body = "chat", map[string]any{"ignore_eos": false}
	if b, err = newBodies("tiny", l); err != nil {
		t.Fatal(err)
	}
	r = b.request(0, Prompt{Text: "say \"hi\"", Output: 3})
	if text := string(r.Body); r.Fixed || strings.Contains(text, "min_tokens") ||
		!strings.Contains(text, `"messages":[{"role":"user","content":"say \"hi\""}],"max_tokens":3}`) {
		t.Errorf("got %s", text)
	}
	l.Body = map[string]any{"max_tokens": 9}
	if _, err := newBodies("tiny", l); err == nil || !strings.Contains(err.Error(), `"max_tokens"`) {
		t.Errorf("got %v", err)
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
		if body := (bodies{prefix: []byte(`{"n":1`), chat: chat}).request(0, p).Body; p.Output <= 0 || !json.Valid(body) {
			t.Errorf("%q: %+v makes %s", line, p, body)
		}
	})
}

func BenchmarkRandomPrompts1000x1024(b *testing.B) {
	l := random(lab.Load{Seed: 1})
	l.Dataset.InputTokens = 1024
	for b.Loop() {
		p, err := newPrompts(l, 128_000, measured)
		if err != nil {
			b.Fatal(err)
		}
		for i := range 1000 {
			p.at(i)
		}
	}
}
