package live

import (
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"lab/internal/lab"
)

func TestTheLiveLineFitsTheTerminalAndNamesWhatGoesOn(t *testing.T) {
	s := lab.Status{Run: "r1", Title: "A 基线 seqs-4", Step: "pair 2 of 4", Stage: "load", Phase: "load",
		Since: 61 * time.Second, Whole: 3 * time.Minute, OK: 120, Errors: 2, Tokens: 6100, Want: 400, InFlight: 8,
		TTFT: 48 * time.Millisecond, ITL: 9800 * time.Microsecond, GPU: "gpu0 642 W"}
	want := "pair 2 of 4 · A 基线 seqs-4 · load 1:01 of 3:00 · 122 of 400 requests · 2 errors · 2.0 req/s · 100 tok/s · 8 in flight · TTFT 48.0 ms · ITL 9.8 ms · gpu0 642 W"
	if got := Text(s); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var out strings.Builder
	l := New(&out, 40)
	l.Show(s)
	drawn := strings.TrimPrefix(out.String(), "\r\x1b[K")
	if w := lipgloss.Width(drawn); w > 39 || !strings.HasSuffix(drawn, "…") {
		t.Errorf("drawn %d columns wide: %q", w, drawn)
	}
}

func TestWithoutATerminalTheLineIsNotRedrawn(t *testing.T) {
	var out strings.Builder
	l := New(&out, 0)
	for range 100 {
		l.Show(lab.Status{Run: "r1", Title: "x", Stage: "load", Phase: "p"})
	}
	l.Show(lab.Status{Run: "r1", Title: "x", Stage: "stopping"})
	if lines := strings.Count(out.String(), "\n"); lines != 2 || strings.ContainsAny(out.String(), "\r\x1b") {
		t.Errorf("got %d lines: %q", lines, out.String())
	}
}
