package loadgen

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lab/internal/lab"
)

// The test binary also plays a server.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == answering {
		answer()
		return
	}
	goleak.VerifyTestMain(m)
}

func random(l lab.Load) lab.Load {
	l.API = "completions"
	l.Dataset = lab.Dataset{Kind: "random", InputTokens: 8, OutputTokens: 4}
	return l
}

// numbered are prompts of 20 token ids that spell their index.
type numbered struct{ from int }

func (numbered) Distinct() int { return 0 }

func (n numbered) At(i int) lab.Prompt {
	ids := make([]int32, 20)
	for k, rest := 0, n.from+i; k < len(ids); k, rest = k+1, rest/10 {
		ids[k] = int32(100 + rest%10)
	}
	return lab.Prompt{IDs: ids, Output: 4, Hash: uint64(n.from + i)}
}

// pair are two prompts in turn.
type pair struct{ numbered }

func (pair) Distinct() int { return 2 }

// drive runs a load in virtual time against a server that takes `takes` for each request.
func drive(t *testing.T, ctx context.Context, l lab.Load, takes time.Duration) ([]lab.RequestRecord, Report) {
	t.Helper()
	clock := lab.NewEpoch().Clock()
	var mu sync.Mutex
	var records []lab.RequestRecord
	report, err := Run(ctx, Options{
		Phase: lab.Phase{Name: "p", Load: random(l)}, Prompts: numbered{}, Clock: clock, Progress: &Progress{},
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
	counts := make([]float64, int(times[len(times)-1].Seconds()))
	for _, at := range times {
		if second := int(at.Seconds()); second < len(counts) {
			counts[second]++
		}
	}
	average, squares := mean(counts), 0.0
	for _, c := range counts {
		squares += (c - average) * (c - average)
	}
	if ratio := squares / float64(len(counts)-1) / average; ratio < 0.9 || ratio > 1.1 {
		t.Errorf("variance/mean of the requests in a second is %.3f, want 0.9 to 1.1", ratio)
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

func TestAPromptFileThatIsTooShortIsCountedAsRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := random(lab.Load{Concurrency: 2, Requests: 5})
		report, err := Run(t.Context(), Options{
			Phase: lab.Phase{Load: l}, Prompts: pair{}, Clock: lab.NewEpoch().Clock(), Progress: &Progress{},
			Record: func(lab.RequestRecord) {}, Sample: func(lab.Sample) {},
			Do: func(_ context.Context, _ Request, rec *lab.RequestRecord) { rec.Done = 1 },
		})
		if err != nil || report.Offered != 5 || report.Repeated != 3 {
			t.Errorf("got %+v, %v", report, err)
		}
	})
}

func TestTheWarmUpIsRecordedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := random(lab.Load{Rate: 1, Requests: 20, Warmup: 20, Seed: 5})
		o := Options{Phase: lab.Phase{Name: "p", Load: l}, Prompts: numbered{}, Clock: lab.NewEpoch().Clock(), Progress: &Progress{}, Sample: func(lab.Sample) {}}
		o.Do = func(_ context.Context, _ Request, rec *lab.RequestRecord) { rec.Done = 1 }
		var mu sync.Mutex
		phases := map[uint64]string{}
		o.Record = func(r lab.RequestRecord) { mu.Lock(); defer mu.Unlock(); phases[r.Prompt] += r.Phase }
		o.Prompts = numbered{from: 1000}
		if err := Warm(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		o.Prompts = numbered{}
		if _, err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, phase := range phases {
			count[phase]++
		}
		if len(phases) != 40 || count[lab.Warmup] != 20 || count["p"] != 20 {
			t.Errorf("got %v over %d prompts, want 20 of each over 40", count, len(phases))
		}
	})
}

func TestTheClientSamplesItselfOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := lab.NewEpoch().Clock()
		var samples []lab.Sample // all from one goroutine, which Run waits for
		_, err := Run(t.Context(), Options{
			Phase: lab.Phase{Load: random(lab.Load{Concurrency: 3, Requests: 3})}, Prompts: numbered{}, Clock: clock, Progress: &Progress{},
			Record: func(lab.RequestRecord) {}, Sample: func(s lab.Sample) { samples = append(samples, s) },
			Do: func(_ context.Context, _ Request, rec *lab.RequestRecord) {
				time.Sleep(9500 * time.Millisecond)
				rec.Done = clock.Now()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(samples) != 11 { // at the start, after nine whole seconds, and at the end
			t.Fatalf("%d samples in 9.5 s", len(samples))
		}
		for i, s := range samples {
			flight := 3.0
			if i == 0 || i == 10 {
				flight = 0
			}
			if s.Device != "client" || s.Values[lab.ClientFlight] != flight || s.Values[lab.ClientLate] != 0 || s.Values[lab.ClientCPU] <= 0 {
				t.Errorf("sample %d: %+v", i, s)
			}
		}
	})
}

func TestAStopOfLabIsOneLateSampleAndNotOneForEachSecondMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := lab.NewEpoch().Clock()
		var samples []lab.Sample
		_, err := Run(t.Context(), Options{
			Phase: lab.Phase{Load: random(lab.Load{Concurrency: 1, Requests: 1})}, Prompts: numbered{}, Clock: clock, Progress: &Progress{},
			Record: func(lab.RequestRecord) {},
			Sample: func(s lab.Sample) {
				if samples = append(samples, s); len(samples) == 2 {
					time.Sleep(3400 * time.Millisecond)
				}
			},
			Do: func(_ context.Context, _ Request, rec *lab.RequestRecord) {
				time.Sleep(9500 * time.Millisecond)
				rec.Done = clock.Now()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		late := 0
		for i, s := range samples {
			if i > 0 && i < len(samples)-1 && i != 2 && s.At-samples[i-1].At < time.Second { // the one after the stop comes as soon as it can
				t.Errorf("sample %d is %v after the one before", i, s.At-samples[i-1].At)
			}
			if s.Values[lab.ClientLate] > 3 {
				late++
			}
		}
		if late != 1 {
			t.Errorf("%d samples say that it was stopped", late)
		}
	})
}

func TestARateGivesItsLastRequestAtExactlyItsMomentAndARampFollowsItsFormula(t *testing.T) {
	fixed := Arrivals(lab.Load{Rate: 50, Requests: 100, Burstiness: 0.5, Seed: 7})
	if last := fixed[len(fixed)-1]; (last-2*time.Second).Abs() > time.Microsecond || fixed[0] <= 0 {
		t.Errorf("the first leaves at %v, the last of 100 at 50/s at %v", fixed[0], last)
	}
	even := lab.Number(math.Inf(1))
	for strategy, want := range map[string][]float64{
		"linear":      {1. / 5, 1. / 10, 1. / 15, 1. / 20},
		"exponential": {1. / 5, 1. / 7.937005259840997, 1. / 12.599210498948731, 1. / 20},
	} {
		at := 0.0
		l := lab.Load{Requests: 4, Burstiness: even, RampUp: &lab.RampUp{Strategy: strategy, Start: 5, End: 20}}
		for i, got := range Arrivals(l) {
			at += want[i]
			if math.Abs(got.Seconds()-at) > 1e-6 {
				t.Errorf("%s: request %d leaves at %v, want %.6f s", strategy, i, got, at)
			}
		}
	}
}
