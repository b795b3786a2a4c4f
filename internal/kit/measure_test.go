package kit

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// What numpy 2.4.6 makes of the first n values of sequence, in milliseconds: mean, std, median, 99th and 37.3th percentile.
func TestStatisticsEqualNumpyToTheLastBit(t *testing.T) {
	for _, want := range []struct {
		n                           int
		mean, std, median, p99, p37 float64
	}{
		{1, 405.4408421463301, 0.0, 405.4408421463301, 405.4408421463301, 405.4408421463301},
		{2, 693.6832185209802, 288.24237637465, 693.6832185209802, 976.1607473681372, 620.469654921819},
		{7, 1996.042716753225, 1063.5836013018536, 2073.747253084678, 3265.733951449884, 1411.6360616441675},
		{8, 1927.6032943772489, 1011.2351354084487, 1761.137295415046, 3263.8881478793023, 1353.7309904943318},
		{9, 2048.5544416811304, 1012.9205823389759, 2073.747253084678, 3262.04234430872, 1444.628259195241},
		{127, 1861.3711034634637, 1111.38888897955, 1900.1534950037385, 3633.620259201274, 1231.123941658826},
		{128, 1850.9672164030417, 1113.2304198418374, 1897.1964357985178, 3633.478296569742, 1230.0875798641107},
		{129, 1859.748080006104, 1113.348277540058, 1900.1534950037385, 3633.336333938209, 1230.7041076941405},
		{255, 1832.6822575144379, 1096.7997036374359, 1844.4732754704874, 3659.4543021602212, 1329.0204148147868},
		{1000, 1890.1797228956589, 1078.1143737338948, 1874.7847708344962, 3663.0756326753585, 1406.723292997614},
		{4097, 1865.5091390018983, 1072.1019381953095, 1871.0856540079908, 3663.046077801903, 1412.712522873844},
		{30011, 1851.6423117583072, 1067.599890021871, 1843.6887027643086, 3660.7550132617284, 1386.7243687631262},
	} {
		s := statistic("ttft", sequence(want.n), []float64{99, 37.3})
		got := []float64{s.Mean, s.Std, s.Median, s.Percentiles[0], s.Percentiles[1]}
		if d := cmp.Diff([]float64{want.mean, want.std, want.median, want.p99, want.p37}, got); d != "" {
			t.Errorf("n=%d: %s", want.n, d)
		}
	}
	none := statistic("ttft", nil, []float64{0, 50, 100})
	if d := cmp.Diff(Statistic{Metric: "ttft", Percentiles: []float64{0, 0, 0}}, none); d != "" {
		t.Errorf("of nothing: %s", d)
	}
	ends := statistic("ttft", []float64{3, 1, 2}, []float64{-5, 0, 100, 120})
	if d := cmp.Diff([]float64{1000, 1000, 3000, 3000}, ends.Percentiles); d != "" {
		t.Errorf("at the ends: %s", d)
	}
}

// sequence is a linear congruential one (Knuth's constants), so that Python can make the same.
func sequence(n int) []float64 {
	var values []float64
	x := uint64(12345)
	for range n {
		x = x*6364136223846793005 + 1442695040888963407
		values = append(values, float64(x>>11)/(1<<53)*3.7)
	}
	return values
}

const ms = time.Millisecond

func TestRecordsAreMeasuredByTheRulesOfTheKit(t *testing.T) {
	chat := lab.RequestRecord{
		Seq: 1, Phase: "load", Intended: 100 * ms, Sent: 150 * ms, Status: 200, WantInput: 7, Usage: &lab.Usage{Input: 9, Output: 3}, Text: "abc",
		Empty: []time.Duration{200 * ms}, Chunks: []lab.Chunk{{At: 200 * ms, Tokens: 1}, {At: 230 * ms, Tokens: 2}},
	}
	aborted := lab.RequestRecord{
		Seq: 0, Phase: "load", Intended: 90 * ms, Sent: 90 * ms, Status: 200, WantInput: 7, Error: lab.ErrAbort, Detail: "finish_reason abort",
		Chunks: []lab.Chunk{{At: 95 * ms, Tokens: 1}},
	}
	records := []lab.RequestRecord{chat, {Phase: lab.Warmup, Sent: 1, Status: 200, Chunks: aborted.Chunks}, aborted}
	for i, failed := range []lab.RequestRecord{
		{Error: lab.ErrStatus, Status: 404, Detail: "HTTP 404: model not found"},
		{Error: lab.ErrStatus, Status: 599},
		{Error: lab.ErrConnect, Detail: "connection refused"},
		{Error: lab.ErrStream, Status: 200, Detail: "error event"},
		{Error: lab.ErrCut, Status: 200, Detail: "the stream broke off", Chunks: aborted.Chunks, Text: "a"},
		{Error: lab.ErrCanceled},
	} {
		failed.Seq, failed.Phase, failed.Intended, failed.WantInput = 2+i, "load", 100*ms, 7
		if failed.Error != lab.ErrCanceled { // that one never left
			failed.Sent = 101 * ms
		}
		records = append(records, failed)
	}
	want := Lists{
		InputLens: []int{7, 9, 7, 7, 7, 7, 7, 7}, OutputLens: []int{1, 3, 0, 0, 0, 0, 0, 0},
		TTFTs: []float64{.005, .05, 0, 0, 0, 0, 0, 0}, ITLs: [][]float64{nil, {0, .03}, nil, nil, nil, nil, nil, nil},
		Latencies:  []float64{.005, .08, 0, 0, 0, 0, 0, 0},
		StartTimes: []float64{1000.09, 1000.15, 1000.101, 1000.101, 1000.101, 1000.101, 1000.101, 1000.1},
		QueueTimes: []float64{0, .05, .001, .001, .001, .001, .001, 0}, Texts: []string{"", "abc", "", "", "", "", "", ""},
		Errors: []string{"", "", "Not Found", "HTTP 599", "connection refused", noMessage, "the stream broke off", lab.ErrCanceled},
	}
	got := ListsOf(records, "load", 1000*time.Second)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	r := Measure(Bench{}, got, 2)
	if r.Completed != 2 || r.Failed != 6 || r.InputTokens != 16 || r.OutputTokens != 4 || r.TotalThroughput != 10 {
		t.Errorf("report %+v", r)
	}
}

func TestALimitThatIsJustKeptIsKept(t *testing.T) {
	l := Lists{TTFTs: []float64{.2}, Latencies: []float64{.5}, OutputLens: []int{1}, Errors: []string{""}}
	limit := func(metric string, v time.Duration) lab.SLO { return lab.SLO{Metric: metric, Limit: lab.Duration(v)} }
	for _, tc := range []struct {
		limits []lab.SLO
		good   float64
	}{
		{[]lab.SLO{limit("ttft", 200*ms), limit("tpot", 0), limit("e2el", 500*ms)}, 1}, // of one token: TPOT counts as 0
		{[]lab.SLO{limit("ttft", 199*ms)}, 0},
		{[]lab.SLO{limit("ttft", time.Second), limit("e2el", 499*ms)}, 0},
	} {
		if r := Measure(Bench{Goodput: tc.limits}, l, 1); r.Goodput != tc.good {
			t.Errorf("%v: %g good requests a second, want %g", tc.limits, r.Goodput, tc.good)
		}
	}
}

func TestQueueingIsShownOnlyWhereTheClientCanQueue(t *testing.T) {
	both := []string{"e2el_including_client_queue", "client_queue_time", "nonsense"}
	for _, tc := range []struct {
		rate        float64
		concurrency int
		ramp        *lab.RampUp
		want        string
	}{
		{10, 4, nil, "client_queue_time e2el_including_client_queue"},
		{math.Inf(1), 4, nil, "client_queue_time"},
		{10, 4, &lab.RampUp{Strategy: "linear", Start: 1, End: 2}, "client_queue_time"},
		{10, 0, nil, ""},
	} {
		r := Measure(Bench{Rate: tc.rate, Concurrency: tc.concurrency, RampUp: tc.ramp, Metrics: both}, Lists{}, 1)
		var shown []string
		for _, s := range r.Statistics {
			shown = append(shown, s.Metric)
		}
		if got := strings.Join(shown, " "); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

// Rows as vLLM prints them for a server that speculates; no recording has them.
func TestSpeculationHasABlockOfItsOwn(t *testing.T) {
	r := Report{Bench: Bench{Spec: &SpecDecode{AcceptanceRate: 73.471, AcceptanceLength: 3.2, Drafts: 6393, DraftTokens: 19179, AcceptedTokens: 14090, PerPosition: []float64{.8342, .5}}}}
	want := []string{
		"---------------Speculative Decoding---------------",
		"Acceptance rate (%):                     73.47     ",
		"Acceptance length:                       3.20      ",
		"Drafts:                                  6393      ",
		"Draft tokens:                            19179     ",
		"Accepted tokens:                         14090     ",
		"Per-position acceptance (%):",
		"  Position 0:                            83.42     ",
		"  Position 1:                            50.00     ",
		strings.Repeat("=", 50), "",
	}
	rows := strings.Split(r.Console(), "\n")
	if d := cmp.Diff(want, rows[slices.Index(rows, want[0]):]); d != "" {
		t.Error(d)
	}
	keys := `"rtfx": 0.0, "spec_decode_acceptance_rate": 73.471, "spec_decode_acceptance_length": 3.2, "spec_decode_num_drafts": 6393, "spec_decode_draft_tokens": 19179, "spec_decode_accepted_tokens": 14090, "spec_decode_per_position_acceptance_rates": [0.8342, 0.5]}`
	if text := string(r.JSON()); !strings.HasSuffix(text, keys) {
		t.Error(text)
	}
}
