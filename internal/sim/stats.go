package sim

import (
	"slices"
	"time"
)

// histogram counts values in buckets that do not overlap.
type histogram struct {
	bounds []float64
	counts []int // one more than bounds: above the last
	sum    float64
	n      int
}

func newHistogram(bounds []float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]int, len(bounds)+1)}
}

func (h *histogram) add(v float64) {
	i, _ := slices.BinarySearch(h.bounds, v)
	h.counts[i]++
	h.sum += v
	h.n++
}

// stats are what /metrics shows of requests and steps. Times are the engine's: a token counts when its step ends.
type stats struct {
	stepTokens                         *histogram
	ttft, itl, tpot, e2e               *histogram
	queue, prefill, decode, inference  *histogram
	promptTokens, newTokens, maxTokens *histogram
	n, computed, preemptions           *histogram
	finished                           map[string]int // by reason
}

func newStats() stats {
	seconds := []float64{.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	token := []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	first := []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	step := []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}
	length := []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000}
	return stats{
		stepTokens: newHistogram(step),
		ttft:       newHistogram(first), itl: newHistogram(token), tpot: newHistogram(token), e2e: newHistogram(seconds),
		queue: newHistogram(seconds), prefill: newHistogram(seconds), decode: newHistogram(seconds), inference: newHistogram(seconds),
		promptTokens: newHistogram(length), newTokens: newHistogram(length), maxTokens: newHistogram(length),
		n: newHistogram([]float64{1, 2, 5, 10, 20}), computed: newHistogram(length),
		preemptions: newHistogram([]float64{1, 2, 3, 4, 5, 10, 20}),
		finished:    map[string]int{},
	}
}

// step enters a step that ended now.
func (t *stats) step(r stepResult, now time.Time) {
	t.stepTokens.add(float64(r.prefill + len(r.made)))
	for _, s := range r.made {
		if s.first.IsZero() {
			s.first = now
			t.ttft.add(now.Sub(s.arrived).Seconds())
		} else {
			t.itl.add(now.Sub(s.last).Seconds())
		}
		s.last = now
	}
	for _, s := range r.done {
		t.e2e.add(s.last.Sub(s.arrived).Seconds())
		t.queue.add(s.admitted.Sub(s.arrived).Seconds())
		t.prefill.add(s.first.Sub(s.admitted).Seconds())
		t.decode.add(s.last.Sub(s.first).Seconds())
		t.inference.add(s.last.Sub(s.admitted).Seconds())
		t.promptTokens.add(float64(len(s.prompt)))
		t.newTokens.add(float64(s.made))
		t.computed.add(float64(len(s.prompt) - s.cached))
		t.preemptions.add(float64(s.preempted))
		if s.made > 1 {
			t.tpot.add(s.last.Sub(s.first).Seconds() / float64(s.made-1))
		}
		t.finished[s.finish]++
	}
}

// request enters what a request asked for.
func (t *stats) request(n, maxTokens int) {
	t.n.add(float64(n))
	t.maxTokens.add(float64(maxTokens))
}
