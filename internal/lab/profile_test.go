package lab

import (
	"strings"
	"testing"
	"time"
)

func TestAWindowOpensOnWhatIsWrittenAndOnNothingElse(t *testing.T) {
	for text, want := range map[string]ProfileStart{
		"warm":            {Kind: "warm"},
		"steady":          {Kind: "steady"},
		"queue=8":         {Kind: "queue", Depth: 8},
		"ttft.p99>500ms":  {Kind: "ttft", Rank: 99, Limit: 500 * time.Millisecond},
		"e2el.p50>1m30s":  {Kind: "e2el", Rank: 50, Limit: 90 * time.Second},
		"tpot.p90>12.5ms": {Kind: "tpot", Rank: 90, Limit: 12500 * time.Microsecond},
	} {
		want.Source = text
		if got, err := ParseProfileStart(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "hot", "queue", "queue=0", "queue=-1", "queue=99999999999", "ttft.p99", "ttft.p99>5", "ttft.p99>0s", "ttft.p98>5ms", "itl.p99>5ms", " warm"} {
		if got, err := ParseProfileStart(text); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func FuzzAStartIsRefusedOrSaysWhatItWaitsFor(f *testing.F) {
	for _, text := range []string{"warm", "steady", "queue=8", "ttft.p99>500ms", "queue=0", "e2el.p50>", "ttft.p99>1e9h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseProfileStart(text)
		if err != nil {
			return
		}
		switch s.Kind {
		case "warm", "steady":
		case "queue":
			if s.Depth < 1 {
				t.Errorf("%q waits for %d requests", text, s.Depth)
			}
		default:
			if s.Limit <= 0 || !strings.Contains("ttft tpot e2el", s.Kind) {
				t.Errorf("%q became %+v", text, s)
			}
		}
	})
}
