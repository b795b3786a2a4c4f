package metric

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

const ms = time.Millisecond

// request makes a successful record: intended at `at`, first token after `first`, the others `gap` apart.
func request(seq int, at, first, gap time.Duration, tokens int) lab.RequestRecord {
	r := lab.RequestRecord{Seq: seq, Phase: "load", Intended: at, Sent: at + ms, WantOutput: tokens, Usage: &lab.Usage{Input: 10, Output: tokens}, Finish: "length"}
	for i := range tokens {
		r.Chunks = append(r.Chunks, lab.Chunk{At: at + first + time.Duration(i)*gap, Tokens: 1})
	}
	r.Done = r.Chunks[tokens-1].At + ms
	return r
}

func run() lab.Run {
	return lab.Run{Outcome: lab.Complete, Experiment: lab.Experiment{
		Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Concurrency: 2, Dataset: lab.Dataset{Kind: "random"}}}},
		SLO:    []lab.SLO{{Metric: "ttft", Limit: lab.Duration(100 * ms)}, {Metric: "tpot", Limit: lab.Duration(15 * ms)}},
	}}
}

func figure(t *testing.T, s lab.Summary, name string) lab.Figure {
	t.Helper()
	f, ok := s.Figure("load", name)
	if !ok {
		t.Fatalf("no %s in %+v", name, s.Figures)
	}
	return f
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

func TestASummaryIsWhatOneWorksOutByHand(t *testing.T) {
	failed := lab.RequestRecord{Seq: 3, Phase: "load", Intended: 1000 * ms, Sent: 1000 * ms, Done: 1100 * ms, Error: lab.ErrCut}
	other := request(0, 500*ms, 900*ms, ms, 3)
	other.Phase = lab.Warmup
	tables := lab.Tables{
		Requests: []lab.RequestRecord{
			request(0, 1000*ms, 50*ms, 10*ms, 11),
			request(1, 1000*ms, 60*ms, 20*ms, 11), // too slow a token for the limits
			request(2, 1100*ms, 150*ms, 10*ms, 1), // a first token too late
			failed, other,
		},
		Events: []lab.Event{
			{At: 100 * ms, Kind: lab.ServerStart}, {At: 700 * ms, Kind: lab.ServerReady},
			{At: 900 * ms, Kind: lab.LoadStart, Detail: "load"},
		},
		Samples: []lab.Sample{
			{At: 800 * ms, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 100, lab.GPUPower: 100}},
			{At: 1000 * ms, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 120, lab.GPUPower: 300, lab.GPUUtil: 90}},
			{At: 2000 * ms, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 420, lab.GPUPower: 300, lab.GPUUtil: 70}},
			{At: 900 * ms, Device: "sampler", Values: map[string]float64{lab.SamplerCPU: 1, "fast_" + lab.SamplerLateP99: .5, "fast_" + lab.SamplerReads: 4}},
			{At: 1900 * ms, Device: "sampler", Values: map[string]float64{lab.SamplerCPU: 1.02, "fast_" + lab.SamplerLateP99: .25, "fast_" + lab.SamplerReads: 40}},
			{At: 900 * ms, Device: "engine", Values: map[string]float64{lab.EngineHits: 0, lab.EngineQueries: 1000}},
			{At: 1900 * ms, Device: "engine", Values: map[string]float64{lab.EngineHits: 50, lab.EngineQueries: 2000, lab.EngineKVUsage: .5}},
		},
	}
	s := Summarise(run(), tables)
	near(t, "ttft.mean", figure(t, s, "ttft.mean").Value, (.050+.060+.150)/3)
	near(t, "ttft.p50", figure(t, s, "ttft.p50").Value, .060)
	near(t, "ttft.p90", figure(t, s, "ttft.p90").Value, .060+.8*(.150-.060)) // rank 0.9*(3-1) = 1.8
	near(t, "tpot.mean", figure(t, s, "tpot.mean").Value, .015)
	if n := figure(t, s, "tpot.mean").N; n != 2 {
		t.Errorf("tpot rests on %d requests, want 2: one token has no time per further token", n)
	}
	near(t, "itl.mean", figure(t, s, "itl.mean").Value, .015)
	if n := figure(t, s, "itl.mean").N; n != 20 {
		t.Errorf("itl rests on %d gaps, want 20", n)
	}
	near(t, "e2el.mean", figure(t, s, "e2el.mean").Value, (.150+.260+.150)/3)
	length := 1.261 - 1.000 // the first request to the last response: 1000 + 60 + 200 + 1 ms
	near(t, "output_throughput", figure(t, s, "output_throughput").Value, 23/length)
	near(t, "total_throughput", figure(t, s, "total_throughput").Value, 53/length)
	near(t, "output_throughput.peak", figure(t, s, "output_throughput.peak").Value, 23) // all of it came within a second
	near(t, "concurrency.max", figure(t, s, "concurrency.max").Value, 3)
	near(t, "goodput", figure(t, s, "goodput").Value, 1.0/4)
	near(t, "error_share", figure(t, s, "error_share").Value, 1.0/4)
	near(t, "lag.p99", figure(t, s, "lag.p99").Value, .001)
	joules := (120 + 300*.261) - 120 // the counter is interpolated at the end
	near(t, "energy_per_token", figure(t, s, "energy_per_token").Value, joules/23)
	near(t, "power.mean", figure(t, s, "power.mean").Value, joules/length)
	near(t, "gpu_util.mean", figure(t, s, "gpu_util.mean").Value, 90)
	near(t, "prefix_hit_share", figure(t, s, "prefix_hit_share").Value, .05)
	near(t, "sampler_cpu", figure(t, s, "sampler_cpu").Value, .02)
	if f := figure(t, s, "sampler_late.p99"); f.Value != .25 || f.N != 40 {
		t.Errorf("lateness of the sampler: %+v, want the last that it said", f)
	}
	open := run()
	open.Experiment.Phases[0].Load.Rate = 5
	near(t, "output_throughput of an open loop", figure(t, Summarise(open, tables), "output_throughput").Value, 23/(1.261-.900)) // from the event
	startup, _ := s.Figure(WholeRun, "startup")
	near(t, "startup", startup.Value, .6)
	tally := s.Phases[0]
	if tally.Offered != 4 || tally.OK != 3 || tally.Errors[lab.ErrCut] != 1 || tally.Output != 23 || tally.Input != 30 {
		t.Errorf("tally %+v", tally)
	}
}

func TestWhatCannotBeComputedIsAbsentNotZero(t *testing.T) {
	s := Summarise(run(), lab.Tables{Requests: []lab.RequestRecord{
		{Phase: "load", Intended: ms, Sent: ms, Done: 2 * ms, Error: lab.ErrConnect},
	}})
	for _, f := range s.Figures {
		if !slices.Contains([]string{"error_share", "goodput", "lag.mean", "lag.p50", "lag.p99", "lag.max", "concurrency.max"}, f.Metric) {
			t.Errorf("%s = %g rests on nothing", f.Metric, f.Value)
		}
	}
	if s := Summarise(run(), lab.Tables{}); len(s.Figures)+len(s.Phases) != 0 {
		t.Errorf("a run without records has figures: %+v", s)
	}
	falling := lab.Tables{
		Requests: []lab.RequestRecord{request(0, 1000*ms, 50*ms, 10*ms, 11)},
		Samples: []lab.Sample{
			{At: 900 * ms, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 100}},
			{At: 1900 * ms, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: 3}}, // the driver was loaded anew
		},
	}
	if f, ok := Summarise(run(), falling).Figure("load", "energy_per_token"); ok {
		t.Errorf("energy from a counter that fell: %+v", f)
	}
}

func TestAChunkOfSeveralTokensCountsAsSeveralGaps(t *testing.T) {
	r := request(0, 1000*ms, 50*ms, 10*ms, 2)
	r.Chunks = append(r.Chunks, lab.Chunk{At: r.Chunks[1].At + 30*ms, Tokens: 3})
	gaps := tokenGaps(r)
	if len(gaps) != 4 || math.Abs(gaps[0]-.010) > 1e-12 || math.Abs(gaps[3]-.010) > 1e-12 {
		t.Errorf("gaps %v, want four of 10 ms", gaps)
	}
}

// healthy makes the tables of a run in which nothing is wrong.
func healthy() lab.Tables {
	var t lab.Tables
	for i := range 400 {
		t.Requests = append(t.Requests, request(i, time.Duration(1000+10*i)*ms, 50*ms, 10*ms, 11))
	}
	for at := 800 * ms; at < 7000*ms; at += 1000 * ms {
		t.Samples = append(t.Samples,
			lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUPower: 300, lab.GPUThrottle: 4, lab.GPUForeign: 0}},
			lab.Sample{At: at, Device: "engine", Values: map[string]float64{lab.EngineHits: 0, lab.EngineQueries: float64(at / ms)}},
			lab.Sample{At: at, Device: "client", Values: map[string]float64{lab.ClientLate: .001, lab.ClientCPU: at.Seconds() * .1}})
	}
	return t
}

func TestEachThingThatMakesARunInvalidIsNamedAndNothingElseIs(t *testing.T) {
	for code, spoil := range map[string]func(*lab.Run, *lab.Tables){
		"": func(*lab.Run, *lab.Tables) {},
		"errors": func(_ *lab.Run, t *lab.Tables) {
			for i := range 4 {
				t.Requests[i].Error = lab.ErrStream
			}
		},
		"no-success": func(_ *lab.Run, t *lab.Tables) {
			for i := range t.Requests {
				t.Requests[i].Error = lab.ErrStatus
			}
		},
		"no-requests": func(_ *lab.Run, t *lab.Tables) { t.Requests = nil },
		"client-lag": func(_ *lab.Run, t *lab.Tables) {
			for i := range 10 {
				t.Requests[i].Sent += 20 * ms
			}
		},
		"warm-cache": func(_ *lab.Run, t *lab.Tables) {
			for _, s := range t.Samples {
				if s.Device == "engine" {
					s.Values[lab.EngineHits] = .05 * s.Values[lab.EngineQueries]
				}
			}
		},
		"foreign-process":  func(_ *lab.Run, t *lab.Tables) { t.Samples[0].Values[lab.GPUForeign] = 1 },
		"thermal-slowdown": func(_ *lab.Run, t *lab.Tables) { t.Samples[3].Values[lab.GPUThrottle] = 0x40 },
		"power-brake":      func(_ *lab.Run, t *lab.Tables) { t.Samples[3].Values[lab.GPUThrottle] = 0x08 },
	} {
		t.Run(code, func(t *testing.T) {
			r, tables := run(), healthy()
			spoil(&r, &tables)
			r.Findings = Check(r, tables, Summarise(r, tables))
			var invalid []string
			for _, f := range r.Findings {
				if f.Level == lab.Invalid {
					invalid = append(invalid, f.Code)
				}
			}
			if got := strings.Join(invalid, " "); got != code {
				t.Errorf("invalid: %q, want %q (%+v)", got, code, r.Findings)
			}
		})
	}
}

func TestPromptsThatShareAPrefixMayBeInTheCache(t *testing.T) {
	r, tables := run(), healthy()
	r.Experiment.Phases[0].Load.Dataset.PrefixTokens = 100
	for _, s := range tables.Samples {
		if s.Device == "engine" {
			s.Values[lab.EngineHits] = .5 * s.Values[lab.EngineQueries]
		}
	}
	if r.Findings = Check(r, tables, Summarise(r, tables)); !r.Valid() {
		t.Errorf("findings %+v", r.Findings)
	}
}

func TestTheDocumentExplainsEveryMetricOfTheCatalogue(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Concat(singles, ownMetrics()) {
		if !strings.Contains(string(text), "| `"+m.Name+"` | "+m.Unit+" | "+m.Formula+" |") {
			t.Errorf("docs/metrics.md has no line for %s (%s): %s", m.Name, m.Unit, m.Formula)
		}
	}
	for _, q := range slices.Concat(quantities, steps) {
		if !strings.Contains(string(text), "| `"+q.name+"` | "+q.title+" | "+q.formula+" |") {
			t.Errorf("docs/metrics.md has no line for %s: %s", q.name, q.formula)
		}
	}
}

func TestAMisspeltMetricGetsTheNearestName(t *testing.T) {
	for word, want := range map[string]string{"tpot.men": "tpot.mean", "output_troughput": "output_throughput", "ttft.p95x": "ttft.p95", "qqqqqqqqqqqqqqqqqqqqqqqqq": ""} {
		if got := Suggest(word); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func TestThePeakIsOfAnySecondAndCountsTokens(t *testing.T) {
	r := lab.RequestRecord{Phase: "load", Sent: ms, Done: 5000 * ms, Finish: "length", Chunks: []lab.Chunk{
		{At: 900 * ms, Tokens: 5}, {At: 1500 * ms, Tokens: 1}, {At: 1899 * ms, Tokens: 4}, {At: 1900 * ms, Tokens: 3}, {At: 4000 * ms, Tokens: 9},
	}}
	s := Summarise(run(), lab.Tables{Requests: []lab.RequestRecord{r}})
	near(t, "output_throughput.peak", figure(t, s, "output_throughput.peak").Value, 10) // 0.900 to 1.899 s

	r.Usage = &lab.Usage{Output: 50}
	for i := range r.Chunks {
		r.Chunks[i].Tokens = 0
	}
	s = Summarise(run(), lab.Tables{Requests: []lab.RequestRecord{r}})
	near(t, "output_throughput.peak of a server that counts in the end", figure(t, s, "output_throughput.peak").Value, 30) // three of the five chunks
}
