package matrices

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
)

func TestAWrittenExperimentReadsAsTheSame(t *testing.T) {
	texts := map[string][]byte{}
	for _, name := range Names() {
		text, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = text
	}
	for name, text := range map[string]string{
		"awkward": `
name: "千问: #1, 'x' \"y\" off"
server:
  model: meta-llama/Llama-3.1-8B
  swap_space: 0B
  gpu_memory_utilization: 87.5%
  kv_cache_memory: 1536MiB
  prefix_caching: false
  speculative: {method: ngram, num_speculative_tokens: 4, list: [1, two, {three: 3.5}]}
  args: {kv-cache-dtype: fp8, "odd key": "012", yes: true, big: 12345678901234567}
  env: {A: "1", B: "yes", C: "", D: "2026-11-30", E: "~"}
  gpus: ["0", "1"]
load:
  - {name: first, rate: inf, requests: 10, seed: 900719925474099, warmup: 0, temperature: 0.7, body: {stop: ["\n", "x: y"], nothing: null}}
  - {name: second, judged: false, rate: 2.5, burstiness: inf, duration: 1m30s, dataset: {kind: random-mm, images: {buckets: [{width: 256, height: 256, share: 33.3%}, {width: 10, height: 20, share: 66.7%}]}}}
  - {name: third, ramp_up: {strategy: linear, start: 0, end: 9}, requests: 50, dataset: {kind: prefix_repetition}}
margin: 1.23%
guardrails: []
telemetry: off
slo: {e2el: 10s, ttft: 250ms}
profile: {iterations: 7, start: "ttft.p99>500ms", stacks: true}
`,
		"attached": "server: {base_url: 'http://127.0.0.1:8000', api_key_env: KEY}\nload: {concurrency: 3, duration: 10s}\nprimary: ttft.p99\ntelemetry: {period: 20ms, require: true}\n",
	} {
		texts[name] = []byte(text)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			file := name
			if _, err := os.Stat(name); err == nil { // a shipped one may extend another
				file = filepath.Base(name)
			}
			was, err := Parse(file, text)
			if err != nil {
				t.Fatal(err)
			}
			same(t, was.Experiment)
		})
	}
}

// same wants what is written of an experiment to read as it.
func same(t *testing.T, e lab.Experiment) {
	t.Helper()
	text, err := Write(e)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(e, again.Experiment, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("it reads as another (-was +is):\n%s\n%s", diff, text)
	}
}

func TestASettledRateIsWrittenInPlaceOfTheShareItCameFrom(t *testing.T) {
	was, err := Parse("x.yaml", []byte("server: {model: m}\nload: {capacity_share: 70%, duration: 10s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	was.Experiment.Phases[0].Load.Rate = 12.25
	text, err := Write(was.Experiment)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("x.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if l := again.Experiment.Phases[0].Load; l.Rate != 12.25 || l.CapacityShare != 0 {
		t.Errorf("rate %v, share %v", l.Rate, l.CapacityShare)
	}
}
