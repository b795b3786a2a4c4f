package kit

import (
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// asks is the experiment of a command line, which must be a good one.
func asks(t *testing.T, words ...string) lab.Experiment {
	t.Helper()
	e, err := parsed(t, words...).Experiment()
	if err != nil {
		t.Fatalf("%q: %v", words, err)
	}
	return e
}

func TestTheSeedsCommandsAskForWhatTheyMean(t *testing.T) {
	const shareGPT = " --dataset-name sharegpt --dataset-path ShareGPT_V3_unfiltered_cleaned_split.json"
	inf := lab.Number(math.Inf(1))
	random := func(input, output int) lab.Dataset {
		return lab.Dataset{Kind: "random", InputTokens: input, OutputTokens: output}
	}
	conversations := lab.Dataset{Kind: "sharegpt", File: "ShareGPT_V3_unfiltered_cleaned_split.json"}
	slo := []lab.SLO{{Metric: "ttft", Limit: lab.Duration(200 * time.Millisecond)}, {Metric: "tpot", Limit: lab.Duration(50 * time.Millisecond)}, {Metric: "e2el", Limit: lab.Duration(5 * time.Second)}}
	for name, c := range map[string]struct {
		line string
		want lab.Load // what differs from every command
		slo  []lab.SLO
	}{
		"1 basic": {"--dataset-name random --num-prompts 100 --request-rate 10 --random-input-len 512 --random-output-len 256",
			lab.Load{Requests: 100, Rate: 10, Dataset: random(512, 256)}, nil},
		"2 concurrency": {"--num-prompts 160 --max-concurrency 16 --request-rate inf --save-result --result-filename concurrency_16.json" + shareGPT,
			lab.Load{Requests: 160, Rate: inf, Concurrency: 16, Dataset: conversations}, nil},
		"3 input lengths": {"--dataset-name random --num-prompts 50 --random-input-len 2048 --random-output-len 256 --request-rate 5 --save-result --result-filename input_len_2048.json",
			lab.Load{Requests: 50, Rate: 5, Dataset: random(2048, 256)}, nil},
		"4 traffic": {"--num-prompts 1000 --request-rate 20 --burstiness 0.8 --max-concurrency 16 --save-result --metadata environment=production load_test=true" + shareGPT,
			lab.Load{Requests: 1000, Rate: 20, Burstiness: 0.8, Concurrency: 16, Dataset: conversations}, nil},
		"5 goodput": {"--num-prompts 500 --request-rate 15 --goodput ttft:200 tpot:50 e2el:5000 --percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 50,90,95,99 --save-result" + shareGPT,
			lab.Load{Requests: 500, Rate: 15, Dataset: conversations}, slo},
		"6 images": {"--backend openai-chat --dataset-name hf --dataset-path lmms-lab/VisionArena --num-prompts 100 --request-rate 2 --save-result --save-detailed",
			lab.Load{Requests: 100, Rate: 2, API: "chat", KeepText: true, Dataset: lab.Dataset{Kind: "hf", File: "lmms-lab/VisionArena"}}, nil},
		"7 profile": {"--dataset-name random --num-prompts 50 --random-input-len 1024 --random-output-len 512 --request-rate 5 --profile --save-result --save-detailed",
			lab.Load{Requests: 50, Rate: 5, KeepText: true, Dataset: random(1024, 512)}, nil},
		"10 stress": {"--dataset-name random --num-prompts 2000 --random-input-len 1024 --random-output-len 512 --request-rate inf --max-concurrency 64 --save-result --result-filename stress_test.json",
			lab.Load{Requests: 2000, Rate: inf, Concurrency: 64, Dataset: random(1024, 512)}, nil},
		"11 stability": {"--num-prompts 5000 --request-rate 10 --max-concurrency 8 --save-result --metadata test_type=stability duration=long" + shareGPT,
			lab.Load{Requests: 5000, Rate: 10, Concurrency: 8, Dataset: conversations}, nil},
		"12 A/B": {"--num-prompts 500 --request-rate 15 --max-concurrency 8 --save-result --result-filename config_a.json --metadata config=A gpu_memory=24GB" + shareGPT,
			lab.Load{Requests: 500, Rate: 15, Concurrency: 8, Dataset: conversations}, nil},
		"14 one request": {"--dataset-name random --num-prompts 1 --random-input-len 10 --random-output-len 5",
			lab.Load{Requests: 1, Rate: inf, Dataset: random(10, 5)}, nil},
	} {
		got := asks(t, append([]string{"--backend", "vllm", "--model", "your_model_name"}, strings.Fields(c.line)...)...)
		want := c.want
		want.OnDemand, want.ServerSampling, want.RequestTimeout = true, true, lab.Duration(6*time.Hour)
		if want.API == "" {
			want.API = "completions"
		}
		if want.Burstiness == 0 {
			want.Burstiness = 1
		}
		want.Body = map[string]any{"ignore_eos": want.Dataset.Kind == "random"}
		if d := cmp.Diff(want, got.Phases[0].Load); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(c.slo, got.SLO); d != "" {
			t.Errorf("%s: slo %s", name, d)
		}
		if d := cmp.Diff(lab.Server{BaseURL: "http://127.0.0.1:8000", Model: "your_model_name"}, got.Server); d != "" {
			t.Errorf("%s: server %s", name, d)
		}
	}
}

// What the result says beside the measurements follows from the command line alone, by the way that lab bench takes.
func TestTheCommandLineOfARecordingGivesWhatItsResultSaysOfIt(t *testing.T) {
	for _, rec := range bothOutputs(t) {
		line, _, _ := strings.Cut(text(t, filepath.Join("testdata/vllm-0.32", rec.name, "command.txt")), "\n")
		words := strings.Fields(strings.ReplaceAll(line, `\`, ""))
		a := parsed(t, words[len(strings.Fields("vllm bench serve")):]...)
		e, err := a.Experiment()
		if err != nil {
			t.Fatalf("%s: %v", rec.name, err)
		}
		want := rec.bench(t)
		got, err := a.Apply(BenchOf(lab.Run{Experiment: e, Epoch: lab.Epoch{Wall: want.Date}}, lab.Tally{Phase: phase}))
		if err != nil {
			t.Fatalf("%s: %v", rec.name, err)
		}
		got.Date, got.RPSChanges = want.Date, want.RPSChanges // those are of the run
		if want.RampUp != nil {
			want.Rate = got.Rate // says nothing then
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", rec.name, d)
		}
	}
}

func TestEachDataSetHasItsFlags(t *testing.T) {
	ratio := 0.5
	for line, want := range map[string]lab.Dataset{
		"--tokenizer /t": {Kind: "random", InputTokens: 1024, OutputTokens: 128, Tokenizer: "/t"},
		`--random-range-ratio {"input":0.25,"output":0.5} --random-prefix-len 7 --dataset-path ignored`: {
			Kind: "random", InputTokens: 1024, OutputTokens: 128, PrefixTokens: 7, RangeRatio: 0.25, OutputRangeRatio: &ratio},
		"--input-len 5 --output-len 6 --random-input-len 9": {Kind: "random", InputTokens: 5, OutputTokens: 6},
		"--dataset-name custom --dataset-path f":            {Kind: "custom", File: "f", OutputTokens: 256, FixedOutput: true},
		"--dataset-name custom --dataset-path f --custom-output-len -1 --custom-skip-chat-template": {
			Kind: "custom", File: "f", NoChatTemplate: true},
		"--dataset-name custom --dataset-path f --output-len 9 --disable-shuffle --no-oversample --skip-chat-template": {
			Kind: "custom", File: "f", OutputTokens: 9, FixedOutput: true, NoShuffle: true, NoOversample: true, NoChatTemplate: true},
		"--dataset-name sharegpt --dataset-path f --sharegpt-output-len 4": {Kind: "sharegpt", File: "f", OutputTokens: 4, FixedOutput: true},
		"--dataset-name hf --dataset-path d --hf-name a/b --hf-subset s --hf-split t --hf-output-len 3 --skip-chat-template": {
			Kind: "hf", File: "d", Name: "a/b", Subset: "s", Split: "t", OutputTokens: 3, FixedOutput: true, NoChatTemplate: true},
		"--dataset-name prefix_repetition --disable-shuffle": {
			Kind: "prefix_repetition", PrefixTokens: 256, InputTokens: 256, Prefixes: 10, OutputTokens: 128, NoShuffle: true},
		"--dataset-name timed_trace --dataset-path f --timed-trace-chunk-hash-size 512 --timed-trace-sec-multiplier 0.001 --timed-trace-label-hash-ids h": {
			Kind: "timed_trace", File: "f", Trace: &lab.Trace{BlockTokens: 512, SecondsUnit: 0.001, Timestamp: "timestamp", InputLength: "input_length", OutputLen: "output_length", HashIDs: "h"}},
		"--dataset-name timed_trace --dataset-path f --no-self-timed --request-rate 3": {
			Kind: "timed_trace", File: "f", Trace: &lab.Trace{BlockTokens: 16, SecondsUnit: 1, Timestamp: "timestamp", InputLength: "input_length", OutputLen: "output_length", HashIDs: "hash_ids", Untimed: true}},
		"--backend openai-chat --dataset-name random-mm --random-mm-base-items-per-request 2 --random-mm-num-mm-items-range-ratio 0.5": {
			Kind: "random-mm", InputTokens: 1024, OutputTokens: 128,
			Images: &lab.Images{Items: 2, RangeRatio: 0.5, Limit: 255, Buckets: []lab.ImageBucket{{Width: 256, Height: 256, Share: 0.5}, {Width: 1280, Height: 720, Share: 0.5}}}},
		`--backend openai-chat --dataset-name random-mm --random-mm-num-mm-items-range-ratio 1 --random-mm-limit-mm-per-prompt {"image":0} --random-mm-bucket-config {(8,16,1):1}`: {
			Kind: "random-mm", InputTokens: 1024, OutputTokens: 128, Images: &lab.Images{Buckets: []lab.ImageBucket{{Width: 16, Height: 8, Share: 1}}}},
	} {
		if d := cmp.Diff(want, asks(t, strings.Fields(line)...).Phases[0].Load.Dataset); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
}

func TestATraceHasItsOwnTimesUnlessTheUserWantsARate(t *testing.T) {
	const trace = "--dataset-name timed_trace --dataset-path f "
	if l := asks(t, strings.Fields(trace+"--request-rate inf")...).Phases[0].Load; !l.Timed() || l.Rate != 0 || l.Burstiness != 0 {
		t.Errorf("%+v", l)
	}
	if l := asks(t, strings.Fields(trace+"--no-self-timed --request-rate 3")...).Phases[0].Load; l.Timed() || l.Rate != 3 || l.Burstiness != 1 {
		t.Errorf("%+v", l)
	}
}

func TestFlagsThatSayNothingToTheDataSetAreTakenWithANote(t *testing.T) {
	a := parsed(t, strings.Fields("--disable-shuffle --no-oversample --skip-chat-template --trust-remote-code")...)
	want := []string{
		"--trust-remote-code changes nothing: lab runs no code of a model",
		"--disable-shuffle changes nothing: it belongs to --dataset-name custom, sharegpt, prefix_repetition, hf",
		"--no-oversample changes nothing: it belongs to --dataset-name custom, sharegpt, hf",
		"--skip-chat-template changes nothing: it belongs to --dataset-name custom, hf",
	}
	if d := cmp.Diff(want, a.Notes); d != "" {
		t.Error(d)
	}
	e, err := a.Experiment()
	if err != nil {
		t.Fatal(err)
	}
	if d := e.Phases[0].Load.Dataset; d.NoShuffle || d.NoOversample || d.NoChatTemplate {
		t.Errorf("%+v", d)
	}
}

func TestTheServerIsWhereTheFlagsSay(t *testing.T) {
	for line, want := range map[string]string{
		"":                                      "http://127.0.0.1:8000",
		"--host 10.0.0.1 --port 9":              "http://10.0.0.1:9",
		"--host ::1":                            "http://[::1]:8000",
		"--base-url https://x/ --port 9":        "https://x",
		"--base-url http://x:1/v1":              "http://x:1",
		"--base-url=http://x:1/prefix --host y": "http://x:1/prefix",
	} {
		if got := asks(t, strings.Fields(line)...).Server.BaseURL; got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	e := asks(t, strings.Fields("--model org/m --served-model-name s --label night --endpoint /x/v1/completions")...)
	if e.Server.Model != "s" || e.Name != "night" || e.Phases[0].Load.Endpoint != "/x/v1/completions" {
		t.Errorf("%+v", e)
	}
}

func TestTheBodyHasTheSamplingFlagsAndExtraBodyOverThem(t *testing.T) {
	half := 0.5
	for line, want := range map[string]lab.Load{
		"": {ServerSampling: true, Body: map[string]any{"ignore_eos": true}},
		"--temperature 0.5 --top-p 0.9 --top-k 40 --min-p 0.1 --frequency-penalty 1 --presence-penalty 2 --repetition-penalty 3 --logprobs 4": {
			Temperature: &half, Body: map[string]any{"ignore_eos": true, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "frequency_penalty": 1., "presence_penalty": 2., "repetition_penalty": 3., "logprobs": 4}},
		`--top-k 40 --temperature 0 --extra-body {"top_k":5,"temperature":1,"ignore_eos":false}`: {
			ServerSampling: true, Body: map[string]any{"ignore_eos": false, "top_k": 5., "temperature": 1.}},
		"--extra-body.chat_template_kwargs.enable_thinking false": {
			ServerSampling: true, Body: map[string]any{"ignore_eos": true, "chat_template_kwargs": map[string]any{"enable_thinking": false}}},
	} {
		got := asks(t, strings.Fields(line)...).Phases[0].Load
		if d := cmp.Diff(want, lab.Load{ServerSampling: got.ServerSampling, Temperature: got.Temperature, Body: got.Body}); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
}

func TestTheLastLimitOfAMetricHolds(t *testing.T) {
	want := []lab.SLO{{Metric: "tpot", Limit: lab.Duration(300 * time.Microsecond)}, {Metric: "ttft", Limit: lab.Duration(2 * time.Millisecond)}}
	if d := cmp.Diff(want, asks(t, "--goodput", "ttft:1", "tpot:0.3", "ttft:2").SLO); d != "" {
		t.Error(d)
	}
}

func TestTheResultSaysWhatTheUserSaid(t *testing.T) {
	a := parsed(t, strings.Fields("--backend vllm --model org/m --metadata a=b c=d=e --percentile-metrics ttft,e2el --metric-percentiles 50,99.9 --save-detailed --label l --ready-check-timeout-sec 6 --header X-Key=1=2 y=z")...)
	got, err := a.Apply(Bench{Requests: 3})
	if err != nil {
		t.Fatal(err)
	}
	want := Bench{
		Backend: "vllm", Label: "l", Model: "org/m", Tokenizer: "org/m", Requests: 3, Metadata: []Pair{{"a", "b"}, {"c", "d=e"}},
		Metrics: []string{"ttft", "e2el"}, Percentiles: []float64{50, 99.9}, Detailed: true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	header, err := a.Header()
	if d := cmp.Diff(http.Header{"X-Key": {"1=2"}, "Y": {"z"}}, header); d != "" || err != nil {
		t.Error(d, err)
	}
	if a.ReadyCheck() != 6*time.Second {
		t.Error(a.ReadyCheck())
	}
	if old := parsed(t, "--endpoint-type", "openai-chat"); old.Backend() != "openai-chat" {
		t.Error(old.Backend())
	}
}
