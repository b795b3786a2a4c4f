package runner

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"lab/gpu"
	"lab/internal/lab"
)

// engineState is what the engine's own counters said at one moment.
type engineState struct {
	at               time.Time
	steps            int
	running, waiting int
}

// engineWatch reads the engine's counters.
type engineWatch struct {
	url     string
	last    engineState // as last read
	deepest int         // queue
}

// poll reads the counters; false where they could not be read.
func (w *engineWatch) poll(ctx context.Context) (engineState, bool) {
	values, err := gpu.Scrape(ctx, w.url)
	steps, ok := values[lab.EngineSteps]
	if err != nil || !ok {
		return engineState{}, false
	}
	w.last = engineState{time.Now(), int(steps), int(values[lab.EngineRunning]), int(values[lab.EngineWaiting])}
	w.deepest = max(w.deepest, w.last.waiting)
	return w.last, true
}

// steadiness sees when a batch keeps its size: it has turned over once, and over the last second its size moved by at most a
// tenth, or one request.
type steadiness struct {
	looks []engineState
	why   string // what was missing at the last look
}

func (s *steadiness) look(e engineState, ended int) string {
	const span = time.Second
	s.looks = append(s.looks, e)
	for len(s.looks) > 2 && e.at.Sub(s.looks[1].at) >= span {
		s.looks = s.looks[1:]
	}
	low, high := e.running, e.running
	for _, l := range s.looks {
		low, high = min(low, l.running), max(high, l.running)
	}
	switch {
	case low == 0 || e.at.Sub(s.looks[0].at) < span:
		s.why = "requests did not run without a break for a second"
	case ended < high:
		s.why = fmt.Sprintf("%d requests had ended, fewer than the %d that ran at once", ended, high)
	case high-low > max(1, high/10):
		s.why = fmt.Sprintf("the batch moved between %d and %d requests within a second", low, high)
	default:
		return fmt.Sprintf("%d to %d requests ran over the last second", low, high)
	}
	return ""
}

// latencies keeps a latency of the last requests that ended.
type latencies struct {
	mu     sync.Mutex
	values []time.Duration
	ended  int
}

const (
	mostLatencies   = 100
	fewestLatencies = 20
)

func (l *latencies) add(kind string, r lab.RequestRecord) {
	v, ok := time.Duration(0), false
	switch kind {
	case "ttft":
		v, ok = r.TTFT()
	case "tpot":
		v, ok = r.TPOT()
	case "e2el":
		v, ok = r.E2EL()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended++
	if !ok {
		return
	}
	l.values = append(l.values, v)
	if len(l.values) > mostLatencies {
		l.values = l.values[1:]
	}
}

// count is how many requests have ended.
func (l *latencies) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// percentile is the nearest rank over the last requests; false with too few of them.
func (l *latencies) percentile(rank float64) (time.Duration, int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.values)
	if n < fewestLatencies {
		return 0, n, false
	}
	sorted := slices.Clone(l.values)
	slices.Sort(sorted)
	at := int(math.Ceil(rank/100*float64(n))) - 1
	return sorted[min(max(at, 0), n-1)], n, true
}

// overhead compares how fast tokens came inside and outside the window; nil where either was not seen. until is the last moment
// at which the server was seen to be short of its last step: behind it, it may have been writing.
func overhead(p *lab.Profile, until time.Duration, requests []lab.RequestRecord) *lab.ProfileOverhead {
	if !p.Start.OK() || p.Stop == nil || p.FilesAt == 0 {
		return nil
	}
	var inside, before, after pace
	for _, r := range requests {
		if r.Phase != lab.Warmup {
			inside.add(r, p.Start.Asked+p.Start.Took, until)
			before.add(r, 0, p.Start.Asked)
			after.add(r, p.FilesAt, math.MaxInt64)
		}
	}
	outside := pace{before.tokens + after.tokens, before.took + after.took}
	if inside.tokens == 0 || outside.tokens == 0 {
		return nil
	}
	return &lab.ProfileOverhead{Unprofiled: outside.mean(), UnprofiledTokens: outside.tokens, Profiled: inside.mean(), ProfiledTokens: inside.tokens}
}

// pace is how long clients waited for how many further tokens.
type pace struct {
	tokens int
	took   time.Duration
}

// add counts the tokens of a request that followed another one within a stretch of time.
func (p *pace) add(r lab.RequestRecord, from, to time.Duration) {
	last := time.Duration(-1)
	for _, c := range r.Chunks {
		if c.At < from || c.At > to {
			continue
		}
		if last >= 0 {
			p.tokens += max(1, c.Tokens)
			p.took += c.At - last
		}
		last = c.At
	}
}

func (p *pace) mean() time.Duration { return p.took / time.Duration(p.tokens) }
