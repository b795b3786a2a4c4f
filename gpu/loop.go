package gpu

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// loop serves each task at absolute deadlines. A deadline stays due until it is served; when the loop is late, the
// deadlines that have passed meanwhile are counted as skipped, not caught up.
type loop struct {
	start time.Time
	tasks []*task
	fault error // of the output: nobody listens any more
	mu    sync.Mutex
	late  lateness // under mu: another loop reports it
}

// lateness is how far a loop was behind its deadlines.
type lateness struct {
	skipped int           // deadlines, over the run
	worst   time.Duration // since the last report
}

// task is one group of readings with its deadlines.
type task struct {
	period time.Duration
	read   func()
	served int     // index of the last deadline that was served
	stats  *spread // nil: not kept
}

// add takes a task in; one that comes while the loop runs is due at the next of its deadlines.
func (l *loop) add(period time.Duration, read func()) *task {
	t := &task{period: period, read: read, served: -1}
	if !l.start.IsZero() {
		t.served = int(time.Since(l.start) / period)
	}
	l.tasks = append(l.tasks, t)
	return t
}

// repace gives a task another period from now on.
func (l *loop) repace(t *task, period time.Duration) {
	t.period = period
	t.served = int(time.Since(l.start) / period)
}

// run serves until ctx ends or nobody listens; the last readings are taken then, so that counters reach to the end.
func (l *loop) run(ctx context.Context) error {
	l.start = time.Now()
	for l.fault == nil {
		next := l.tasks[0]
		for _, t := range l.tasks[1:] {
			if t.due(l.start).Before(next.due(l.start)) {
				next = t
			}
		}
		timer := time.NewTimer(time.Until(next.due(l.start)))
		select {
		case <-ctx.Done():
			timer.Stop()
			for _, t := range l.tasks {
				t.read()
			}
			if l.fault != nil {
				break
			}
			return nil
		case <-timer.C:
			l.serve(next)
		}
	}
	return fmt.Errorf("write samples: %w", l.fault)
}

// serve does a task that is due, and notes how late it was and which of its deadlines have passed meanwhile.
func (l *loop) serve(t *task) {
	period, began := t.period, time.Now()
	late := began.Sub(t.due(l.start))
	t.read()
	took := time.Since(began)
	if t.period == period { // else the task was given another period by its own reading
		t.served++
	}
	skipped := 0
	if passed := int(time.Since(l.start) / t.period); passed > t.served {
		skipped = passed - t.served
		t.served = passed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late.worst = max(l.late.worst, late)
	l.late.skipped += skipped
	if t.stats != nil {
		t.stats.add(began, period, late, took, skipped)
	}
}

// report gives the lateness; the worst begins anew.
func (l *loop) report() lateness {
	l.mu.Lock()
	defer l.mu.Unlock()
	late := l.late
	l.late.worst = 0
	return late
}

func (t *task) due(start time.Time) time.Time {
	return start.Add(time.Duration(t.served+1) * t.period)
}
