package matrices

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"lab/internal/lab"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestEveryFaultOfAFileIsToldAtOnceWithItsPlace(t *testing.T) {
	files, _ := filepath.Glob("testdata/faults/*.yaml")
	if len(files) < 5 {
		t.Fatalf("found %d files", len(files))
	}
	for _, name := range files {
		if strings.HasPrefix(filepath.Base(name), "base-") {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, err := Load(name)
			if err == nil {
				t.Fatal("no fault was found")
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".golden"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(Schema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("lab.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("lab.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// againstSchema validates YAML text as an editor would.
func againstSchema(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// writeShipped writes the shipped files into a folder, where they can extend each other.
func writeShipped(t *testing.T, dir string) {
	t.Helper()
	for _, name := range Names() {
		text, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryShippedFileIsAnExperimentToTheReaderAndToTheSchema(t *testing.T) {
	dir, s := t.TempDir(), schema(t)
	writeShipped(t, dir)
	for _, name := range Names() {
		if _, err := Load(filepath.Join(dir, name)); err != nil {
			t.Errorf("%v", err)
		}
		text, _ := Shipped(name)
		if err := againstSchema(t, s, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f, err := Parse("x.yaml", Scaffold("my/model")); err != nil || f.Experiment.Server.Model != "my/model" {
		t.Errorf("scaffold: %v", err)
	}
}

func TestTheSchemaRefusesWhatTheReaderRefuses(t *testing.T) {
	s := schema(t)
	for _, text := range []string{
		"server: {model: m, max_num_seq: 4}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, gpu_memory_utilization: 0.9}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, swap_space: 4}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m}\nload: {concurrency: many, requests: 1}",
		"server: {model: m}\nload: {concurrency: 1, duration: 60}",
		"server: {model: m}\nload: {concurrency: 1, requests: 1, dataset: {kind: sharegpt}}",
		"server: {model: m}\nload: {concurrency: 1, requests: 1}\nslo: {itl: 5ms}",
		"server: {model: m}",
		"load: {concurrency: 1, requests: 1}",
		"server: {model: m, max_num_seqs: 0}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, eager: 3}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, gpus: {a: 1}}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, env: {A: [1]}}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, simulator: {version: 1}}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m}\nload: {concurrency: 1, requests: 1, seed: -1}",
		"server: {model: m}\nload: {rate: fast, requests: 1}",
		"server: {model: m}\nload: []",
		"server: {model: m}\nload: [{concurrency: 1, requests: 1, x: 1}]",
		"server: {model: m}\nload: {concurrency: 1, requests: 1}\ntelemetry: {off: true}",
		"server: {model: m}\nload: {concurrency: 1, requests: 1}\ntelemetry: quiet",
		"server: {model: m}\nload: {concurrency: 1, requests: 1}\nmargin: 3",
		"server: {model: true}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, max_num_seqs: '4'}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, eager: 'true'}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, gpus: []}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, gpus: '0,1'}\nload: {concurrency: 1, requests: 1}",
		"server: {model: m, gpus: ['0 1']}\nload: {concurrency: 1, requests: 1}",
	} {
		if _, err := Parse("x.yaml", []byte(text)); err == nil {
			t.Errorf("the reader accepts %s", text)
		}
		if err := againstSchema(t, s, []byte(text)); err == nil {
			t.Errorf("the schema accepts %s", text)
		}
	}
}

// paths lists every key that a schema knows.
func paths(prefix string, schema map[string]any) []string {
	var all []string
	for _, part := range append(anyList(schema["oneOf"]), schema) {
		properties, _ := part.(map[string]any)["properties"].(map[string]any)
		for name, sub := range properties {
			path := strings.TrimPrefix(prefix+"."+name, ".")
			all = append(all, path)
			all = append(all, paths(path, sub.(map[string]any))...)
		}
		if items, ok := part.(map[string]any)["items"].(map[string]any); ok {
			all = append(all, paths(prefix, items)...)
		}
	}
	sort.Strings(all)
	return slices.Compact(all)
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}

func TestEveryKeyIsExplainedAndNothingElseIs(t *testing.T) {
	var s map[string]any
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	var explained []string
	for path := range keys {
		explained = append(explained, path)
	}
	sort.Strings(explained)
	if diff := cmp.Diff(explained, paths("", s)); diff != "" {
		t.Errorf("explained (-) against known (+): %s", diff)
	}
}

func TestAFileThatExtendsAnotherIsThatFilePlusItsDifferences(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write("base/a.yaml", "server: {model: ./m, max_num_seqs: 4, env: {A: 1, B: 2}, dtype: half}\nload: {concurrency: 2, requests: 9}\n")
	b := write("b.yaml", "extends: base/a.yaml\nserver: {max_num_seqs: 8, env: {B: 3}, dtype: null}\n")
	whole := write("base/whole.yaml", "server: {model: ./m, max_num_seqs: 8, env: {A: 1, B: 3}}\nload: {concurrency: 2, requests: 9}\n")
	got, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Load(whole)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Experiment, got.Experiment, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Name" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	if want.Experiment.Key() != got.Experiment.Key() {
		t.Error("the keys differ")
	}
	if got.Experiment.Server.Model != filepath.Join(dir, "base", "m") {
		t.Errorf("model %s: a path starts at the file that wrote it", got.Experiment.Server.Model)
	}
	if got.Experiment.Name != "b" {
		t.Errorf("name %q", got.Experiment.Name)
	}
}

func TestDefaultsAreFilledInAndUnitsAreRead(t *testing.T) {
	f, err := Parse("x.yaml", []byte(`
server:
  model: m
  swap_space: 4GiB
  gpu_memory_utilization: 90%
  kv_cache_memory: 1.5GiB
  speculative: {method: ngram, num_speculative_tokens: 4}
  args: {load-format: dummy, flag: true, n: 3}
  gpus: [0, GPU-1]
load: {rate: inf, requests: 10, burstiness: inf}
telemetry: off
slo: {ttft: 500ms}
margin: 2.5%
guardrails: []
`))
	if err != nil {
		t.Fatal(err)
	}
	e := f.Experiment
	text, _ := json.Marshal(e)
	want := `{"name":"x","server":{"model":"m","swap_space":"4GiB","gpu_memory_utilization":0.9,"kv_cache_memory":"1536MiB",` +
		`"speculative":{"method":"ngram","num_speculative_tokens":4},"args":{"flag":true,"load-format":"dummy","n":3},"gpus":["0","GPU-1"],` +
		`"start_timeout":"10m0s","hang_timeout":"1m0s","stop_timeout":"15s"},` +
		`"load":[{"name":"load","judged":true,"load":{"rate":"inf","requests":10,"burstiness":"inf","seed":1,"warmup":8,"api":"completions",` +
		`"request_timeout":"10m0s","dataset":{"kind":"random","input_tokens":512,"output_tokens":128}}}],` +
		`"margin":0.025,"guardrails":[],"telemetry":{"period":"50ms","off":true},"slo":[{"metric":"ttft","limit":"500ms"}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	var back lab.Experiment
	if err := json.Unmarshal(text, &back); err != nil || back.Key() != e.Key() {
		t.Errorf("read back: %v", err)
	}
}

func TestAFaultFoundLaterIsShownAtItsKey(t *testing.T) {
	f, err := Parse("x.yaml", []byte("server:\n  model: m\n  args: {no-such-flag: 1}\nload:\n  - {concurrency: 1, requests: 2}\n  - {rate: 2, requests: 2, name: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := f.Locate(lab.Faults{{Path: "server.args.no-such-flag", Problem: "is unknown"}, {Path: "load[1].rate", Problem: "x"}, {Path: "server.swap_space", Problem: "y"}})
	for i, want := range []string{"x.yaml:1:1", "x.yaml:3:10", "x.yaml:6:6"} {
		if !strings.HasPrefix(got.Problems[i].String(), want) {
			t.Errorf("got %s, want it at %s", got.Problems[i], want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		text, _ := Shipped(name)
		f.Add(text)
	}
	files, _ := filepath.Glob("testdata/faults/*.yaml")
	for _, name := range files {
		text, _ := os.ReadFile(name)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(string(text), "extends") {
			return // it would read files
		}
		read, err := Parse("x.yaml", text)
		if err == nil {
			same(t, read.Experiment)
			return
		}
		for _, p := range err.(*Error).Problems {
			if p.Line < 1 || p.Column < 1 || p.Text == "" || p.Excerpt == "" || p.Line > 1+strings.Count(string(text), "\n") {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
	})
}
