package report

import (
	"bytes"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestACaptureSaysWhatWasAskedWhatCameOfItAndWhatItCost(t *testing.T) {
	const ms = time.Millisecond
	steps, rank := 33, 0
	whole := lab.Run{
		ID: "20261125-143440-9gd1", Outcome: lab.Complete,
		Experiment: lab.Experiment{Name: "decode", Profile: &lab.ProfileWindow{Iterations: 32, Start: "ttft.p99>500ms"}},
		Profile: &lab.Profile{
			Mechanism: lab.ProfileByConfig, Bound: "server", Condition: "ttft.p99>500ms", Met: "p99 of ttft over the last 100 requests was 612.4ms", MetAt: 41 * time.Second,
			Start: &lab.ProfileReply{Asked: 41 * time.Second, Took: 24 * ms, Status: 200}, Stop: &lab.ProfileReply{Asked: 42 * time.Second, Took: 3240 * ms, Status: 200},
			Steps: &steps, Workers: 1, FilesAt: 45300 * ms, Took: 3300 * ms, Complete: true,
			Overhead: &lab.ProfileOverhead{Unprofiled: 6100 * time.Microsecond, UnprofiledTokens: 1125, Profiled: 6838 * time.Microsecond, ProfiledTokens: 149},
			Remarks:  []string{"vllm 0.8.5 writes no trace of its API server"},
			Files: []lab.TraceFile{
				{Path: "rank0.1795617841826025921.pt.trace.json.gz", Size: 113414, SHA256: "1a15ea334b92759d620e409fe70815a568913d38edc8f04b6a1a9920f22770df", Kind: "worker", Rank: &rank, Complete: true},
				{Path: "rank0.profiler_out.txt", Size: 6943, SHA256: "5ba18b970fde47a76f50748f54ca1c37c1b2e76645172727c9353f2edebafc23", Kind: "table", Rank: &rank, Complete: true},
			},
		},
	}
	lost := lab.Run{
		ID: "20261125-143556-m3yx", Outcome: lab.Complete,
		Experiment: lab.Experiment{Name: "old", Profile: &lab.ProfileWindow{Iterations: 20, Start: "warm"}},
		Profile: &lab.Profile{
			Mechanism: lab.ProfileByEnv, Bound: "lab", Condition: "warm", Workers: 1, Lost: "the profiler could not be started: no route to host",
			Start: &lab.ProfileReply{Took: time.Minute, Text: "no route to host"},
			Files: []lab.TraceFile{{Path: "vm_12507.1.pt.trace.json.gz", Kind: "worker", SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Damage: "it is empty"}},
		},
	}
	var out bytes.Buffer
	for _, run := range []lab.Run{whole, lost} {
		if err := Capture(&out, run, Options{Width: 100}); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
	}
	golden(t, "capture.txt", out.Bytes())
}
