package runner

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func TestABatchIsSteadyWhenItHasTurnedOverAndKeepsItsSize(t *testing.T) {
	at := time.Now()
	look := func(s *steadiness, ms, running, ended int) string {
		return s.look(engineState{at: at.Add(time.Duration(ms) * time.Millisecond), running: running}, ended)
	}
	var s steadiness
	for ms := 0; ms < 1000; ms += 100 {
		if met := look(&s, ms, 30, 100); met != "" {
			t.Fatalf("after %d ms: %s", ms, met)
		}
	}
	if met := look(&s, 1000, 32, 100); met != "30 to 32 requests ran over the last second" {
		t.Errorf("%q (%s)", met, s.why)
	}
	if met := look(&s, 1100, 50, 100); met != "" { // a burst
		t.Error(met)
	}
	s = steadiness{}
	for ms := 0; ms <= 2000; ms += 100 {
		if met := look(&s, ms, 8, 7); met != "" {
			t.Fatalf("the first requests still run: %s", met)
		}
	}
	if met := look(&s, 2100, 8, 8); met == "" {
		t.Error(s.why)
	}
	if met := look(&s, 2200, 0, 9); met != "" { // it ran dry
		t.Error(met)
	}
}

func TestAPercentileNeedsTwentyRequestsAndForgetsOldOnes(t *testing.T) {
	var l latencies
	add := func(ms int) {
		l.add("ttft", lab.RequestRecord{Sent: 1, Chunks: []lab.Chunk{{At: time.Duration(ms) * time.Millisecond}}})
	}
	for range 19 {
		add(900)
	}
	if _, n, ok := l.percentile(99); ok || n != 19 {
		t.Errorf("%d requests were enough", n)
	}
	add(900)
	if v, n, ok := l.percentile(50); !ok || n != 20 || v != 900*time.Millisecond {
		t.Errorf("%s over %d", v, n)
	}
	for range 98 {
		add(10)
	}
	add(500)
	if v, n, _ := l.percentile(99); n != 100 || v != 500*time.Millisecond { // one of the old ones is left, and is the 100th
		t.Errorf("p99 %s over %d", v, n)
	}
	if v, _, _ := l.percentile(95); v != 10*time.Millisecond {
		t.Errorf("p95 %s", v)
	}
	l.add("ttft", lab.RequestRecord{Error: lab.ErrConnect}) // no answer has no latency, and has ended
	if l.count() != 120 {
		t.Errorf("%d ended", l.count())
	}
}

// Tokens every 10 ms, of which those from 100 to 200 ms are profiled and come every 15 ms; then nothing for a second, while the
// trace is written.
func TestTheOverheadIsOfTokensThatSurelyCameInsideOrOutside(t *testing.T) {
	const ms = time.Millisecond
	var r lab.RequestRecord
	for at := 0 * ms; at < 100*ms; at += 10 * ms {
		r.Chunks = append(r.Chunks, lab.Chunk{At: at, Tokens: 1})
	}
	for at := 100 * ms; at <= 205*ms; at += 15 * ms {
		r.Chunks = append(r.Chunks, lab.Chunk{At: at, Tokens: 1})
	}
	for at := 1210 * ms; at < 1510*ms; at += 20 * ms {
		r.Chunks = append(r.Chunks, lab.Chunk{At: at, Tokens: 2}) // two in a frame
	}
	warm := lab.RequestRecord{Phase: lab.Warmup, Chunks: []lab.Chunk{{At: 1}, {At: 90 * ms}}}
	p := &lab.Profile{
		Start: &lab.ProfileReply{Asked: 95 * ms, Took: 2 * ms, Status: 200}, Stop: &lab.ProfileReply{Asked: 210 * ms, Took: 990 * ms, Status: 200}, FilesAt: 1200 * ms,
	}
	got := overhead(p, 200*ms, []lab.RequestRecord{r, warm})
	want := &lab.ProfileOverhead{Unprofiled: 10 * ms, UnprofiledTokens: 9 + 28, Profiled: 15 * ms, ProfiledTokens: 6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := got.Share(); s < .499 || s > .501 {
		t.Errorf("share %g", s)
	}
	p.FilesAt = 0
	if overhead(p, 200*ms, []lab.RequestRecord{r}) != nil {
		t.Error("a lost capture has no overhead")
	}
}
