package kit

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func TestSpeculationIsWhatTheCountersGrewByOverThePhase(t *testing.T) {
	engine := func(at time.Duration, drafts, tokens, accepted, first, second float64) lab.Sample {
		return lab.Sample{At: at, Device: "engine", Values: map[string]float64{
			lab.EngineDrafts: drafts, lab.EngineDraftTokens: tokens, lab.EngineAccepted: accepted,
			lab.EngineAcceptedAt + "0": first, lab.EngineAcceptedAt + "1": second,
		}}
	}
	samples := []lab.Sample{
		engine(1*time.Second, 10, 20, 5, 4, 1), engine(2*time.Second, 20, 40, 10, 8, 2), // a warm-up before the start
		engine(3*time.Second, 50, 100, 40, 30, 10), {At: 4 * time.Second, Device: "gpu0"}, engine(5*time.Second, 120, 240, 110, 80, 30),
	}
	want := &SpecDecode{AcceptanceRate: 50, AcceptanceLength: 2, Drafts: 100, DraftTokens: 200, AcceptedTokens: 100, PerPosition: []float64{.72, .28}}
	if d := cmp.Diff(want, Speculation(samples, 2500*time.Millisecond)); d != "" {
		t.Error(d)
	}
	if s := Speculation(samples[:1], 0); s != nil {
		t.Errorf("one reading makes %+v", s)
	}
	if s := Speculation(nil, 0); s != nil {
		t.Errorf("no reading makes %+v", s)
	}
}

// The block is that of vllm bench serve 0.32 on an ngram-speculating server (CPU build, program output).
func TestTheBlockOfSpeculationIsVLLMs(t *testing.T) {
	samples := []lab.Sample{
		{At: 1, Device: "engine", Values: map[string]float64{lab.EngineDrafts: 0, lab.EngineDraftTokens: 0, lab.EngineAccepted: 0}},
		{At: 2, Device: "engine", Values: map[string]float64{lab.EngineDrafts: 105, lab.EngineDraftTokens: 295, lab.EngineAccepted: 280,
			lab.EngineAcceptedAt + "0": 100, lab.EngineAcceptedAt + "1": 100, lab.EngineAcceptedAt + "2": 80}},
	}
	console := Measure(Bench{Spec: Speculation(samples, 1)}, Lists{}, 1).Console()
	want := `---------------Speculative Decoding---------------
Acceptance rate (%):                     94.92     
Acceptance length:                       3.67      
Drafts:                                  105       
Draft tokens:                            295       
Accepted tokens:                         280       
Per-position acceptance (%):
  Position 0:                            95.24     
  Position 1:                            95.24     
  Position 2:                            76.19     
==================================================
`
	if !strings.HasSuffix(console, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", console, want)
	}
}
