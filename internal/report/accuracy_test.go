package report

import (
	"bytes"
	"testing"
	"time"

	"lab/internal/lab"
)

// The table gives lab's value, its target and whether it is kept, and each other client with lab's part of it; what a client
// cannot tell is a dash.
func TestClientAccuracyShowsTargetsAndRatios(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	yes, no := true, false
	a := lab.ClientAccuracy{
		Host: lab.Host{Name: "box", CPU: "AMD EPYC", Cores: 2, Kernel: "6.1"}, Lab: "v1", Places: "truth server on core 0, each client in turn on core 1",
		Pinned: true, Repeat: 5, Clients: []string{"lab", "net/http", "vllm bench"}, Took: 83 * time.Second,
		Loads: []lab.AccuracyLoad{{
			Title: "500 streams", Streams: 500, Requests: 1500, Tokens: 100, First: 50 * time.Millisecond, Gap: 10 * time.Millisecond,
			Notes: []string{"lab: 2 of 1500 requests are left out; request lab-7: cut"},
			Rows: []lab.AccuracyRow{
				{Figure: "ttft_error.mean", Title: "TTFT error, mean", Unit: "ms", Target: number(2.5), Met: &yes, Cells: []lab.AccuracyCell{
					{Client: "lab", Value: 1.61234, N: 1500}, {Client: "net/http", Value: 24.573, N: 1500, Ratio: number(0.0656)}, {Client: "vllm bench", Value: 368.06, N: 1500, Ratio: number(0.0044)}}},
				{Figure: "ttft_p99.error", Title: "TTFT p99 - truth's p99", Unit: "ms", Target: number(15), Met: &no, Cells: []lab.AccuracyCell{
					{Client: "lab", Value: 15.2, N: 1500}, {Client: "net/http", Value: -0.5, N: 1500}}},
				{Figure: "cpu", Title: "CPU", Unit: "ms/1000 tok", Cells: []lab.AccuracyCell{{Client: "net/http", Value: 14.1, N: 150000}}},
			},
		}},
	}
	var out bytes.Buffer
	if err := ClientAccuracy(&out, a, Options{Width: 100}); err != nil {
		t.Fatal(err)
	}
	golden(t, "accuracy.txt", out.Bytes())
	out.Reset()
	if err := ClientAccuracyJSON(&out, a); err != nil {
		t.Fatal(err)
	}
	golden(t, "accuracy.json", out.Bytes())
}
