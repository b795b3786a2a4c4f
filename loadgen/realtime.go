package loadgen

import (
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// realtime turns the kernel's stamps, which are on CLOCK_REALTIME, into offsets on the run's clock. The two clocks run at
// one speed, so the distance between them changes only where somebody sets the wall clock: it is read anew all the time,
// and a stamp that such a step may have falsified is not used.
type realtime struct {
	clock    lab.Clock
	mu       sync.Mutex
	distance atomic.Int64 // the wall clock at the run's epoch, in nanoseconds since 1970
	stepped  atomic.Int64 // when the last step was noticed
	steps    atomic.Int64
}

const (
	clockStep   = time.Millisecond      // a change from here on is a step: told, and stamps around it are dropped
	doubtfulLag = time.Millisecond      // so late a reading is a reason to look for a step
	looseAnchor = 20 * time.Microsecond // readings of the clocks that took longer say too little
)

func newRealtime(clock lab.Clock) *realtime {
	r := &realtime{clock: clock}
	r.distance.Store(time.Now().UnixNano() - int64(clock.Now()))
	r.anchor()
	return r
}

// anchor compares the clocks: the wall clock between two readings of the run's, which bound the error.
func (r *realtime) anchor() {
	r.mu.Lock()
	defer r.mu.Unlock()
	const tries = 3
	for range tries {
		before := r.clock.Now()
		wall := time.Now().UnixNano()
		after := r.clock.Now()
		if after-before <= looseAnchor {
			r.note(before, wall, after)
			return
		}
	}
}

// note takes one comparison. What lies within its own error is no change.
func (r *realtime) note(before time.Duration, wall int64, after time.Duration) {
	now := wall - int64(before+(after-before)/2)
	change := time.Duration(now - r.distance.Load()).Abs()
	if change <= after-before {
		return
	}
	if change >= clockStep {
		r.steps.Add(1)
		r.stepped.Store(int64(after))
	}
	r.distance.Store(now)
}

// arrival is the moment of a stamp, of bytes that were read at `at`. It is `at` itself, and false, where there is no stamp or
// the wall clock may have been set in between.
func (r *realtime) arrival(stamp int64, at time.Duration) (time.Duration, bool) {
	if stamp == 0 {
		return at, false
	}
	distance := r.distance.Load()
	came := time.Duration(stamp - distance)
	if came > at && came <= at+looseAnchor { // as exact as the comparison is
		came = at
	}
	if came > at || at-came > doubtfulLag {
		r.anchor()
	}
	if came > at || came < time.Duration(r.stepped.Load()) || time.Duration(r.distance.Load()-distance).Abs() >= clockStep {
		return at, false
	}
	return came, true
}
