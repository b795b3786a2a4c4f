package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheHelpTextYieldsEveryFlagOfEachVersion(t *testing.T) {
	for _, version := range []string{"0.8.5", "0.12.0", "0.17.1", "0.32.0"} {
		list, err := os.ReadFile(filepath.Join("testdata/help", version+".flags"))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(string(list))
		sort.Strings(want)
		flags := helpOf(t, version)
		got := []string{"--help"} // a flag to its parser, not to lab
		for name, flag := range flags.byName {
			got = append(got, "--"+name)
			if flag.Twin {
				got = append(got, "--no-"+name)
			}
		}
		sort.Strings(got)
		if diff := cmp.Diff(want, got); diff != "" || !flags.complete() {
			t.Errorf("%s: %s", version, diff)
		}
	}
}

func TestTheHelpTextSaysHowEachFlagIsWritten(t *testing.T) {
	for _, c := range []struct {
		version string
		want    Flag
	}{
		{"0.8.5", Flag{Name: "enforce-eager"}},
		{"0.32.0", Flag{Name: "enforce-eager", Twin: true}},
		{"0.32.0", Flag{Name: "headless"}},
		{"0.32.0", Flag{Name: "api-key", Value: true, Many: true}},
		{"0.8.5", Flag{Name: "api-key", Value: true}},
		{"0.32.0", Flag{Name: "hf-token", Value: true, Optional: true}},
		{"0.32.0", Flag{Name: "tokenizer-mode", Value: true}},
		{"0.32.0", Flag{Name: "tensor-parallel-size", Value: true}},
		{"0.32.0", Flag{Name: "device-memory-utilization", Value: true}},
		{"0.8.5", Flag{Name: "tool-call-parser", Value: true}},
		{"0.12.0", Flag{Name: "disable-log-requests", Twin: true}},
	} {
		got, _ := helpOf(t, c.version).Get(strings.ReplaceAll(c.want.Name, "-", "_"))
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.version, got, c.want)
		}
	}
}

// script writes an executable file.
func script(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVLLMIsAskedForItsFlagsOnceAndAgainAfterItChanged(t *testing.T) {
	help, err := filepath.Abs("testdata/help/0.8.5.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	// Like 0.8.5: --help=all is an error there.
	text := fmt.Sprintf("#!/bin/sh\necho \"$*\" >> %s\n[ \"$2\" = --help ] || exit 2\ncat %s\n", asked, help)
	inst := Installation{Argv: []string{script(t, filepath.Join(dir, "vllm"), text)}, Path: filepath.Join(dir, "vllm"), Version: "0.8.5"}
	for range 2 {
		flags, err := inst.Flags(t.Context(), filepath.Join(dir, "cache"))
		if err != nil || !flags.Has("swap_space") || flags.Has("swap") {
			t.Fatalf("flags %v, %v", len(flags.byName), err)
		}
	}
	if log, _ := os.ReadFile(asked); string(log) != "serve --help=all\nserve --help\n" {
		t.Errorf("asked: %q", log)
	}
	inst.Argv = []string{script(t, inst.Path, text+"# newer\n")}
	if _, err := inst.Flags(t.Context(), filepath.Join(dir, "cache")); err != nil {
		t.Fatal(err)
	}
	if log, _ := os.ReadFile(asked); strings.Count(string(log), "\n") != 4 {
		t.Errorf("a changed installation was not asked again: %q", log)
	}
}

func FuzzParseHelp(f *testing.F) {
	for _, version := range []string{"0.8.5", "0.12.0", "0.32.0"} {
		text, err := os.ReadFile(filepath.Join("testdata/help", version+".txt"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text[:4000]))
	}
	f.Add("  --a, --no-a\n  --b B [B ...]  x\n  -c C, --cc C\n  --d {x,y} or z\n  --e ['f', 'g']\n  --no-h\n")
	f.Fuzz(func(t *testing.T, text string) {
		flags := parseHelp(text)
		for name, flag := range flags.byName {
			if name != flag.Name || !flagName(name) || !flags.Has(name) && !strings.Contains(name, "_") {
				t.Errorf("flag %q is %+v", name, flag)
			}
		}
		flags.Suggest("max-num-seq")
	})
}
