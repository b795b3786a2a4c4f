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
