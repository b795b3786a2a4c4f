package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func helpOf(t testing.TB, version string) Flags {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/help", version+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return parseHelp(string(text))
}

func ptr[T any](v T) *T { return &v }

// argv renders a server for a version and returns what stands after the fixed beginning.
func argv(t *testing.T, version string, s lab.Server) (string, Launch, error) {
	t.Helper()
	s.Model = "/models/tiny"
	inst := Installation{Argv: []string{"vllm"}, Path: "/opt/vllm", Version: version}
	launch, err := Prepare(s, inst, helpOf(t, version), "lab-x", 8123)
	if err != nil {
		return "", launch, err
	}
	rest, ok := strings.CutPrefix(strings.Join(launch.Argv, " "), "vllm serve /models/tiny --host 127.0.0.1 --port 8123 --served-model-name lab-x")
	if !ok {
		t.Errorf("command line begins %q", launch.Argv)
	}
	rest = strings.Replace(rest, " --disable-uvicorn-access-log", "", 1)
	if version == "0.8.5" {
		rest = strings.Replace(rest, " --disable-log-requests", "", 1)
	}
	return strings.TrimSpace(rest), launch, nil
}

func TestEachVersionGetsTheFlagsThatItHas(t *testing.T) {
	everything := lab.Server{
		GPUMemoryUtilization: ptr(0.85), MaxModelLen: ptr(2048), MaxNumSeqs: ptr(64), MaxNumBatchedTokens: ptr(4096), TensorParallelSize: ptr(2),
		Speculative: map[string]any{"method": "ngram", "num_speculative_tokens": 3}, PrefixCaching: ptr(false), ChunkedPrefill: ptr(true),
		Dtype: "bfloat16", Eager: ptr(true),
	}
	all := `--gpu-memory-utilization 0.85 --max-model-len 2048 --max-num-seqs 64 --max-num-batched-tokens 4096 --tensor-parallel-size 2 ` +
		`--speculative-config {"method":"ngram","num_speculative_tokens":3} --no-enable-prefix-caching --enable-chunked-prefill --dtype bfloat16 --enforce-eager`
	swap := lab.Server{SwapSpace: ptr(lab.Bytes(3 << 29))}
	kv := lab.Server{KVCacheMemory: ptr(lab.Bytes(512 << 20))}
	notEager := lab.Server{Eager: ptr(false)}
	args := lab.Server{Args: map[string]any{
		"load_format": "dummy", "seed": float64(7), "generation-config": "vllm", "--kv-cache-dtype": "fp8",
		"served-model-names": nil, "hf-overrides": map[string]any{"a": []any{1, "<b>"}}, "lora-modules": []any{"a=b", "c=d"},
		"enable-sleep-mode": true,
	}}
	delete(args.Args, "served-model-names")
	argsWant := `--kv-cache-dtype fp8 --enable-sleep-mode --generation-config vllm --hf-overrides {"a":[1,"<b>"]} --load-format dummy --lora-modules a=b c=d --seed 7`
	for _, c := range []struct {
		name, version string
		server        lab.Server
		want          string // "!": a fault, with its text
	}{
		{"all", "0.8.5", everything, all},
		{"all", "0.12.0", everything, all},
		{"all", "0.15.1", everything, all},
		{"all", "0.17.1", everything, all},
		{"all", "0.32.0", everything, all},
		{"swap", "0.8.5", swap, "--swap-space 1.5"},
		{"swap", "0.12.0", swap, "--swap-space 1.5"},
		{"swap", "0.15.1", swap, "--swap-space 1.5"},
		{"swap", "0.17.1", swap, "--swap-space 1.5"},
		{"swap", "0.32.0", swap, "!server.swap_space: vllm 0.32.0 has no --swap-space (gone since 0.18: the V1 engine recomputes instead of swapping). Remove the key. Other features, under args: kv-offloading-size (KV blocks in CPU memory) or cpu-offload-gb (weights in CPU memory)"},
		{"kv", "0.8.5", kv, "!server.kv_cache_memory: vllm 0.8.5 cannot fix the KV cache in bytes (it can from 0.10.2 on): use gpu_memory_utilization, or args: {num-gpu-blocks-override: N}"},
		{"kv", "0.12.0", kv, "--kv-cache-memory-bytes 536870912"},
		{"kv", "0.32.0", kv, "--kv-cache-memory-bytes 536870912"},
		{"not eager", "0.8.5", notEager, ""},
		{"not eager", "0.12.0", notEager, "--no-enforce-eager"},
		{"not eager", "0.32.0", notEager, "--no-enforce-eager"},
		{"args", "0.8.5", args, argsWant},
		{"args", "0.17.1", args, argsWant},
		{"args", "0.32.0", args, argsWant},
		{"negative", "0.32.0", lab.Server{Args: map[string]any{"max-logprobs": -1}}, "--max-logprobs=-1"},
		{"off", "0.32.0", lab.Server{Args: map[string]any{"async-scheduling": false}}, "--no-async-scheduling"},
		{"JSON list", "0.32.0", lab.Server{Args: map[string]any{"allowed-origins": []any{"a", "b"}}}, `--allowed-origins ["a","b"]`},
	} {
		t.Run(c.name+" "+c.version, func(t *testing.T) {
			got, _, err := argv(t, c.version, c.server)
			if err != nil {
				got = "!" + err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEverythingThatVLLMWouldRefuseIsRefusedAtOnceWithItsPath(t *testing.T) {
	s := lab.Server{
		Args: map[string]any{
			"max-num-batched-token": 5, "foo-bar-baz-qux": 1, "enable-sleep-mode": "yes", "headless": false, "profiler-config.profiler": "torch",
			"disable-log-requests": true, "seed": true, "no-async-scheduling": true, "block-size": nil, "dtype_": 1, "load-format": []any{},
			"kv-cache-memory": 5, // a unique prefix, which vllm itself would take without a word
		},
		GPUs: []string{"0"}, TensorParallelSize: ptr(2), APIKeyEnv: "LAB_TEST_NO_SUCH_VARIABLE", Env: map[string]string{"VLLM_API_KEY": "x"},
	}
	_, _, err := argv(t, "0.32.0", s)
	var faults lab.Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var got []string
	for _, f := range faults {
		got = append(got, f.Path+": "+f.Problem)
	}
	sort.Strings(got)
	want := []string{
		"server.api_key_env: the environment variable LAB_TEST_NO_SUCH_VARIABLE is not set",
		"server.args.block-size: has no value",
		"server.args.disable-log-requests: vllm 0.32.0 has no --disable-log-requests: requests are not logged unless enable-log-requests is true, so remove the line",
		"server.args.dtype_: vllm 0.32.0 has no --dtype- (did you mean dtype?)",
		"server.args.enable-sleep-mode: is a switch and takes no value: write true or false instead of yes",
		"server.args.foo-bar-baz-qux: vllm 0.32.0 has no --foo-bar-baz-qux",
		"server.args.headless: cannot be switched off in vllm 0.32.0 (there is no --no-headless): remove the line, off is the default",
		"server.args.kv-cache-memory: vllm 0.32.0 has no --kv-cache-memory (did you mean kv-cache-memory-bytes?)",
		"server.args.load-format: is an empty list",
		"server.args.max-num-batched-token: vllm 0.32.0 has no --max-num-batched-token (did you mean max-num-batched-tokens?)",
		"server.args.no-async-scheduling: write async-scheduling: false or true instead",
		"server.args.profiler-config.profiler: is a part of --profiler-config: write that flag with a mapping as its value",
		"server.args.seed: takes a value; true or false is none",
		"server.env.VLLM_API_KEY: would be stored with the run: put the key in an environment variable and name it in server.api_key_env",
		"server.tensor_parallel_size: 2 needs as many GPUs, and server.gpus names 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSwapSpaceIsMarkedInertWhereTheEngineIgnoresIt(t *testing.T) {
	for version, want := range map[string][2]int{"0.8.5": {0, 1}, "0.12.0": {1, 0}, "0.15.1": {1, 0}, "0.17.1": {1, 0}} {
		_, launch, err := argv(t, version, lab.Server{SwapSpace: ptr(lab.Bytes(1 << 30))})
		if got := [2]int{len(launch.Inert), len(launch.inertOnV1)}; err != nil || got != want {
			t.Errorf("%s: inert %v, want %v (%v)", version, got, want, err)
		}
	}
}

func TestTheLogIsKeptQuietTheWayEachVersionKnows(t *testing.T) {
	for version, want := range map[string]string{
		"0.8.5":  "--disable-uvicorn-access-log --disable-log-requests", // it would log every prompt
		"0.12.0": "--disable-uvicorn-access-log",                        // it has --disable-log-requests, as a warning
		"0.32.0": "--disable-uvicorn-access-log",
	} {
		launch, err := Prepare(lab.Server{Model: "m"}, Installation{Argv: []string{"vllm"}, Version: version}, helpOf(t, version), "s", 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(launch.Argv[9:], " "); got != want {
			t.Errorf("%s: %s", version, got)
		}
	}
}

func TestTheKeyIsHandedOverInTheEnvironmentAndStoredNowhere(t *testing.T) {
	t.Setenv("LAB_TEST_KEY", "sesame")
	s := lab.Server{APIKeyEnv: "LAB_TEST_KEY", GPUs: []string{"1", "0"}, Env: map[string]string{"A": "b", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "9"}}
	_, launch, err := argv(t, "0.32.0", s)
	if err != nil {
		t.Fatal(err)
	}
	if launch.APIKey != "sesame" || strings.Contains(strings.Join(launch.Argv, " "), "sesame") {
		t.Errorf("key %q, argv %q", launch.APIKey, launch.Argv)
	}
	want := map[string]string{"CUDA_VISIBLE_DEVICES": "1,0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "9", "A": "b"}
	if diff := cmp.Diff(want, launch.Env); diff != "" {
		t.Error(diff)
	}
	server := Server{launch: launch, temp: "/t"}
	env := strings.Join(server.environment(), "\n")
	if !strings.Contains(env, "VLLM_API_KEY=sesame") || strings.Contains(env, "PROMETHEUS_MULTIPROC_DIR") {
		t.Errorf("environment is %s", env)
	}
	if strings.Contains(strings.Join(mapValues(server.set()), " "), "sesame") {
		t.Error("the recorded environment has the key in it")
	}
}

func mapValues(m map[string]string) []string {
	var values []string
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

func TestChunkedPrefillOfTheOldestVersionsTakesAValue(t *testing.T) {
	flags := parseHelp("options:\n  --model MODEL\n  --enable-chunked-prefill [ENABLE_CHUNKED_PREFILL]\n                        x\n  --enable-prefix-caching, --no-enable-prefix-caching\n")
	b := builder{flags: flags, version: "0.7.3"}
	b.toggle("", "enable-chunked-prefill", ptr(false))
	b.toggle("", "enable-prefix-caching", ptr(false))
	if got := strings.Join(b.argv, " "); got != "--enable-chunked-prefill False --no-enable-prefix-caching" {
		t.Error(got)
	}
}
