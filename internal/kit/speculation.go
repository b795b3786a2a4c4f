package kit

import (
	"strconv"
	"time"

	"lab/internal/lab"
)

// Speculation is what the engine's counters say of a phase: the last reading at or before its start against the last
// one there is. Nil where the engine drafted nothing meanwhile.
func Speculation(samples []lab.Sample, start time.Duration) *SpecDecode {
	var before, after map[string]float64
	for _, s := range samples {
		if _, ok := s.Values[lab.EngineDrafts]; s.Device != "engine" || !ok {
			continue
		}
		if before == nil || s.At <= start {
			before = s.Values
		}
		after = s.Values
	}
	grown := func(name string) float64 { return after[name] - before[name] }
	drafts, tokens, accepted := grown(lab.EngineDrafts), grown(lab.EngineDraftTokens), grown(lab.EngineAccepted)
	if drafts <= 0 || tokens <= 0 {
		return nil
	}
	s := &SpecDecode{
		AcceptanceRate: accepted / tokens * 100, AcceptanceLength: 1 + accepted/drafts,
		Drafts: int(drafts), DraftTokens: int(tokens), AcceptedTokens: int(accepted),
	}
	for i := 0; ; i++ {
		name := lab.EngineAcceptedAt + strconv.Itoa(i)
		if _, ok := after[name]; !ok {
			return s
		}
		s.PerPosition = append(s.PerPosition, grown(name)/drafts)
	}
}
