package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestRealVLLM runs the scripts of testdata/vllm against a real vLLM on the CPU: `make test-vllm` says which.
func TestRealVLLM(t *testing.T) {
	venv := os.Getenv("LAB_TEST_VLLM")
	if venv == "" {
		t.Skip("LAB_TEST_VLLM names no vLLM: `make test-vllm` installs one and runs this")
	}
	model, err := filepath.Abs("testdata/tiny-model")
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimSuffix(filepath.Base(venv), "/")
	t.Cleanup(func() {
		if left := leftByVLLM(); len(left) > 0 {
			t.Errorf("left running after all scripts: %s", strings.Join(left, "; "))
		}
	})
	p := scriptParams("testdata/vllm")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("VENV", venv)
		env.Setenv("MODEL", model)
		base := strings.NewReplacer("VENV", venv, "MODEL", model).Replace(realServer)
		if err := os.WriteFile(filepath.Join(env.WorkDir, "server.yaml"), []byte(base), 0o644); err != nil {
			return err
		}
		return setup(env)
	}
	p.Condition = func(cond string) (bool, error) {
		switch cond {
		case "has-swap-space": // taken out in 0.18.0
			return strings.HasPrefix(version, "0.15.") || strings.HasPrefix(version, "0.17."), nil
		case "has-profiler-variable": // taken out in 0.16.0; --profiler-config came in 0.13.0
			return strings.HasPrefix(version, "0.15."), nil
		}
		return false, nil
	}
	// One after the other: two cores carry one server.
	for _, script := range scriptsIn(t, "testdata/vllm") {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			one := p
			one.Dir, one.Files = "", []string{script}
			testscript.Run(t, one)
		})
	}
}

// realServer is the part that the experiments of these scripts share. The values are for a machine of two cores.
const realServer = `server:
  model: MODEL
  venv: VENV
  max_model_len: 2048
  dtype: bfloat16
  eager: true
  args: {load-format: dummy}
  env:
    HF_HUB_OFFLINE: "1"
    VLLM_CPU_KVCACHE_SPACE: "1"
    VLLM_CPU_OMP_THREADS_BIND: nobind
    OMP_NUM_THREADS: "1"
load:
  concurrency: 4
  duration: 10m
  warmup: 4
  dataset: {kind: random, input_tokens: 32, output_tokens: 128}
`

func scriptsIn(t *testing.T, dir string) []string {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts in %s (%v)", dir, err)
	}
	return scripts
}
