package metric

import (
	"math"
	"slices"

	"lab/internal/lab"
)

// Histogram counts a latency of one phase by size, in buckets whose edges stand in one ratio.
type Histogram struct {
	Phase     string    `json:"phase"`
	Metric    string    `json:"metric"` // of the catalogue, without a statistic: "ttft"
	Unit      string    `json:"unit"`
	N         int       `json:"n"`
	PerDecade int       `json:"per_decade"` // buckets from 1 to 10: edges are powers of 10^(1/PerDecade)
	Edges     []float64 `json:"edges"`      // one more than Counts; a bucket holds its lower edge, not its upper
	Counts    []int     `json:"counts"`
}

// What a histogram needs before it says more than percentiles do, and how many buckets can be taken in.
const (
	fewestCounted = 20
	fewestBuckets = 3
	mostBuckets   = 14
)

// Histograms count the TTFT of the successful requests of each judged phase, where there are enough.
func Histograms(run lab.Run, t lab.Tables) []Histogram {
	var all []Histogram
	for _, p := range run.Experiment.Phases {
		if !p.Judged {
			continue
		}
		w := window{phase: p}
		for _, r := range t.Requests {
			if r.Phase == p.Name {
				w.requests = append(w.requests, r)
			}
		}
		if h, ok := histogram(w.values("ttft")); ok {
			h.Phase, h.Metric, h.Unit = p.Name, "ttft", "s"
			all = append(all, h)
		}
	}
	return all
}

// histogram takes the finest buckets of which there are not too many. A value below a microsecond counts as one.
func histogram(values []float64) (Histogram, bool) {
	const least = 1e-6
	if len(values) < fewestCounted {
		return Histogram{}, false
	}
	low, high := max(least, slices.Min(values)), max(least, slices.Max(values))
	for _, perDecade := range []int{20, 10, 5, 3, 2, 1} {
		bucket := func(v float64) int {
			const rounding = 1e-9 // an edge itself belongs to the bucket above it
			return int(math.Floor(math.Log10(max(least, v))*float64(perDecade) + rounding))
		}
		first, last := bucket(low), bucket(high)
		if last-first >= mostBuckets && perDecade > 1 {
			continue
		}
		h := Histogram{N: len(values), PerDecade: perDecade, Counts: make([]int, last-first+1)}
		for _, v := range values {
			h.Counts[bucket(v)-first]++
		}
		for i := first; i <= last+1; i++ {
			h.Edges = append(h.Edges, math.Pow(10, float64(i)/float64(perDecade)))
		}
		return h, len(h.Counts) >= fewestBuckets
	}
	return Histogram{}, false
}
