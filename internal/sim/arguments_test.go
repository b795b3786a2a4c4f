package sim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryVersionHasExactlyTheFlagsOfItsRecordedHelp(t *testing.T) {
	for _, version := range []string{"0.8.5", "0.12.0", "0.17.1", newest} {
		flags := flagsOf(version)
		long := 0
		for spelling := range flags {
			if strings.HasPrefix(spelling, "--") {
				long++
			}
		}
		names := strings.Fields(recorded(t, version, "flags.txt"))
		for _, name := range names {
			if _, ok := flags[name]; !ok && name != "--help" {
				t.Errorf("%s does not know %s", version, name)
			}
		}
		if extra := long - len(names); extra < 0 || extra > 1 { // --help is not in every list
			t.Errorf("%s knows %d flags, %d are recorded", version, long, len(names))
		}
	}
	for _, name := range []string{"--swap-space", "--disable-log-requests", "--profiler-config"} {
		if _, ok := flagsOf("0.15.1")[name]; !ok {
			t.Errorf("0.15.1 does not know %s", name)
		}
	}
}

func TestTheCommandLineIsVLLMs(t *testing.T) {
	model := t.TempDir()
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(`{"vocab_size":512,"max_position_embeddings":4096}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args string
		code int
		want string // of both outputs
	}{
		{"serve m --max-num-seqz 4 --nope=1 -zz", 2, "vllm: error: unrecognized arguments: --max-num-seqz 4 --nope=1 -zz\n"},
		{"serve m --swap-space 4", 2, "            {chat,complete,serve,launch,bench,collect-env,download-kernels,preload,run-batch,snapshot}\n            ...\nvllm: error: unrecognized arguments: --swap-space 4\n"},
		{"serve m --disable-log-requests --as 0.17.1", 2, "usage: vllm [-h] [-v] {chat,complete,serve,bench,collect-env,run-batch} ...\nvllm: error: unrecognized arguments: --disable-log-requests\n"},
		{"serve m --port", 2, "usage: vllm serve [model_tag] [options]\nvllm serve: error: argument --port: expected one argument\n"},
		{"serve m --max-num-seqs abc", 2, "vllm serve: error: argument --max-num-seqs: invalid int value: 'abc'\n"},
		{"serve m --max-num-batched-tokens abc", 2, "vllm serve: error: argument --max-num-batched-tokens: invalid human_readable_int value: 'abc'\n"},
		{"serve m --kv-cache-dtype nonsense", 2, "argument --kv-cache-dtype: invalid choice: 'nonsense' (choose from 'auto', "},
		{"serve m --profiler-config {bad", 2, "argument --profiler-config: 1 validation error for ProfilerConfig\n  Invalid JSON"},
		{"serve m --enforce-eager=true", 2, "argument --enforce-eager/--no-enforce-eager: ignored explicit argument 'true'"},
		{"serve m --max-num 4", 2, "ambiguous option: --max-num could match --max-num-"},
		{"serve /models/nothere", 1, "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/nothere'. Use `repo_type` argument if needed.\n"},
		{"serve " + model + " --max-model-len 999999", 1, "Value error, User-specified max_model_len (999999) is greater than the derived max_model_len (max_position_embeddings=4096.0 or model_max_length=None in model's config.json)."},
		{"serve m --max-num-batched-tokens 16 --max-num-seqs 64", 1, "Value error, max_num_batched_tokens (16) must be greater than or equal to max_num_seqs (64)."},
		{"serve m --gpu-memory-utilization 7", 1, "1 validation error for CacheConfig\ngpu_memory_utilization\n  Input should be less than or equal to 1 [type=less_than_equal, input_value=7.0, input_type=float]"},
		{"--version --as 0.17.1", 0, "0.17.1\n"},
		{"serve --help=all --as 0.15.1", 0, "--swap-space SWAP_SPACE"},
		{"serve --help --as 0.8.5", 0, "--swap-space SWAP_SPACE"},
		{"serve --help=all --as 0.8.5", 2, "vllm serve: error: argument -h/--help: ignored explicit argument 'all'"},
		{"serve --help", 0, "Config Groups:\n  positional arguments\n  options\n  Frontend\n"},
		{"serve --help=schedulerconfig", 0, "SchedulerConfig:\n"},
		{"serve --help=max_model_len", 0, "--max-model-len MAX_MODEL_LEN\n"},
		{"m --as 0.99", 2, "cannot play 0.99"},
		{"m --fail sometimes", 2, "argument --fail: sometimes: unknown fault"},
		{"m --fail cut-streams=7", 2, "no share between 0 and 1"},
		{"m --speed 0", 2, "argument --speed"},
		{"--help", 0, "--fail SPEC"},
	} {
		var out, errOut bytes.Buffer
		code := Main(strings.Fields(tc.args), &out, &errOut)
		if code != tc.code || !strings.Contains(out.String()+errOut.String(), tc.want) {
			t.Errorf("%s: exit %d, want %d with %q\n%.600s%.600s", tc.args, code, tc.code, tc.want, out.String(), errOut.String())
		}
		if (out.Len() > 0) != (tc.code == 0) {
			t.Errorf("%s: %d bytes on stdout and exit %d", tc.args, out.Len(), code)
		}
	}
}

func TestFlagsChangeThePhysicsWhereTheyMeanSomething(t *testing.T) {
	kv := func(args string) int {
		c, err := parse(strings.Fields("m --kv-tokens 160000 " + args))
		if err != nil {
			t.Fatal(err)
		}
		return c.physics.KVTokens
	}
	for args, want := range map[string]int{
		"": 160_000, "--num-gpu-blocks-override 10": 160, "--num-gpu-blocks-override 10 --block-size 32": 320,
		"--gpu-memory-utilization 0.51": 79_984, "--gpu_memory_utilization=0.92": 159_984, "--as 0.17.1": 160_000,
	} {
		if got := kv(args); got < want-32 || got > want+32 {
			t.Errorf("%q gives %d KV tokens, want %d", args, got, want)
		}
	}
	c, err := parse(strings.Fields("--max_num_seqs 2000 m --max-model-len=8K --no-enable-chunked-prefill --enable-prefix-caching --no-enable-prefix-caching --served-model-name a b --max-num-batched-tok 9k -tp 2"))
	if err != nil {
		t.Fatal(err)
	}
	p := c.physics
	if p.MaxSeqs != 2000 || c.maxLen != 8192 || p.Chunked || p.PrefixCache || len(c.names) != 2 || p.BatchTokens != 9000 || c.number("tensor-parallel-size", 1) != 2 {
		t.Errorf("%+v %d %v", p, c.maxLen, c.names)
	}
	want := "{'model_tag': 'm', 'max_num_seqs': 2000, 'max_model_len': 8192, 'enable_chunked_prefill': False, 'enable_prefix_caching': True, 'enable_prefix_caching': False, 'served_model_name': ['a', 'b'], 'max_num_batched_tokens': 9000, 'tensor_parallel_size': 2, 'model': 'm'}"
	if got := c.nonDefault(); got != want {
		t.Errorf("logged as\n%s, want\n%s", got, want)
	}
}

func FuzzACommandLineIsTakenOrRefused(f *testing.F) {
	for _, line := range []string{"serve m --port 8000", "--as 0.8.5 m --swap-space 4", "m --fail crash-after=3s,merge=0.1", "--max-model-len 8k m", "m --=", "-- -", "m --fail throttle=0.7@5s", "m --profiler-config.profiler torch", "m --max-model-len 99999999999K", "m --gpu-memory-utilization nan"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		c, err := parse(args)
		if err != nil || c.help || c.version {
			return
		}
		p := c.physics
		if p.MaxSeqs < 1 || p.BatchTokens < p.MaxSeqs || p.KVTokens < 1 || c.maxLen < 1 || !(p.Speed > 0) || len(c.names) == 0 {
			t.Errorf("%q was taken as %+v", line, c)
		}
		c.nonDefault()
	})
}
