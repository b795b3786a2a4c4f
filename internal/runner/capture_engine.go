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

// engineWatch reads the engine's counters and adds up how long its steps took, apart for inside and outside the window.
type engineWatch struct {
	url     string
	last    engineState
	known   bool
	deepest int // queue
	inside  stepTime
	outside stepTime
}

type stepTime struct {
	steps int
	took  time.Duration
}

// tally says to what the steps since the last reading belong.
type tally struct {
	inside, counted bool
	until           int // steps beyond this count are not counted: the server may be writing
}

var (
	notCounted    = tally{}
	outsideWindow = tally{counted: true, until: math.MaxInt}
)

func insideWindow(until int) tally { return tally{inside: true, counted: true, until: until} }

// poll reads the counters; false where they could not be read.
func (w *engineWatch) poll(ctx context.Context, to tally) (engineState, bool) {
	values, err := gpu.Scrape(ctx, w.url)
	steps, ok := values[lab.EngineSteps]
	if err != nil || !ok {
		w.known = false
		return engineState{}, false
	}
	now := engineState{time.Now(), int(steps), int(values[lab.EngineRunning]), int(values[lab.EngineWaiting])}
	w.deepest = max(w.deepest, now.waiting)
	made := now.steps - w.last.steps
	busy := w.known && now.running > 0 && w.last.running > 0 // a stretch without requests is no step, however long it is
	if to.counted && busy && made == 0 {
		return now, true // the time counts with the next step that ends
	}
	if to.counted && busy && now.steps < to.until {
		into := &w.outside
		if to.inside {
			into = &w.inside
		}
		into.steps += made
		into.took += now.at.Sub(w.last.at)
	}
	w.last, w.known = now, true
	return now, true
}

// steps is the counter as last read.
func (w *engineWatch) steps() int { return w.last.steps }

// overhead compares the two; nil where one of them was not seen.
func (w *engineWatch) overhead() *lab.ProfileOverhead {
	if w.inside.steps == 0 || w.outside.steps == 0 {
		return nil
	}
	mean := func(t stepTime) time.Duration { return t.took / time.Duration(t.steps) }
	return &lab.ProfileOverhead{
		Unprofiled: mean(w.outside), UnprofiledSteps: w.outside.steps,
		Profiled: mean(w.inside), ProfiledSteps: w.inside.steps,
	}
}

// steadiness sees when a batch keeps its size: it has turned over once, and over the last second its size moved by at most a
// tenth, or one request.
type steadiness struct {
	sizes []int
	why   string // what was missing at the last look
}

const steadyLooks = 10 // at pollIdle: a second

func (s *steadiness) look(e engineState, ended int) string {
	s.sizes = append(s.sizes, e.running)
	if len(s.sizes) > steadyLooks {
		s.sizes = s.sizes[1:]
	}
	low, high := slices.Min(s.sizes), slices.Max(s.sizes)
	switch {
	case low == 0 || len(s.sizes) < steadyLooks:
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
