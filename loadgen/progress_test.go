package loadgen

import (
	"testing"
	"time"

	"lab/internal/lab"
)

func TestChunksAreCountedAsTheyComeAndTokensAreRightInTheEnd(t *testing.T) {
	const ms = time.Millisecond
	var p Progress
	p.sent(0)
	rec := lab.RequestRecord{Intended: 100 * ms}
	for _, c := range []lab.Chunk{{At: 150 * ms, Tokens: 1}, {At: 160 * ms, Tokens: 1}, {At: 190 * ms, Tokens: 3}} {
		rec.Chunks = append(rec.Chunks, c)
		p.token(&rec)
	}
	s, l := p.Snapshot(), p.Latencies()
	if s.Tokens != 5 || s.LastToken != 190*ms || s.InFlight != 1 {
		t.Errorf("under way: %+v", s)
	}
	ttft, itl := l.TTFT.Spread(), l.ITL.Spread()
	if ttft.N != 1 || ttft.P50.Round(ms) != 50*ms {
		t.Errorf("TTFT %+v", ttft)
	}
	if itl.N != 4 || itl.Max.Round(ms) != 10*ms {
		t.Errorf("ITL %+v, want four gaps of 10 ms: a chunk of three tokens is three", itl)
	}
	rec.Usage = &lab.Usage{Output: 7} // the server counts two more than its chunks said
	p.ended(rec)
	if s := p.Snapshot(); s.Tokens != 7 || s.OK != 1 || s.InFlight != 0 {
		t.Errorf("in the end: %+v", s)
	}
	if e2el := p.Latencies().E2EL.Spread(); e2el.N != 1 || e2el.P50.Round(2*ms) != 90*ms {
		t.Errorf("E2EL %+v", e2el)
	}
}

func TestErrorsAreCountedByClassAndTheLastIsKept(t *testing.T) {
	var p Progress
	for _, class := range []string{lab.ErrStatus, lab.ErrCut, lab.ErrStatus} {
		p.sent(0)
		p.ended(lab.RequestRecord{Error: class, Detail: "because of " + class})
	}
	s := p.Snapshot()
	if s.Errors != 3 || s.Failed[lab.ErrStatus] != 2 || s.Failed[lab.ErrCut] != 1 || s.LastError != "because of status" {
		t.Errorf("got %+v", s)
	}
	if n := p.Latencies().E2EL.Spread().N; n != 0 {
		t.Errorf("%d failed requests count as latencies", n)
	}
}
