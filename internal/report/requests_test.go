package report

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func TestARequestIsALineWithItsUnitsAndWithoutWhatIsAbsent(t *testing.T) {
	var out bytes.Buffer
	stamps := &lab.Stamps{Kernel: 1}
	stamps.Lag.Add(1000)
	err := Requests(&out, "20261123-140512-k3f9", []lab.RequestRecord{
		{Seq: 1, Phase: "load", Prompt: 1 << 63, Intended: 1e9, Sent: 1_000_000_500, Done: 3e9, WantOutput: 3, Status: 200, Finish: "length", Text: "<a>",
			Usage: &lab.Usage{Input: 8, Output: 3}, Empty: []time.Duration{2e9}, Chunks: []lab.Chunk{{At: 2e9, Tokens: 1}, {At: 2_100_000_003, Tokens: 2}}},
		{Seq: 0, Phase: "load", Intended: 1e9, Error: lab.ErrConnect, Detail: "connection refused"},
		{Seq: 2, Phase: "load", Intended: 1, Sent: 1, Status: 200, Chunks: []lab.Chunk{{At: 1_063_302_999}}, Stamps: stamps},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"run":"20261123-140512-k3f9","phase":"load","seq":1,"prompt_hash":"8000000000000000","intended_s":1,"sent_s":1.0000005,"done_s":3,"ttft_s":1,"tpot_s":0.050000001,"e2el_s":1.100000003,"lag_s":5e-7,"want_output_tokens":3,"input_tokens":8,"output_tokens":3,"cached_tokens":0,"finish":"length","http_status":200,"ok":true,"text":"<a>","chunk_at_s":[2,2.100000003],"chunk_tokens":[1,2],"empty_at_s":[2]}
{"run":"20261123-140512-k3f9","phase":"load","seq":0,"intended_s":1,"ok":false,"error":"connect","detail":"connection refused"}
{"run":"20261123-140512-k3f9","phase":"load","seq":2,"intended_s":1e-9,"sent_s":1e-9,"ttft_s":1.063302998,"e2el_s":1.063302998,"lag_s":0,"http_status":200,"ok":true,"chunk_at_s":[1.063302999],"kernel_stamps":1,"reading_stamps":0,"shared_stamps":0,"read_lag_mean_s":0.000001,"read_lag_max_s":0.000001}
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}
