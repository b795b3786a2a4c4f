package matrices

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestAnchorsMergeKeysAndOddEncodingsReadAsThePlainFileDoes(t *testing.T) {
	want := key16(t, "server: {model: m, args: {n: '5', on: true}}\nload: {concurrency: 2, requests: 9}\n")
	for what, text := range map[string]string{
		"a written key wins over a merged one":    "x-l: &l {concurrency: 1, requests: 9}\nserver: {model: m, args: {n: '5', on: true}}\nload: {<<: *l, concurrency: 2}\n",
		"also where it stands first":              "x-l: &l {concurrency: 1, requests: 9}\nserver: {model: m, args: {n: '5', on: true}}\nload: {concurrency: 2, <<: *l}\n",
		"several merged, the first wins":          "x-a: &a {concurrency: 2}\nx-b: &b {concurrency: 7, requests: 9}\nserver: {model: m, args: {n: '5', on: true}}\nload:\n  <<: [*a, *b]\n",
		"byte order mark":                         "\ufeffserver: {model: m, args: {n: '5', on: true}}\nload: {concurrency: 2, requests: 9}\n",
		"lines end in CRLF":                       "server: {model: m, args: {n: '5', on: true}}\r\nload: {concurrency: 2, requests: 9}\r\n",
		"a directive, document markers":           "%YAML 1.2\n---\nserver: {model: m, args: {n: '5', on: true}}\nload: {concurrency: 2, requests: 9}\n...\n",
		"a tag makes a string, True is a boolean": "server: {model: m, args: {n: !!str 5, on: True}}\nload: {concurrency: 2, requests: 9}\n",
		"null is the same as no key":              "server: {model: m, dtype: null, args: {n: '5', on: true, off: ~}}\nload: {concurrency: 2, requests: 9}\nprimary: null\n",
		"a list of one phase, named":              "server: {model: m, args: {n: '5', on: true}}\nload: [{name: load, concurrency: 2, requests: 9}]\n",
	} {
		if got := key16(t, text); got != want {
			t.Errorf("%s: reads differently:\n%s", what, text)
		}
	}
}

func key16(t *testing.T, text string) string {
	t.Helper()
	f, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Errorf("%s%v", text, err)
		return ""
	}
	return f.Experiment.Key()
}

func TestAliasesOfAliasesEndBeforeMemoryDoes(t *testing.T) {
	text := "x-0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
	for i := range 12 {
		one := "*a" + string(rune('a'+i-1))
		if i == 0 {
			one = "*a0"
		}
		text += "x-" + string(rune('a'+i)) + ": &a" + string(rune('a'+i)) + " [" + strings.Repeat(one+", ", 9) + one + "]\n"
	}
	_, err := Parse("x.yaml", []byte(text+"server: {model: m, args: {z: *al}}\nload: {concurrency: 1, requests: 1}\n"))
	if err == nil || !strings.Contains(err.Error(), "too many values") {
		t.Error(err)
	}
}

func TestAPromptsFileOfConversationsIsSentToTheChatEndpoint(t *testing.T) {
	dir := t.TempDir()
	for name, lines := range map[string]string{
		"chat.jsonl":  "\n" + `{"messages": [{"role": "user", "content": "x"}]}` + "\n",
		"plain.jsonl": `{"prompt": "x"}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"chat.jsonl": "chat", "plain.jsonl": "completions", "absent.jsonl": "completions"} {
		f, err := Parse(filepath.Join(dir, "x.yaml"), []byte("server: {model: m}\nload: {concurrency: 1, requests: 1, dataset: {file: "+name+"}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		l := f.Experiment.Phases[0].Load
		if l.API != want || l.Dataset.Kind != "prompts" || l.Dataset.File != filepath.Join(dir, name) {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestPathsStartAtTheFileThatWroteThem(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	if err := os.MkdirAll(filepath.Join(dir, "local", "model"), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"model: org/name":              `"model":"org/name"`,
		"model: local/model":           `"model":"` + dir + `/local/model"`,
		"model: ./absent":              `"model":"` + dir + `/absent"`,
		"model: ~/m":                   `"model":"` + home + `/m"`,
		"model: m, venv: v":            `"venv":"` + dir + `/v"`,
		"model: m, python: python3":    `"python":"python3"`,
		"model: m, python: ../py":      `"python":"` + filepath.Dir(dir) + `/py"`,
		"model: m, executable: /x/y":   `"executable":"/x/y"`,
		"model: m, executable: vllm":   `"executable":"vllm"`,
		"model: m, executable: ~/vllm": `"executable":"` + home + `/vllm"`,
	} {
		f, err := Parse(filepath.Join(dir, "x.yaml"), []byte("server: {"+text+"}\nload: {concurrency: 1, requests: 1}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(f.Experiment); !strings.Contains(string(got), want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestAnyFieldPathHasAPlace(t *testing.T) {
	f, err := Parse("x.yaml", []byte("server: {model: m, args: {a.b: 1}, env: {X: 1}}\nload:\n- {concurrency: 1, requests: 2}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"server.args.a.b": "1:27", "server.env.X": "1:42", "load.requests": "3:20", "load[0].requests": "3:20", "load[7].x": "2:1",
		"load[": "2:1", "[[": "1:1", "..": "1:1", "": "1:1", "load[-1]": "2:1", "server.args[0]": "1:20",
	} {
		p := f.Locate(lab.Faults{{Path: path, Problem: "x"}}).Problems[0]
		if got := strings.SplitN(p.String(), ": ", 2)[0]; got != "x.yaml:"+want {
			t.Errorf("%q is at %s, want %s", path, got, want)
		}
	}
}

func TestTheSchemaAcceptsWhatTheReaderAccepts(t *testing.T) {
	s := schema(t)
	for _, text := range []string{
		"x-any: [1]\nserver: {base_url: 'http://h:1', api_key_env: K}\nload: {rate: inf, requests: 3, burstiness: 0.5}\ntelemetry: off\n",
		"server: {model: m, swap_space: 0B, kv_cache_memory: 1.5 GiB, dtype: null, gpus: 0, simulator: {as: 0.18, flags: {step-time: 8ms}}}\nload: [{concurrency: 1, duration: 1m30s}]\nmargin: 2.5 %\nguardrails: []\n",
		"server: {model: m, env: {A: 1, B: true, C: x}, speculative: {method: ngram}, args: {a: [1, x], b: null}, gpus: [0, GPU-1]}\nload: {concurrency: 1, requests: 1, seed: 0, warmup: 0, temperature: 0, body: {stop: null}}\nslo: {ttft: .5s}\ntelemetry: {period: 100ms}\n",
	} {
		if _, err := Parse("x.yaml", []byte(text)); err != nil {
			t.Errorf("reader: %v", err)
		}
		if err := againstSchema(t, s, []byte(text)); err != nil {
			t.Errorf("schema: %v\n%s", err, text)
		}
	}
}

func TestABaseIsMergedKeyByKeyAndLoadAndListsReplace(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.yaml": "name: a\nserver: {model: m, gpus: [0, 1], eager: true, speculative: {method: ngram, num_speculative_tokens: 4}, args: {x: 1}}\nload: {concurrency: 2, requests: 9, seed: 7}\nslo: {ttft: 1s}\n",
		"b.yaml": "extends: a.yaml\nserver: {gpus: [2], speculative: {num_speculative_tokens: 2}}\n",
		"c.yaml": "extends: b.yaml\nserver: {eager: null, args: {x: ~}}\nload: {rate: 3, requests: 9}\nslo: null\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Load(filepath.Join(dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := key16(t, "server: {model: m, gpus: [2], speculative: {method: ngram, num_speculative_tokens: 2}}\nload: {rate: 3, requests: 9}\n")
	if got.Experiment.Key() != want {
		text, _ := json.Marshal(got.Experiment)
		t.Errorf("merged to %s", text)
	}
	if got.Experiment.Name != "c" {
		t.Errorf("the name is %q: a base's name is its own", got.Experiment.Name)
	}
	place := got.Locate(lab.Faults{{Path: "server.model", Problem: "x"}}).Problems[0]
	if filepath.Base(place.File) != "a.yaml" || place.Line != 2 {
		t.Errorf("server.model was written in %s:%d", place.File, place.Line)
	}
}

func TestSchemaAndReaderAgreeOnWhatGoesWithEachKindOfDataSet(t *testing.T) {
	s := schema(t)
	values := map[string]string{
		"kind": "random", "file": "f", "range_ratio": "0.5", "output_range_ratio": "0.5", "tokenizer": "./t", "name": "org/n", "subset": "s", "split": "s",
		"fixed_output": "true", "no_shuffle": "true", "no_oversample": "true", "no_chat_template": "true", "vocab": "512",
		"images": "{items: 2}", "trace": "{block_tokens: 16}",
	}
	for _, k := range kinds {
		api := "completions"
		if k.kind == "random-mm" {
			api = "chat"
		}
		for _, name := range append(fieldNames(reflect.TypeFor[lab.Dataset]()), "kind") {
			written := map[string]string{"kind": k.kind}
			for _, needed := range k.needs {
				written[needed] = values[needed]
			}
			if name != "kind" {
				written[name] = cmp.Or(values[name], "7")
			}
			if written["fixed_output"] != "" {
				written["output_tokens"] = "7"
			}
			var parts []string
			for key, value := range written {
				parts = append(parts, key+": "+value)
			}
			text := "server: {model: m}\nload: {concurrency: 1, requests: 10, api: " + api + ", dataset: {" + strings.Join(parts, ", ") + "}}\n"
			_, err := Parse("x.yaml", []byte(text))
			if schemaErr := againstSchema(t, s, []byte(text)); (err == nil) != (schemaErr == nil) {
				t.Errorf("%s\nreader: %v\nschema: %v", text, err, schemaErr)
			}
		}
	}
}
