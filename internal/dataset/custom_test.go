package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func custom(requests int) lab.Load {
	return lab.Load{API: "completions", Seed: 1, Requests: requests, Dataset: lab.Dataset{
		Kind: "custom", File: "testdata/custom-mini.jsonl", OutputTokens: 16, FixedOutput: true, NoChatTemplate: true,
	}}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCustomPromptsAreThoseThatVLLMRecorded(t *testing.T) {
	got, total := inputs(first(open(t, custom(5), Env{Tokenizer: counted{}}), 5))
	if d := cmp.Diff([]int{16, 24, 25, 29, 25}, got); d != "" || total != 119 {
		t.Errorf("input lengths (-vLLM +lab):\n%s", d)
	}
	l := custom(15)
	l.Dataset.NoOversample = true
	p := open(t, l, Env{Tokenizer: counted{}})
	if _, total := inputs(first(p, 10)); total != 249 || Limit(p) != 10 {
		t.Errorf("15 asked without oversampling: %d input tokens in %d requests, vLLM sent 249 in 10", total, Limit(p))
	}
	if p := open(t, custom(15), Env{}); Limit(p) != 0 || p.Distinct() != 10 || p.At(0).Input != 0 {
		t.Errorf("15 asked, no tokenizer: limit %d, distinct %d, input %d", Limit(p), p.Distinct(), p.At(0).Input)
	}
}

func TestACustomLineSaysHowMuchToGenerateUnlessTheLoadFixesIt(t *testing.T) {
	l := custom(2)
	l.Dataset.NoShuffle = true
	l.Dataset.File = write(t, "c.jsonl", `{"prompt":"one","output_tokens":3}`+"\n\n"+`{"prompt":"two"}`+"\n")
	outputs := func() []int {
		p := open(t, l, Env{})
		return []int{p.At(0).Output, p.At(1).Output}
	}
	if got := outputs(); !slices.Equal(got, []int{16, 16}) {
		t.Errorf("fixed: %v", got)
	}
	l.Dataset.FixedOutput = false
	if got := outputs(); !slices.Equal(got, []int{3, 16}) {
		t.Errorf("where a line says it: %v", got)
	}
}

func TestTheChatTemplateIsAppliedByTheServer(t *testing.T) {
	l := custom(10)
	l.Dataset.NoChatTemplate = false
	p := open(t, l, Env{Server: server{}}).At(0)
	if want := "<s>user: What does a compiler do? bot:"; p.Text != want || p.Input != len(toy{}.Encode(want)) {
		t.Errorf("got %q of %d tokens", p.Text, p.Input)
	}
	l.API = "chat" // whose endpoint applies it
	if p := open(t, l, Env{Server: server{}}).At(0); p.Text != "What does a compiler do?" {
		t.Errorf("chat: got %q", p.Text)
	}
}

func TestWarmUpTakesOtherLinesThanTheMeasurementAsFarAsTheFileGoes(t *testing.T) {
	for _, kind := range []string{"custom", "prompts"} {
		l := custom(7)
		l.Dataset.Kind = kind
		measured, warm := open(t, l, Env{}), open(t, l, Env{Pool: 1, Requests: 3})
		for _, w := range first(warm, 3) {
			for _, m := range first(measured, 7) {
				if w.Hash == m.Hash {
					t.Errorf("%s: %q is in both", kind, w.Text)
				}
			}
		}
	}
}

func TestWhatIsWrongWithAFileIsToldWithItsPlaceAndWhatToDo(t *testing.T) {
	load := func(kind, file string) lab.Load {
		l := lab.Load{API: "completions", Requests: 5, Dataset: lab.Dataset{Kind: kind, File: file}}
		if kind == "timed_trace" {
			l.Dataset.Trace = &lab.Trace{BlockTokens: 4, SecondsUnit: 0.001}
		}
		return l
	}
	broken := Env{Vocab: 512, Server: server{broken: true}}
	for _, c := range []struct {
		kind, text string
		env        Env
		want       string
	}{
		{"custom", `{"prompt":"a"}`, Env{}, "f:1: says no output_tokens above zero, and neither does the dataset"},
		{"custom", `{"prompt":"a","output_tokens":1}` + "\n" + `{"prompt":[1,2]}`, Env{}, `f:2: has no "prompt" (text); token ids and messages are for kind: prompts`},
		{"custom", `{"prompt":"a","output_tokens":"x"}`, Env{}, "f:1: is not a JSON object with a prompt and, if need be, a whole number of output_tokens: output_tokens is a JSON string"},
		{"custom", `[1]`, Env{}, "a whole number of output_tokens: it is a JSON array"},
		{"custom", "\n", Env{}, "f: holds no prompt"},
		{"custom", `{"prompt":"a","output_tokens":1}`, Env{}, "apply the chat template: only a running server that answers /tokenize can (no_chat_template sends the prompt as it stands)"},
		{"custom", `{"prompt":"a","output_tokens":1}`, broken, "ask the server: 404 Not Found (no_chat_template sends the prompt as it stands)"},
		{"sharegpt", `{"a":1}`, Env{}, `f: byte 0: is not a JSON list: it begins with '{'`},
		{"sharegpt", `[{"conversations":[{"value":`, Env{}, "f: byte 28: ends in the middle of the list: was it copied whole?"},
		{"sharegpt", `[{]`, Env{}, `f: byte 2: ']' closes what '{' opened`},
		{"sharegpt", `[] []`, Env{}, "f: byte 3: something follows the list"},
		{"sharegpt", `[{"conversations":[1,2]}]`, Env{}, "choose conversations by their length: no tokenizer: place tokenizer.json"},
		{"sharegpt", `[{"conversations":[1,2]}]`, Env{Tokenizer: toy{}}, "f: the entry at byte 1 is not a conversation"},
		{"sharegpt", `[{"conversations":[{"from":"a"},{"from":"b"}]}]`, Env{Tokenizer: toy{}}, "the entry at byte 1 has no text (value)"},
		{"sharegpt", `[{"video":"x","conversations":[{"value":"a"},{"value":"b"}]}]`, Env{Tokenizer: toy{}}, "has a video, which lab does not send"},
		{"sharegpt", `[{"conversations":[{"value":"a"},{"value":"b"}]}]`, Env{Tokenizer: toy{}}, "none of 1 conversations serves: a prompt has 4 to 1024 tokens"},
		{"sharegpt", `[{"conversations":[{"value":"a"},{"value":"b"}]}]`, broken, "ask the server to tokenize: 404 Not Found (tokenizer.json in the model's folder makes that unnecessary)"},
		{"timed_trace", `{"timestamp":0}`, Env{Vocab: 512}, `f:1: has no "input_length" but ["timestamp"]: name the field with trace.input_length`},
		{"timed_trace", `{"timestamp":"now"}`, Env{Vocab: 512}, `f:1: says timestamp "now", which is no number`},
		{"timed_trace", `{"timestamp":0,"input_length":1.5}`, Env{Vocab: 512}, "f:1: says input_length 1.5, which is no length in tokens"},
		{"timed_trace", `{"timestamp":0,"input_length":1,"output_length":1,"hash_ids":3}`, Env{Vocab: 512}, "f:1: says hash_ids, which is no list"},
		{"timed_trace", `{"timestamp":0,"input_length":1,"output_length":1}` + "\n" + `{"timestamp":1e14,"input_length":1,"output_length":1}`, Env{Vocab: 512}, "is trace.seconds_unit right?"},
		{"timed_trace", `{"timestamp":0}`, Env{Vocab: 3}, "a vocabulary of 3 tokens is too small"},
	} {
		_, err := Open(t.Context(), load(c.kind, write(t, "f", c.text)), c.env)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s:\n got %v\nwant …%s…", c.kind, c.text, err, c.want)
		}
		if asks := strings.Contains(c.want, "no tokenizer") || strings.Contains(c.want, "only a running server"); errors.Is(err, ErrNoTokenizer) != asks {
			t.Errorf("%s %s: is ErrNoTokenizer: %v", c.kind, c.text, !asks)
		}
	}
	for _, kind := range []string{"custom", "sharegpt", "timed_trace", "hf", "prompts"} {
		if _, err := Open(t.Context(), load(kind, "/none/here.jsonl"), Env{Vocab: 512}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s without its file: %v", kind, err)
		}
	}
}

func FuzzCustomLine(f *testing.F) {
	f.Add([]byte(`{"prompt":"a","output_tokens":3}`), 5, true)
	f.Add([]byte(`{"prompt":"a","output_tokens":null}`), 0, false)
	f.Fuzz(func(t *testing.T, text []byte, output int, fixed bool) {
		line, err := parseCustom(text, lab.Dataset{OutputTokens: output, FixedOutput: fixed})
		if err == nil && (line.prompt == "" || line.output <= 0 || fixed && line.output != output) {
			t.Errorf("%q makes %+v", text, line)
		}
	})
}
