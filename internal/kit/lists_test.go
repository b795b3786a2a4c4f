package kit

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
)

const ms = time.Millisecond

// chunks are events with output at these moments.
func chunks(at ...time.Duration) (all []lab.Chunk) {
	for _, a := range at {
		all = append(all, lab.Chunk{At: a, Tokens: 1})
	}
	return all
}

func TestListsOfRecordsFollowVLLMsRules(t *testing.T) {
	type row struct {
		input, output int
		ttft, latency float64
		itls          []float64
		queue         float64
		fault         string
	}
	base := lab.RequestRecord{Phase: phase, Intended: 100 * ms, Sent: 104 * ms, WantInput: 7, WantOutput: 3, Status: 200, Finish: "length"}
	failed := func(fault string) row { return row{input: 7, queue: 0.004, fault: fault} }
	for name, c := range map[string]struct {
		change func(r *lab.RequestRecord)
		want   row
	}{
		"it counts from when it was sent, and the server's tokens": {func(r *lab.RequestRecord) {
			r.Chunks, r.Usage = chunks(114*ms, 115*ms, 119*ms), &lab.Usage{Input: 9, Output: 5}
		}, row{9, 5, 0.010, 0.015, []float64{0.001, 0.004}, 0.004, ""}},
		"chat's first event is empty and ends the TTFT": {func(r *lab.RequestRecord) {
			r.Empty, r.Chunks, r.Usage = []time.Duration{110 * ms}, chunks(110*ms, 115*ms), &lab.Usage{Input: 9, Output: 2}
		}, row{9, 2, 0.006, 0.011, []float64{0, 0.005}, 0.004, ""}},
		"an empty last event ends the latency": {func(r *lab.RequestRecord) {
			r.Chunks, r.Empty = chunks(110*ms), []time.Duration{130 * ms}
		}, row{7, 1, 0.006, 0.026, []float64{0.020}, 0.004, ""}},
		"without usage any message is one token": {func(r *lab.RequestRecord) {
			r.Chunks = chunks(110*ms, 111*ms)
		}, row{7, 1, 0.006, 0.007, []float64{0.001}, 0.004, ""}},
		"an error event after the first token is a success": {func(r *lab.RequestRecord) {
			r.Chunks, r.Error, r.Detail = chunks(110*ms), lab.ErrStream, "engine died"
		}, row{7, 1, 0.006, 0.006, nil, 0.004, ""}},
		"an abort is a success": {func(r *lab.RequestRecord) {
			r.Chunks, r.Finish, r.Error = chunks(110*ms), "abort", lab.ErrAbort
		}, row{7, 1, 0.006, 0.006, nil, 0.004, ""}},
		"too few tokens are a success": {func(r *lab.RequestRecord) {
			r.Chunks, r.Usage, r.Error = chunks(110*ms), &lab.Usage{Input: 7, Output: 1}, lab.ErrTokens
		}, row{7, 1, 0.006, 0.006, nil, 0.004, ""}},
		"an answer of empty events is a success": {func(r *lab.RequestRecord) {
			r.Empty, r.Error = []time.Duration{110 * ms}, lab.ErrFormat
		}, row{7, 1, 0.006, 0.006, nil, 0.004, ""}},
		"an error event before the first token is a failure": {func(r *lab.RequestRecord) {
			r.Finish, r.Error, r.Detail = "", lab.ErrStream, "bad token id"
		}, failed(noMessage)},
		"an event that is no JSON is a failure": {func(r *lab.RequestRecord) {
			r.Chunks, r.Finish, r.Error, r.Detail = chunks(110*ms), "", lab.ErrFormat, "no JSON: {"
		}, failed("no JSON: {")},
		"a cut stream is a failure": {func(r *lab.RequestRecord) {
			r.Chunks, r.Finish, r.Error, r.Detail = chunks(110*ms), "", lab.ErrCut, "the stream broke off: EOF"
		}, failed("the stream broke off: EOF")},
		"a time limit is a failure": {func(r *lab.RequestRecord) {
			r.Chunks, r.Error = chunks(110*ms), lab.ErrTimeout
		}, failed("timeout")},
		"a status is told by its reason phrase": {func(r *lab.RequestRecord) {
			r.Status, r.Error, r.Detail = 404, lab.ErrStatus, "status 404: no such model"
		}, failed("Not Found")},
		"a status without a phrase by its number": {func(r *lab.RequestRecord) {
			r.Status, r.Error = 599, lab.ErrStatus
		}, failed("HTTP 599")},
		"a refused connection is a failure": {func(r *lab.RequestRecord) {
			r.Status, r.Error, r.Detail = 0, lab.ErrConnect, "connection refused"
		}, failed("connection refused")},
		"one that never left waited for nothing": {func(r *lab.RequestRecord) {
			r.Status, r.Sent, r.Error = 0, 0, lab.ErrCanceled
		}, row{input: 7, fault: "canceled"}},
	} {
		r := base
		c.change(&r)
		l := ListsOf([]lab.RequestRecord{r}, phase, time.Hour)
		got := row{l.InputLens[0], l.OutputLens[0], l.TTFTs[0], l.Latencies[0], l.ITLs[0], l.QueueTimes[0], l.Errors[0]}
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(row{}), cmpopts.EquateApprox(0, 1e-12)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if start := 3600 + max(r.Sent, r.Intended).Seconds(); math.Abs(l.StartTimes[0]-start) > 1e-9 {
			t.Errorf("%s: started at %g, want %g", name, l.StartTimes[0], start)
		}
	}
}

func TestListsHoldThePhaseInTheOrderOfItsSchedule(t *testing.T) {
	records := []lab.RequestRecord{
		{Phase: phase, Seq: 1, Status: 200, Sent: 1, Chunks: chunks(2), Text: "second"}, {Phase: lab.Warmup, Seq: 0},
		{Phase: phase, Seq: 0, Status: 200, Sent: 1, Chunks: chunks(2), Text: "first"},
	}
	if d := cmp.Diff([]string{"first", "second"}, ListsOf(records, phase, 0).Texts); d != "" {
		t.Error(d)
	}
}
