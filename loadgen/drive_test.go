package loadgen

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lab/internal/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func random(l lab.Load) lab.Load {
	l.API = "completions"
	l.Dataset = lab.Dataset{Kind: "random", InputTokens: 8, OutputTokens: 4}
	return l
}

// drive runs a load in virtual time against a server that takes `takes` for each request.
func drive(t *testing.T, ctx context.Context, l lab.Load, takes time.Duration) ([]lab.RequestRecord, Report) {
	t.Helper()
	clock := lab.NewEpoch().Clock()
	var mu sync.Mutex
	var records []lab.RequestRecord
	report, err := Run(ctx, Options{
		Phase: lab.Phase{Name: "p", Load: random(l)}, Vocab: 512, Clock: clock, Progress: &Progress{},
		Record: func(r lab.RequestRecord) { mu.Lock(); defer mu.Unlock(); records = append(records, r) },
		Sample: func(lab.Sample) {},
		Do: func(ctx context.Context, r Request, rec *lab.RequestRecord) {
			rec.Sent = clock.Now()
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				rec.Error, rec.Detail = lab.ErrCanceled, context.Cause(ctx).Error()
			}
			rec.Done = clock.Now()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(records, func(a, b lab.RequestRecord) int { return a.Seq - b.Seq })
	for i, r := range records {
		if r.Seq != i {
			t.Fatalf("record %d has seq %d: one is missing or double", i, r.Seq)
		}
	}
	return records, report
}

func TestAnOpenLoopStaysOpenHoweverSlowTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.Load{Rate: 10, Requests: 300, Burstiness: 1, Seed: 7}
		records, report := drive(t, t.Context(), l, time.Minute)
		times := Arrivals(l)
		if len(records) != 300 || report.Offered != 300 {
			t.Fatalf("%d records, %d offered", len(records), report.Offered)
		}
		for i, r := range records {
			if r.Intended != report.Start+times[i] || r.Sent != r.Intended {
				t.Fatalf("request %d: intended %v, sent %v, schedule %v", i, r.Intended, r.Sent, report.Start+times[i])
			}
		}
	})
}

func TestAnOpenLoopWithABoundShowsTheWaitingInTheIntendedMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lab.Load{Rate: lab.Number(math.Inf(1)), Concurrency: 2, Requests: 6}
		records, report := drive(t, t.Context(), l, time.Second)
		for i, r := range records {
			if want := report.Start + time.Duration(i/2)*time.Second; r.Sent != want || r.Intended != report.Start {
				t.Errorf("request %d: intended %v, sent %v; want sent %v", i, r.Intended, r.Sent, want)
			}
		}
	})
}

func TestAClosedLoopKeepsItsNumberInFlightAndItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records, report := drive(t, t.Context(), lab.Load{Concurrency: 3, Requests: 30}, time.Second)
		if len(records) != 30 || report.End-report.Start != 10*time.Second {
			t.Fatalf("%d records in %v, want 30 in 10 s", len(records), report.End-report.Start)
		}
		for i, r := range records {
			if want := report.Start + time.Duration(i/3)*time.Second; r.Sent != want || r.Intended != want {
				t.Errorf("request %d sent at %v, want %v", i, r.Sent, want)
			}
		}
	})
}

func TestADurationEndsTheSendingAndLetsWhatIsInFlightFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records, report := drive(t, t.Context(), lab.Load{Concurrency: 2, Duration: lab.Duration(10 * time.Second)}, 3*time.Second)
		if len(records) != 8 || report.End-report.Start != 12*time.Second {
			t.Errorf("%d records in %v, want 8 in 12 s", len(records), report.End-report.Start)
		}
		for _, r := range records {
			if !r.OK() {
				t.Errorf("request %d: %s", r.Seq, r.Error)
			}
		}
	})
}

func TestAnEndFromOutsideIsRecordedWithItsCauseInEveryOpenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(errors.New("server exited")) })
		records, _ := drive(t, ctx, lab.Load{Rate: 1, Requests: 100, Burstiness: lab.Number(math.Inf(1))}, time.Hour)
		if len(records) < 4 || len(records) > 5 {
			t.Fatalf("%d requests in 5 s at 1/s", len(records))
		}
		for _, r := range records {
			if r.Error != lab.ErrCanceled || r.Detail != "server exited" {
				t.Errorf("request %d: %s %s", r.Seq, r.Error, r.Detail)
			}
		}
	})
}

func TestTheScheduleFollowsFromRateBurstinessAndSeedAlone(t *testing.T) {
	l := lab.Load{Rate: 50, Requests: 100_000, Burstiness: 1, Seed: 3}
	times := Arrivals(l)
	if !slices.Equal(times, Arrivals(l)) {
		t.Error("the same seed gave other times")
	}
	rate := float64(len(times)) / times[len(times)-1].Seconds()
	if math.Abs(rate/50-1) > 0.01 {
		t.Errorf("rate %.2f, want 50 within 1 %%", rate)
	}
	gaps := make([]float64, len(times))
	last := time.Duration(0)
	for i, at := range times {
		gaps[i], last = (at - last).Seconds(), at
	}
	slices.Sort(gaps)
	distance := 0.0 // Kolmogorov-Smirnov, to the exponential distribution
	for i, g := range gaps {
		distance = max(distance, math.Abs(1-math.Exp(-50*g)-float64(i)/float64(len(gaps))))
	}
	if distance > 0.005 {
		t.Errorf("distance to the exponential distribution %.4f, want at most 0.005", distance)
	}
	for _, shape := range []float64{0.5, 4} {
		l.Burstiness = lab.Number(shape)
		times := Arrivals(l)
		var sum, squares float64
		last := time.Duration(0)
		for _, at := range times {
			g := (at - last).Seconds() * 50
			last, sum, squares = at, sum+g, squares+g*g
		}
		n := float64(len(times))
		mean := sum / n
		if v := squares/n - mean*mean; math.Abs(mean-1) > 0.02 || math.Abs(v*shape-1) > 0.05 {
			t.Errorf("burstiness %g: mean gap %.3f (want 1), variance %.3f (want %.3f)", shape, mean, v, 1/shape)
		}
	}
}

func TestRandomPromptsHaveExactLengthsAndPoolsDiffer(t *testing.T) {
	l := random(lab.Load{Seed: 1})
	l.Dataset = lab.Dataset{Kind: "random", InputTokens: 100, OutputTokens: 50, RangeRatio: 0.5, PrefixTokens: 10}
	a, err := newPrompts(l, 512, measured)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := newPrompts(l, 512, warmup)
	low, high, seen := 1000, 0, map[uint64]bool{}
	for i := range 1000 {
		p := a.at(i)
		n := len(p.IDs) - 10
		low, high = min(low, n), max(high, n)
		if !slices.Equal(p.IDs[:10], b.at(i).IDs[:10]) {
			t.Fatal("the shared prefix differs")
		}
		if p.Hash != a.at(i).Hash || seen[p.Hash] || b.at(i).Hash == p.Hash {
			t.Fatal("a prompt is not its own: it changed, came twice, or is in the warm-up too")
		}
		seen[p.Hash] = true
		for _, id := range p.IDs {
			if id < firstID || id >= 512 {
				t.Fatalf("token id %d is out of range", id)
			}
		}
	}
	if low != 50 || high != 150 {
		t.Errorf("lengths from %d to %d, want 50 to 150", low, high)
	}
}

func TestAPromptFileIsReadLineByLineAndItsFaultsNameTheLine(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) lab.Dataset {
		name := filepath.Join(dir, "p.jsonl")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return lab.Dataset{Kind: "prompts", File: name, OutputTokens: 9}
	}
	got, err := readPrompts(write(`{"prompt":"hello"}`+"\n\n"+`{"prompt":[1,2,3],"output_tokens":5}`+"\n"+`{"messages":[{"role":"user","content":"x"}]}`), measured)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.at(0); p.Text != "hello" || p.Output != 9 {
		t.Errorf("got %+v", p)
	}
	if p := got.at(4); len(p.IDs) != 3 || p.Output != 5 {
		t.Errorf("got %+v", p)
	}
	if p := got.at(2); string(p.Messages) == "" {
		t.Errorf("got %+v", p)
	}
	for text, want := range map[string]string{
		`{"prompt":"a"}` + "\n" + `{"prompt":7}`: "p.jsonl:2: has neither",
		`nonsense`:                               "p.jsonl:1: is not a JSON object",
		"\n\n":                                   "holds no prompt",
	} {
		if _, err := readPrompts(write(text), measured); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", text, err, want)
		}
	}
}

func FuzzPromptLine(f *testing.F) {
	f.Add([]byte(`{"prompt":"a","output_tokens":3}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"x"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := parsePrompt(line, 5)
		if err == nil && p.Output <= 0 {
			t.Errorf("%q: %+v", line, p)
		}
	})
}

func BenchmarkRandomPrompts1000x1024(b *testing.B) {
	l := random(lab.Load{Seed: 1})
	l.Dataset.InputTokens = 1024
	for b.Loop() {
		p, err := newPrompts(l, 128_000, measured)
		if err != nil {
			b.Fatal(err)
		}
		for i := range 1000 {
			p.at(i)
		}
	}
}
