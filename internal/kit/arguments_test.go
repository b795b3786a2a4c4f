package kit

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// flagsOfVLLM are the names that `vllm bench serve --help=all` of 0.32 lists, without dashes, and the choices of each.
func flagsOfVLLM(tb testing.TB) map[string][]string {
	tb.Helper()
	text, err := os.ReadFile("testdata/vllm-0.32/help.txt")
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "  -") {
			continue
		}
		usage, _, _ := strings.Cut(strings.TrimSpace(line), "   ") // the help text stands apart
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+)(?: \{([^}]*)\})?`).FindAllStringSubmatch(usage, -1) {
			all[m[1]] = nil
			if m[2] != "" {
				all[m[1]] = strings.Split(m[2], ",")
			}
		}
	}
	return all
}

func TestEveryFlagOfVLLMIsServedOrMootOrRefusedWithTheReason(t *testing.T) {
	theirs := flagsOfVLLM(t)
	if len(theirs) != 103 {
		t.Errorf("the help lists %d flags", len(theirs))
	}
	ours := map[string]option{}
	for _, s := range sections {
		for _, f := range s.flags {
			if _, again := ours[f.name]; again {
				t.Errorf("--%s stands twice in the table", f.name)
			}
			ours[f.name] = f
			if _, known := theirs[f.name]; known == f.whole && f.name != "custom-skip-chat-template" {
				t.Errorf("--%s: vLLM has it: %v, the table says %v", f.name, known, !f.whole)
			}
		}
	}
	sample := map[kind]string{single: "x", integer: "1", float: "1", pace: "1", several: "ttft:1", asJSON: `{"image": 1}`}
	for name, choices := range theirs {
		f, known := ours[name]
		if !known {
			t.Errorf("--%s is not known", name)
			continue
		}
		words := []string{"--" + name}
		if f.kind != toggle {
			words = append(words, sample[f.kind])
			if len(f.choices) > 0 {
				words[1] = f.choices[0]
			}
		}
		a, err := ParseArguments(words)
		switch {
		case f.refused != "":
			if want := fmt.Sprintf("--%s: lab bench does not have it: %s", name, f.refused); err == nil || err.Error() != want {
				t.Errorf("%v: %v, want %s", words, err, want)
			}
		case err != nil:
			t.Errorf("%v: %v", words, err)
		case f.moot != "" || f.only != nil:
			if len(a.Notes) != 1 || !strings.HasPrefix(a.Notes[0], "--"+name+" changes nothing: ") || a.Has(name) {
				t.Errorf("%v: notes %q", words, a.Notes)
			}
		case !a.Has(name) || len(a.Notes) > 0:
			t.Errorf("%v: not kept, or notes %q", words, a.Notes)
		}
		for _, c := range f.choices {
			if choices != nil && !slices.Contains(choices, c) {
				t.Errorf("--%s %s: no choice of vLLM's", name, c)
			}
		}
	}
}

// The abbreviations that vLLM understands mean the same flag here, whatever lab has beside them.
func TestAbbreviationsThatAreUniqueThereAreUniqueHere(t *testing.T) {
	theirs := flagsOfVLLM(t)
	for name := range theirs {
		for n := 1; n < len(name); n++ {
			short, matches := name[:n], 0
			for other := range theirs {
				if strings.HasPrefix(other, short) {
					matches++
				}
			}
			_, exact := theirs[short]
			f, err := find(short)
			if (matches == 1 && !exact) && (err != nil || f.name != name) {
				t.Errorf("--%s: %s, %v, want --%s", short, f.name, err, name)
			}
			if matches > 1 && !exact && err == nil && !f.whole {
				t.Errorf("--%s is --%s here and ambiguous there", short, f.name)
			}
		}
	}
}

func parsed(t *testing.T, words ...string) *Arguments {
	t.Helper()
	a, err := ParseArguments(words)
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	return a
}

func TestWordsOfTheCommandLineAreReadAsVLLMReadsThem(t *testing.T) {
	for _, c := range []struct {
		line, flag string
		want       []string
	}{
		{"--num_prompts 7", "num-prompts", []string{"7"}},
		{"--num-prompts=7", "num-prompts", []string{"7"}},
		{"--num_prompts=7 --num-prompts 8", "num-prompts", []string{"8"}},
		{"--random-input 200", "random-input-len", []string{"200"}},
		{"--max-conc 4", "max-concurrency", []string{"4"}},
		{"--temperature -1", "temperature", []string{"-1"}},
		{"--presence-penalty -.5", "presence-penalty", []string{"-.5"}},
		{"--request-rate inf", "request-rate", []string{"inf"}},
		{"--goodput ttft:200 tpot:50 e2el:5000 --label x", "goodput", []string{"ttft:200", "tpot:50", "e2el:5000"}},
		{"--goodput ttft:200 --goodput tpot:50", "goodput", []string{"tpot:50"}},
		{"--metadata a=b=c d= --save-result", "metadata", []string{"a=b=c", "d="}},
		{"--label=a=b", "label", []string{"a=b"}},
		{"--label=", "label", []string{""}},
		{`--extra-body {"a":{"b":1}}`, "extra-body", []string{`{"a":{"b":1}}`}},
		{"--extra-body.a.b 1 --extra_body.c_d=x", "extra-body", []string{`{"a":{"b":1},"c_d":"x"}`}},
		{`--extra-body {"a":1,"b":{"c":2}} --extra-body.b.d true`, "extra-body", []string{`{"a":1,"b":{"c":2,"d":true}}`}},
		{"--extra-body.stop+ x --extra-body.stop+=y,3", "extra-body", []string{`{"stop":["x","y",3]}`}},
		{`--extra-body.a 1 --extra-body {"b":2}`, "extra-body", []string{`{"b":2}`}},
		{"--self-timed --no-self-timed", "self-timed", nil},
		{"--no-self-timed --self-timed", "no-self-timed", nil},
	} {
		a := parsed(t, strings.Fields(c.line)...)
		if d := cmp.Diff(c.want, a.given[c.flag]); d != "" {
			t.Errorf("%s: %s", c.line, d)
		}
	}
	if a := parsed(t, "--random-mm-limit-mm-per-prompt.image", "3"); a.Word("random-mm-limit-mm-per-prompt") != `{"image":3}` {
		t.Error(a.Word("random-mm-limit-mm-per-prompt"))
	}
}

func TestABadCommandLineGetsOneClearError(t *testing.T) {
	for line, want := range map[string]string{
		"run":                               "unrecognized argument: run",
		"--no-such-flag 1":                  "unrecognized argument: --no-such-flag",
		"--request-rat3 4":                  "unrecognized argument: --request-rat3 (did you mean --request-rate?)",
		"--num-prompts 5 6":                 "unrecognized argument: 6",
		"--":                                "unrecognized argument: --",
		"--ramp-up-s x":                     "--ramp-up-s: could be any of --ramp-up-strategy, --ramp-up-start-rps",
		"--num-prompts":                     "--num-prompts: expected a value",
		"--num-prompts --seed 1":            "--num-prompts: expected a value",
		"--goodput --seed 1":                "--goodput: expected a value",
		"--num-prompts 1.5":                 `--num-prompts: invalid int value: "1.5"`,
		"--temperature warm":                `--temperature: invalid float value: "warm"`,
		"--top-p nan":                       `--top-p: invalid float value: "nan"`,
		"--top-p inf":                       "--top-p: inf: must be finite",
		"--request-rate 0":                  "--request-rate: 0: must be above zero",
		"--request-rate nan":                `--request-rate: invalid float value: "nan"`,
		"--burstiness 0":                    "--burstiness: 0: must be above zero",
		"--save-result=yes":                 "--save-result: it takes no value",
		"--backend tgi":                     `--backend: invalid choice: "tgi" (choose from openai, vllm, openai-chat); lab measures text generation: --backend vllm, openai and openai-chat`,
		"--tokenizer-mode mistral":          `--tokenizer-mode: invalid choice: "mistral" (choose from auto, hf); lab reads tokenizer.json only`,
		"--extra-body [1]":                  `--extra-body: "[1]" is no JSON object`,
		"--extra-body null":                 `--extra-body: "null" is no JSON object`,
		"--extra-body..x 1":                 "--extra-body..x: a key is missing",
		"--label.x 1":                       "--label: it is no JSON, so it has no parts",
		"--goodput foo:1":                   `--goodput: invalid metric name "foo": there are ttft, tpot, e2el`,
		"--goodput ttft":                    `--goodput: "ttft" is not METRIC:MILLISECONDS, such as ttft:200`,
		"--goodput ttft:inf":                `--goodput: "ttft:inf": a limit must be above zero and below 1000000000000`,
		"--max-concurrency 0":               "--max-concurrency: must be above zero",
		"--num-prompts -3":                  "--num-prompts: must be above zero",
		"--seed -1":                         "--seed: must not be negative",
		"--metadata a":                      `--metadata: "a" is not KEY=VALUE`,
		"--percentile-metrics ttft,latency": `--percentile-metrics: "latency" is not one of ttft, tpot, itl, e2el, client_queue_time, e2el_including_client_queue`,
		"--metric-percentiles 50,101":       `--metric-percentiles: "101" is no number from 0 to 100`,
		"--dataset-name sonnet":             `--dataset-name: "sonnet": lab does not read this data set; there are random, random-mm, sharegpt, custom, prefix_repetition, timed_trace, hf`,
		"--dataset-name sharegpt":           "--dataset-path is missing: the ShareGPT JSON file, a list of {conversations: [{value: text}, …]}",
		"--dataset-name random-mm":          "--dataset-name random-mm sends images, which only the chat endpoint takes: use --backend openai-chat",
		"--random-input-len 0":              "--random-input-len must be above zero",
		"--random-range-ratio 1":            "--random-range-ratio must be at least 0 and below 1",
		"--random-range-ratio {}":           `--random-range-ratio: "{}" is neither a number nor {"input": r, "output": r}`,
		"--self-timed":                      "--self-timed: only --dataset-name timed_trace has times of its own",
		"--backend openai-chat --endpoint /v1/completions": `--endpoint: "/v1/completions": the path for --backend openai-chat begins with / and ends in chat/completions`,
		"--endpoint v1/completions":                        `--endpoint: "v1/completions": the path for --backend openai begins with / and ends in completions`,
		"--base-url 127.0.0.1:8000":                        `--base-url "127.0.0.1:8000" is not a URL (write for example http://127.0.0.1:8000)`,
		"--extra-body.max_tokens 5":                        "--extra-body: max_tokens is set by lab: the prompt and its lengths come from the dataset, the rest is what the record is read from",
		"--request-rate 10 --ramp-up-strategy linear --ramp-up-start-rps 5 --ramp-up-end-rps 20": "--request-rate: a ramp-up sets the rate: leave --request-rate out",
		"--ramp-up-strategy linear --ramp-up-start-rps 5":                                        "--ramp-up-strategy: needs --ramp-up-start-rps and --ramp-up-end-rps",
		"--ramp-up-start-rps 5": "--ramp-up-strategy: is missing: linear or exponential",
		"--ramp-up-strategy linear --ramp-up-start-rps 5 --ramp-up-end-rps 4":                        "--ramp-up-start-rps: must not be above --ramp-up-end-rps nor negative, and not 0 for an exponential ramp",
		"--dataset-name timed_trace --dataset-path t --request-rate 3":                               "--request-rate: the trace says when requests are sent: leave it out, or say --no-self-timed",
		"--dataset-name timed_trace --dataset-path t --timed-trace-sec-multiplier 0":                 "--timed-trace-sec-multiplier must be above zero: seconds in one unit of the time stamps",
		"--dataset-name custom --dataset-path c --custom-output-len 0":                               "--custom-output-len: must be above zero",
		"--dataset-name prefix_repetition --num-prompts 3":                                           "--prefix-repetition-num-prefixes are more than the load's 3 requests: every prefix needs one at least",
		`--dataset-name random-mm --backend openai-chat --random-mm-limit-mm-per-prompt {"image":0}`: "--random-mm-limit-mm-per-prompt: allows no image, but every request has at least 1: say --random-mm-base-items-per-request 0",
		`--dataset-name random-mm --backend openai-chat --random-mm-bucket-config {(8,8,16):1}`:      "--random-mm-bucket-config: (8,8,16):1: lab makes images, no videos",
		`--dataset-name random-mm --backend openai-chat --random-mm-bucket-config {}`:                `--random-mm-bucket-config: "{}" is not {(height, width, 1): share, …}`,
	} {
		a, err := ParseArguments(strings.Fields(line))
		if err == nil {
			_, err = a.Experiment()
		}
		if err == nil {
			_, err = a.Apply(Bench{})
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", line, err, want)
		}
	}
}

func TestTheHelpNamesWhatIsServedAndNothingElse(t *testing.T) {
	var out strings.Builder
	WriteHelp(&out)
	for _, s := range sections {
		for _, f := range s.flags {
			listed := regexp.MustCompile(`(?m)^  --` + f.name + `( |$)`).MatchString(out.String())
			if served := f.refused == "" && f.moot == ""; listed != served {
				t.Errorf("--%s: in the help %v, served %v", f.name, listed, served)
			}
		}
	}
}

func FuzzParseArguments(f *testing.F) {
	for _, line := range []string{
		"--backend openai-chat --dataset-name random-mm --random-mm-bucket-config {(1,2,1):0.5} --random-mm-limit-mm-per-prompt {\"image\":0}",
		"--extra-body.a.b+ 1,2 --extra-body.a.b x --goodput ttft:1e9 --header a=b --metadata a= =b",
		"--dataset-name timed_trace --no-self-timed --ramp-up-strategy exponential --ramp-up-start-rps 1 --ramp-up-end-rps 2",
		"--request-rate=inf --burstiness=1e-300 --seed=9223372036854775807 --temperature=-0 --top-k -1 --logprobs 3",
		"--=x --.a -- -h --h --p --extra-body=. --metric-percentiles=,",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\n"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		a, err := ParseArguments(strings.Split(line, "\n"))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		e, err := a.Experiment()
		if err == nil {
			e.Key() // panics where a value has no JSON form
		}
		if b, err := a.Apply(Bench{Model: "m"}); err == nil {
			_ = Measure(b, Lists{}, 1).JSON()
		}
		_, _ = a.Header()
		_ = a.ReadyCheck()
	})
}

func TestTheValuesOfHeadersAreNotInTheStoredCommandLine(t *testing.T) {
	got := HideHeaders([]string{"--metadata", "a=b", "--header", "Authorization=Bearer x=y", "X-Team=z", "--head=K=v", "--num-prompts", "2"})
	want := []string{"--metadata", "a=b", "--header", "Authorization=…", "X-Team=…", "--head=K=…", "--num-prompts", "2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
