package supervisor

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// Each version is told about its profiler in the words that it has: a field or a variable more would end its start, or be lost.
func TestAServerIsPreparedForProfilingByWhatItsVersionHas(t *testing.T) {
	tp := 2
	server := lab.Server{Model: "m", TensorParallelSize: &tp, Args: map[string]any{"pipeline_parallel_size": 3}}
	type profiled struct {
		Mechanism string
		Bounded   bool
		Frontend  bool
		Remarks   int
		Settings  map[string]string
	}
	config := func(extra string) map[string]string {
		return map[string]string{"--profiler-config": `{"ignore_frontend":true,"max_iterations":32,"profiler":"torch","torch_profiler_dir":"/run","torch_profiler_with_stack":false` + extra + `}`}
	}
	for _, tc := range []struct {
		version string
		flag    bool
		window  lab.ProfileWindow
		want    profiled
	}{
		{"0.32.0", true, lab.ProfileWindow{}, profiled{"config", true, false, 0, config("")}},
		{"0.13.0", true, lab.ProfileWindow{}, profiled{"config", true, false, 0, config("")}},
		{"0.15.1", true, lab.ProfileWindow{Mechanism: "env", Stacks: true, Frontend: true}, profiled{"env", true, true, 0, map[string]string{
			"VLLM_TORCH_PROFILER_DIR": "/run", "VLLM_TORCH_PROFILER_WITH_STACK": "1", "VLLM_TORCH_PROFILER_DISABLE_ASYNC_LLM": "0", "VLLM_PROFILER_MAX_ITERS": "32",
		}}},
		{"0.10.2", false, lab.ProfileWindow{Shapes: true, Frontend: true}, profiled{"env", false, true, 0, map[string]string{
			"VLLM_TORCH_PROFILER_DIR": "/run", "VLLM_TORCH_PROFILER_WITH_STACK": "0", "VLLM_TORCH_PROFILER_RECORD_SHAPES": "1", "VLLM_RPC_TIMEOUT": "1800000",
		}}},
		{"0.8.5.post2", false, lab.ProfileWindow{Frontend: true}, profiled{"env", false, false, 2, map[string]string{
			"VLLM_TORCH_PROFILER_DIR": "/run", "VLLM_RPC_TIMEOUT": "1800000",
		}}},
	} {
		before := Launch{Argv: []string{"vllm", "serve", "m"}, Version: tc.version, Env: map[string]string{"A": "1"}}
		help := "options:\n  --model MODEL\n"
		if tc.flag {
			help += "  --profiler-config PROFILER_CONFIG\n"
		}
		launch, p, err := WithProfiler(before, server, parseHelp(help), tc.window.WithDefaults(), "/run")
		if err != nil {
			t.Errorf("%s: %v", tc.version, err)
			continue
		}
		if diff := cmp.Diff(tc.want, profiled{p.Mechanism, p.Bounded, p.Frontend, len(p.Remarks), p.Settings}); diff != "" {
			t.Errorf("%s: %s", tc.version, diff)
		}
		if p.Workers != 6 {
			t.Errorf("%s: %d workers, want 6", tc.version, p.Workers)
		}
		if given := strings.Contains(strings.Join(launch.Argv, " "), "--profiler-config"); given != (p.Mechanism == "config") {
			t.Errorf("%s: %s", tc.version, launch.Argv)
		}
		for name := range p.Settings {
			if p.Mechanism == "env" && launch.Env[name] != p.Settings[name] {
				t.Errorf("%s: %s is %q in the environment", tc.version, name, launch.Env[name])
			}
		}
		if len(before.Argv) != 3 || len(before.Env) != 1 {
			t.Errorf("%s: the launch that was handed in changed: %v", tc.version, before)
		}
		if text := p.Settings["--profiler-config"]; text != "" && !json.Valid([]byte(text)) {
			t.Errorf("%s: %s", tc.version, text)
		}
	}
	for _, tc := range []struct{ version, mechanism, want string }{
		{"0.32.0", "env", "does not read VLLM_TORCH_PROFILER_DIR"}, {"0.12.0", "config", "has no --profiler-config"},
	} {
		help := "options:\n  --model MODEL\n"
		if tc.mechanism == "env" {
			help += "  --profiler-config PROFILER_CONFIG\n"
		}
		_, _, err := WithProfiler(Launch{Version: tc.version}, server, parseHelp(help), lab.ProfileWindow{Mechanism: tc.mechanism}, "/run")
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s by %s: %v", tc.version, tc.mechanism, err)
		}
	}
}
