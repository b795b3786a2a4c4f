package report

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"lab/profiling"
)

func summaryOf(t *testing.T, trace string) *profiling.Summary {
	t.Helper()
	s, err := profiling.Read(context.Background(), "../../profiling/testdata/"+trace+".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestDifferencesOfProfilesArePrintedAsBefore(t *testing.T) {
	cpu := profiling.Diff([]*profiling.Summary{summaryOf(t, "vllm-0.17.1-worker")}, []*profiling.Summary{summaryOf(t, "vllm-0.32-worker")})
	gpu := gpuDifference()
	for name, write := range map[string]func(io.Writer) error{
		"profile-diff-cpu.txt": func(w io.Writer) error { return ProfileDiff(w, cpu, Options{Width: 100}) },
		"profile-diff-gpu.txt": func(w io.Writer) error { return ProfileDiff(w, gpu, Options{Width: 100}) },
		"profile-diff.json":    func(w io.Writer) error { return ProfileDiffJSON(w, gpu) },
	} {
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

func timeChange(a, b time.Duration) profiling.Change {
	c := profiling.Change{A: a, B: b, Delta: b - a}
	c.Range = &profiling.CaptureRanges{A: [2]time.Duration{a - a/50, a + a/50}, B: [2]time.Duration{b - b/50, b + b/50}, Apart: true}
	return c
}

func gpuDifference() profiling.Difference {
	const ms = time.Millisecond
	tokens, requests := 8.0, 8.0
	busy, late := timeChange(11*ms, 9*ms), timeChange(ms/2, ms/5)
	steady := profiling.Steady{N: 40, Used: 36, Tokens: &tokens, Requests: &requests, P50: 12 * ms, P99: 15 * ms}
	return profiling.Difference{
		A: profiling.Side{Files: []string{"dir/a1.json", "dir/a2.json"}, Captures: 2, VLLM: "0.32.0", Steps: 50, Steady: 40, Paused: 2},
		B: profiling.Side{Files: []string{"dir/b1.json", "dir/b2.json"}, Captures: 2, VLLM: "0.32.0", Steps: 41, Steady: 40}, Basis: profiling.GPUTime,
		Kinds: []profiling.StepDifference{{
			Kind: profiling.Decode, Per: profiling.PerStep, Matched: true, Decided: true, A: steady, B: steady,
			Time: timeChange(12*ms, 10*ms+200*time.Microsecond), CPU: timeChange(3*ms, 3*ms), GPU: &busy, HostGap: &late, Work: &profiling.Ratio{A: 312, B: 280.25},
			Parts: []profiling.Part{{Name: "attention", Change: timeChange(6*ms, 4500*time.Microsecond)}, {Name: "gemm", Change: timeChange(5*ms, 4500*time.Microsecond)},
				{Name: profiling.RestIdle, Rest: true, Change: profiling.Change{A: ms, B: 1200 * time.Microsecond, Delta: 200 * time.Microsecond}}},
			Kernels: []profiling.KernelChange{
				{Name: "void flash::flash_fwd_splitkv_kernel<Traits<128>, true>(flash::Params)", Category: "attention", Status: profiling.Kept, Calls: profiling.Ratio{A: 32, B: 32}, Change: timeChange(6*ms, 4500*time.Microsecond)},
				{Name: "nvjet_tst_64x64_NT", Was: "nvjet_tst_128x64_NT", Category: "gemm", Status: profiling.Renamed, Change: timeChange(5*ms, 4*ms)},
				{Name: "splitKreduce_kernel", Category: "gemm", Status: profiling.New, Change: timeChange(0, ms/2)},
			},
			Others: &profiling.Leftover{Names: 7, Change: timeChange(ms/10, ms/10)},
		}},
		Notes: []string{"B has no steady prefill steps; A has 3"},
	}
}

func TestTheEvidenceIsOneSentenceThatClaimsNoMoreThanThereIs(t *testing.T) {
	base := gpuDifference()
	with := func(edit func(*profiling.Difference, *profiling.StepDifference)) profiling.Difference {
		d := base
		d.Kinds = append([]profiling.StepDifference{}, base.Kinds...)
		edit(&d, &d.Kinds[0])
		return d
	}
	for want, d := range map[string]profiling.Difference{
		"B's decode step is 1.800 ms shorter (-15.0 %), 1.500 ms of it in attention":                                                                                      base,
		"B's decode step is 1.800 ms shorter (-15.0 %), 1.500 ms of it in attention; indicative: one capture a side does not tell how much captures differ by themselves": with(func(d *profiling.Difference, _ *profiling.StepDifference) { d.Indicative = true }),
		"B's decode step takes as long as A's (12.01 ms and 12 ms)": with(func(_ *profiling.Difference, k *profiling.StepDifference) {
			k.Time = timeChange(12*time.Millisecond, 12010*time.Microsecond)
		}),
		"undecided: the decode steps are not known to be of equal size (A's takes 12 ms, B's 10.20 ms)": with(func(_ *profiling.Difference, k *profiling.StepDifference) { k.Decided = false }),
		"B's token of a decode step is 1.800 ms shorter (-15.0 %), 1.500 ms of it in attention":         with(func(_ *profiling.Difference, k *profiling.StepDifference) { k.Per = profiling.PerToken }),
		"B's decode step is 6 ms longer (+50.0 %), 0.2000 ms of it while the GPU was not busy with it": with(func(_ *profiling.Difference, k *profiling.StepDifference) {
			k.Time = timeChange(12*time.Millisecond, 18*time.Millisecond)
		}),
		"B's decode step is 1 ms shorter (-8.3 %), with 1.500 ms less in attention": with(func(_ *profiling.Difference, k *profiling.StepDifference) {
			k.Time = timeChange(12*time.Millisecond, 11*time.Millisecond)
		}),
		"": {},
	} {
		if got := ProfileEvidence(d); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
