package report

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"

	"lab/profiling"
)

func TestProfilesArePrintedAsBefore(t *testing.T) {
	for name, trace := range map[string]string{
		"profile-graph.txt": "hta-graph-step", "profile-cpu.txt": "vllm-0.32-worker", "profile-python.txt": "vllm-0.8.5-frontend", "profile-window.txt": "vllm-0.32-frontend", "profile.json": "hta-triton",
	} {
		s, err := profiling.Read(context.Background(), "../../profiling/testdata/"+trace+".json.gz")
		if err != nil {
			t.Fatal(err)
		}
		s.File = filepath.Base(s.File)
		write := func(w io.Writer) error { return Profile(w, s, Options{Width: 100}) }
		if strings.HasSuffix(name, ".json") {
			write = func(w io.Writer) error { return ProfileJSON(w, s) }
		}
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
		for line := range strings.Lines(out.String()) {
			if width := lipgloss.Width(strings.TrimSuffix(line, "\n")); width > 100 && strings.HasSuffix(name, ".txt") {
				t.Errorf("%s: a line of %d columns: %s", name, width, line)
			}
		}
	}
}

func TestAProfileSaysWhatIsDoubtfulAboutIt(t *testing.T) {
	half := .5
	s := profiling.Summary{Damage: "cut", Resyncs: 2, Unread: 3, BadTimes: 4, Unordered: 5, Source: profiling.Source{Stacks: true, Log: []string{"no device"}},
		Steps: &profiling.Steps{Marker: "execute_new_N_cached_N", Coverage: &half}}
	var out bytes.Buffer
	if err := Profile(&out, s, Options{Width: 100}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"INCOMPLETE: cut", "2 damaged stretches", "3 entries", "4 events", "5 events of the CPU", "Python stacks", "tell no tokens", "only 50.0 %", "the profiler wrote: no device"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestKernelNamesAreShortenedToWhatTheySay(t *testing.T) {
	for name, want := range map[string]string{
		"void at::native::(anonymous namespace)::softmax_warp_forward<float, 2>(float*, int)":     "softmax_warp_forward<float, 2>",
		"void vllm::act_and_mul_kernel<c10::BFloat16, &(vllm::silu_kernel(float)), true>(float*)": "act_and_mul_kernel<BFloat16, &(silu_kernel(float)), true>",
		"Memcpy DtoD (Device -> Device)": "Memcpy DtoD (Device -> Device)",
		"triton_poi_fused_add_0":         "triton_poi_fused_add_0",
		"a\x1b[31mb":                     "a [31mb",
	} {
		if got := kernelName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
