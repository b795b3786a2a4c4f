package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lab/internal/lab"
)

// fakePython answers the question for the package version like an interpreter that has vllm.
const fakePython = "#!/bin/sh\n[ \"$1\" = -c ] && echo 0.15.1+cpu && exit 0\nexit 1\n"

func TestVLLMIsFoundWhereTheExperimentSays(t *testing.T) {
	venv := filepath.Join(t.TempDir(), "venv")
	python := script(t, filepath.Join(venv, "bin/python3"), fakePython)
	vllm := script(t, filepath.Join(venv, "bin/vllm"), "#!"+python+"\nimport vllm\n")
	detour := script(t, filepath.Join(venv, "bin/vllm-long"), "#!/bin/sh\n'''exec' \""+python+"\" \"$0\" \"$@\"\n' '''\n")
	byEnv := script(t, filepath.Join(venv, "bin/vllm-env"), "#!/usr/bin/env -S python3\n")
	spoken := script(t, filepath.Join(venv, "bin/wrapper"), "#!/bin/sh\necho INFO loading\necho 0.12.0.post2\n")
	path := "/nowhere:" + filepath.Join(venv, "bin")
	for name, c := range map[string]struct {
		server  lab.Server
		argv    []string
		version string
	}{
		"venv":          {lab.Server{Venv: venv}, []string{vllm}, "0.15.1+cpu"},
		"PATH":          {lab.Server{}, []string{vllm}, "0.15.1+cpu"},
		"python":        {lab.Server{Python: python}, []string{python, vllm}, "0.15.1+cpu"},
		"executable":    {lab.Server{Executable: vllm}, []string{vllm}, "0.15.1+cpu"},
		"long shebang":  {lab.Server{Executable: detour}, []string{detour}, "0.15.1+cpu"},
		"env shebang":   {lab.Server{Executable: byEnv}, []string{byEnv}, "0.15.1+cpu"},
		"no metadata":   {lab.Server{Executable: spoken}, []string{spoken}, "0.12.0.post2"},
		"the simulator": {lab.Server{Simulator: &lab.Simulator{As: "0.8.5", Flags: map[string]string{"step-time": "8ms", "fail": "crash"}}}, []string{"/bin/lab", "sim", "--as", "0.8.5", "--fail=crash", "--step-time=8ms"}, "0.8.5"},
	} {
		inst, err := Find(t.Context(), c.server, "/bin/lab", path)
		if err != nil || !slices.Equal(inst.Argv, c.argv) || inst.Version != c.version {
			t.Errorf("%s: %+v, %v", name, inst, err)
		}
	}
}

func TestAPythonWithoutTheCommandRunsTheModule(t *testing.T) {
	python := script(t, filepath.Join(t.TempDir(), "python3"), fakePython)
	inst, err := Find(t.Context(), lab.Server{Python: python}, "", "")
	if err != nil || !slices.Equal(inst.Argv, []string{python, "-m", "vllm.entrypoints.cli.main"}) {
		t.Errorf("%+v, %v", inst, err)
	}
}

func TestWhereThereIsNoVLLMTheErrorSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	broken := script(t, filepath.Join(dir, "broken"), "#!/bin/sh\necho 'No module named vllm' >&2\nexit 1\n")
	docker := script(t, filepath.Join(dir, "vllm-docker"), "#!/bin/sh\n# runs it in a container\nexec sudo docker run --gpus all vllm/vllm-openai \"$@\"\n")
	podman := filepath.Join(dir, "tool")
	if err := os.Symlink(script(t, filepath.Join(dir, "podman"), "x"), podman); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		server lab.Server
		want   string
	}{
		"nothing on PATH":  {lab.Server{}, "there is no vllm command"},
		"empty venv":       {lab.Server{Venv: dir}, "server.venv has no vllm command"},
		"no such file":     {lab.Server{Executable: dir + "/no"}, "server.executable is not a program"},
		"no interpreter":   {lab.Server{Python: dir + "/no"}, "server.python is not an interpreter"},
		"Python without":   {lab.Server{Python: broken}, "No module named vllm"},
		"not vllm":         {lab.Server{Executable: broken}, "does not say which vllm it is"},
		"container script": {lab.Server{Executable: docker}, "inside a container here (docker)"},
		"container engine": {lab.Server{Executable: podman}, "inside a container here (podman)"},
	} {
		_, err := Find(t.Context(), c.server, "", dir)
		var missing *NotFoundError
		if !errors.As(err, &missing) || missing.Do == "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVersionsAreComparedByRelease(t *testing.T) {
	for version, want := range map[string]bool{
		"0.10.1": false, "0.10.2": true, "0.10.2.post1": true, "0.11.0+cpu": true, "0.9.9": false, "1.0.0": true,
		"0.1.dev1+g123": true, "nightly": true, "0.11": true, "0.18.0rc0": true,
	} {
		if atLeast(version, 10, 2) != want {
			t.Errorf("%s at least 0.10.2: %v", version, !want)
		}
	}
	if !sameRelease("0.12.0+cpu", "0.12.0.post2") || sameRelease("0.12.0", "0.12.1") || !sameRelease("dev", "0.12.1") {
		t.Error("post-releases and local versions are the same program, patches are not")
	}
}
