package metric

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lab/internal/lab"
)

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %.9g, want %.9g", what, got, want)
	}
}

// The published values of docs/statistics.md's sources.
func TestPrecisionAgreesWithThePublishedValues(t *testing.T) {
	within(t, "correlation time", correlationTime([]float64{0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0}), 1.855, 5e-4)
	wave := make([]float64, 40)
	for i := range wave {
		wave[i] = math.Sin(float64(i)/3) + 3*math.Exp(-float64(i)/5)
	}
	within(t, "correlation time", correlationTime(wave), 7.097240, 5e-7)
	within(t, "MSER-5", float64(mser5(wave)), 10, 0)
	for _, tc := range []struct {
		n         int
		tau       float64
		low, high int
	}{
		{600, 1, 589, 600}, {600, 3, 585, 604}, {1000, 1, 983, 998}, {1000, 3, 979, 1002},
		{2000, 1, 1971, 1990}, {2000, 3, 1964, 1997}, {5000, 1, 4936, 4965}, {5000, 3, 4926, 4975},
	} {
		if low, high := tailRanks(tc.n, .99, tc.tau); low != tc.low || high != tc.high {
			t.Errorf("ranks for n %d, tau %g: %d and %d, want %d and %d", tc.n, tc.tau, low, high, tc.low, tc.high)
		}
	}
	for _, tc := range []struct{ share, n, low, high float64 }{
		{.95, 100, .888250, .978456}, {.970, 1000, .957497, .978906}, {.97, 295, .943696, .984221}, {0, 50, 0, .071348},
	} {
		low, high := wilson(tc.share, tc.n)
		within(t, "Wilson low", low, tc.low, 6e-7)
		within(t, "Wilson high", high, tc.high, 6e-7)
	}
	for df, want := range map[int]float64{4: 4.6041, 8: 3.3554, 30: 2.7500} {
		within(t, "1 % point", critical01(df)/want, 1, .02)
	}
}

// load plays an open loop against a server of one queue: requests arrive at random, each takes the same time, in turn.
func load(seed uint64, length time.Duration, rate, capacity float64) (lab.Run, lab.Tables, lab.Summary) {
	random := rand.New(rand.NewPCG(seed, 1))
	run := lab.Run{Experiment: lab.Experiment{Margin: .03, Telemetry: lab.Telemetry{Off: true},
		Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Rate: lab.Number(rate)}}}}}
	var t lab.Tables
	var free time.Duration
	seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
	for at := time.Second; at < time.Second+length; at += seconds(random.ExpFloat64() / rate) {
		free = max(free, at) + seconds(1/capacity)
		r := lab.RequestRecord{Seq: len(t.Requests), Phase: "load", Intended: at, Sent: at, Status: 200, Finish: "length", Done: free + 20*time.Millisecond}
		for i := range 4 {
			r.Chunks = append(r.Chunks, lab.Chunk{At: free + time.Duration(i)*5*time.Millisecond + seconds(.0005*random.Float64()), Tokens: 1})
		}
		t.Requests = append(t.Requests, r)
	}
	t.Events = []lab.Event{{At: time.Second, Kind: lab.LoadStart, Detail: "load"}}
	return run, t, Summarise(run, t)
}

func found(findings []lab.Finding, code string) bool {
	for _, f := range findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

func TestAServerThatDoesNotKeepUpIsSaturatedAndOneAtEightyPercentIsNot(t *testing.T) {
	for _, length := range []time.Duration{10 * time.Second, 150 * time.Second} {
		alarms, missed := 0, 0
		for seed := range uint64(40) {
			if run, tables, s := load(seed, length, 16, 20); found(Check(run, tables, s), "saturated") {
				alarms++
			}
			if run, tables, s := load(seed, length, 40, 20); !found(Check(run, tables, s), "saturated") {
				missed++
			}
		}
		if alarms > 2 || missed > 0 {
			t.Errorf("%s: %d of 40 false alarms at 80 %% of the capacity, %d of 40 missed at 200 %%", length, alarms, missed)
		}
	}
}

func TestAPhaseThatWarmsUpForAThirdOfItIsNotSteady(t *testing.T) {
	alarms, missed := 0, 0
	for seed := range uint64(40) {
		run, tables, s := load(seed, 60*time.Second, 16, 40)
		if found(Check(run, tables, s), "not-steady") {
			alarms++
		}
		for i := range tables.Requests { // tokens of the first 20 s take twice as long
			r := &tables.Requests[i]
			if r.Intended < 21*time.Second {
				for j := range r.Chunks {
					r.Chunks[j].At += time.Duration(j) * 5 * time.Millisecond
				}
			}
		}
		if !found(Check(run, tables, s), "not-steady") {
			missed++
		}
	}
	if alarms > 4 || missed > 0 {
		t.Errorf("%d of 40 false alarms, %d of 40 missed", alarms, missed)
	}
}

func TestATailOfFewRequestsHasNoUpperBound(t *testing.T) {
	_, _, s := load(1, 10*time.Second, 16, 40)
	f, ok := s.Figure("load", "ttft.p99")
	if !ok || f.Low == nil || f.High != nil || f.NEff <= 0 || f.NEff > float64(f.N) {
		t.Errorf("figure %+v", f)
	}
}

// Answers of half a minute: requests in flight rise until the first have ended, and then by chance only.
func TestLongAnswersAreNotTakenForABacklog(t *testing.T) {
	alarms := 0
	for seed := range uint64(40) {
		run, tables, _ := load(seed, 180*time.Second, 4, 40)
		for i := range tables.Requests {
			r := &tables.Requests[i]
			r.Chunks[len(r.Chunks)-1].At += 30 * time.Second
			r.Done += 30 * time.Second
		}
		if found(Check(run, tables, Summarise(run, tables)), "saturated") {
			alarms++
		}
	}
	if alarms > 2 {
		t.Errorf("%d of 40 false alarms", alarms)
	}
}
