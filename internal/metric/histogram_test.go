package metric

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestAHistogramCountsEachValueOnceInItsBucket(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, spread := range []float64{.1, .5, 1, 3, 9} {
		values := make([]float64, 500)
		for i := range values {
			values[i] = .02 * math.Exp(spread*random.NormFloat64())
		}
		values[0], values[1], values[2] = .1, 1e-9, .01
		h, ok := histogram(values)
		if !ok {
			t.Fatalf("spread %g: no histogram", spread)
		}
		sum := 0
		for i, n := range h.Counts {
			want := 0
			for _, v := range values {
				v = max(v, 1e-6)
				if v >= h.Edges[i]*(1-1e-8) && v < h.Edges[i+1]*(1-1e-8) {
					want++
				}
			}
			if sum += n; n != want {
				t.Errorf("spread %g: %d in [%g, %g), want %d", spread, n, h.Edges[i], h.Edges[i+1], want)
			}
		}
		if sum != len(values) || h.N != len(values) || len(h.Edges) != len(h.Counts)+1 {
			t.Errorf("spread %g: %d of %d values counted, n = %d, %d edges of %d buckets", spread, sum, len(values), h.N, len(h.Edges), len(h.Counts))
		}
		if ratio := h.Edges[1] / h.Edges[0]; math.Abs(ratio-math.Pow(10, 1/float64(h.PerDecade))) > 1e-9 {
			t.Errorf("spread %g: edges stand in a ratio of %g", spread, ratio)
		}
	}
}

func TestOnlyAJudgedPhaseWithEnoughRequestsHasAHistogram(t *testing.T) {
	run := lab.Run{Experiment: lab.Experiment{Phases: []lab.Phase{{Name: "few", Judged: true}, {Name: "aside"}, {Name: "load", Judged: true}, {Name: "alike", Judged: true}}}}
	var tables lab.Tables
	add := func(phase string, n int, ttft func(i int) time.Duration) {
		for i := range n {
			tables.Requests = append(tables.Requests, lab.RequestRecord{Phase: phase, Intended: time.Second, Chunks: []lab.Chunk{{At: time.Second + ttft(i)}}})
		}
	}
	rising := func(i int) time.Duration { return time.Duration(i+1) * time.Millisecond }
	add("few", fewestCounted-1, rising)
	add("aside", 100, rising)
	add("load", 100, rising)
	add("alike", 100, func(int) time.Duration { return 5 * time.Millisecond }) // a number says it all
	tables.Requests = append(tables.Requests, lab.RequestRecord{Phase: "load", Error: lab.ErrCut, Chunks: []lab.Chunk{{At: time.Hour}}})
	got := Histograms(run, tables)
	if len(got) != 1 || got[0].Phase != "load" || got[0].Metric != "ttft" || got[0].Unit != "s" || got[0].N != 100 {
		t.Errorf("%+v", got)
	}
}
