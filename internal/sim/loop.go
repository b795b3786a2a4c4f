package sim

import (
	"sync"
	"sync/atomic"
	"time"
)

// loop runs an engine in real time on one goroutine: it makes a step, waits until the step's time is over, and hands
// the tokens out. Deadlines are absolute: on a busy machine it falls behind and catches up in the waits, so that a
// loaded machine does not change the physics.
type loop struct {
	mu     sync.Mutex // guards what follows, up to wake
	engine *engine
	gpu    gpu
	stats  stats
	inbox  []*sequence

	recorder *recorder // of a profile; nil: nothing is recorded
	held     bool      // the engine writes a trace and makes no step

	wake   chan struct{} // a sequence is in the inbox, or the engine may go on
	faults faults
	ready  time.Time     // when the server began to listen
	told   func(string)  // hears of what is planted when it happens; nil: nobody
	frozen atomic.Bool   // the engine's process is stopped by a signal, or hangs
	dead   chan struct{} // closed when the engine has crashed
	once   sync.Once     // closes dead

	table     []planted // still to come
	fullUntil time.Time
	standing  time.Duration // that the next step takes longer
	foreign   int32         // tokens of foreign prompts so far
}

func newLoop(p Physics, f faults) *loop {
	now := time.Now()
	return &loop{
		engine: newEngine(p), gpu: newGPU(now), stats: newStats(), faults: f, ready: now, table: f.timetable(),
		wake: make(chan struct{}, 1), dead: make(chan struct{}),
	}
}

// crash ends the engine as if its process had died.
func (l *loop) crash() { l.once.Do(func() { close(l.dead) }) }

func (l *loop) crashed() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// freeze stops the steps and lets them go on again; everything else answers meanwhile.
func (l *loop) freeze(on bool) {
	l.frozen.Store(on)
	l.nudge()
}

// hold stops the steps while the engine is busy with something else.
func (l *loop) hold(on bool) {
	l.lock(func() { l.held = on })
	l.nudge()
}

// recorded takes a profile that has seen all the steps it was to see, once.
func (l *loop) recorded() *recorder {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := l.recorder
	if rec == nil || !rec.full() {
		return nil
	}
	l.recorder = nil
	return rec
}

func (l *loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// submit puts the rows of a request into the queue.
func (l *loop) submit(rows []*sequence) {
	now := time.Now()
	l.lock(func() {
		for _, s := range rows {
			s.arrived = now
		}
		l.inbox = append(l.inbox, rows...)
	})
	l.nudge()
}

// drop takes the rows of a request out again; what is finished is not affected.
func (l *loop) drop(rows []*sequence) {
	l.lock(func() {
		for _, s := range rows {
			s.gone = true
		}
	})
	l.nudge()
}

func (l *loop) lock(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// run goes on until stop closes or the engine crashes.
func (l *loop) run(stop <-chan struct{}) {
	crash, hang := after(l.faults.crashAfter), after(l.faults.hangAfter)
	next := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-l.dead:
			return
		case <-crash:
			l.crash()
			return
		case <-hang:
			hang = nil
			l.frozen.Store(true)
		default:
		}
		if rec := l.recorded(); rec != nil {
			rec.due(rec)
			next = time.Now()
			continue
		}
		step, ok := l.step(next)
		if !ok {
			select {
			case <-l.wake:
			case <-l.nextPlanted():
			case <-crash:
				l.crash()
			case <-hang:
				hang = nil
				l.frozen.Store(true)
			case <-l.dead:
			case <-stop:
			}
			next = time.Now()
			continue
		}
		next = next.Add(step.took)
		time.Sleep(time.Until(next))
		l.deliver(step, time.Now())
	}
}

func after(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

// step makes one step, which begins at start; false: there is nothing to do.
func (l *loop) step(start time.Time) (stepResult, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.inbox {
		l.engine.add(s)
	}
	l.inbox = l.inbox[:0]
	if l.frozen.Load() || l.held {
		return stepResult{}, false
	}
	l.engine.dropGone()
	now := time.Now()
	l.happen(now)
	if !l.engine.busy() {
		l.standing = 0
		return stepResult{}, false
	}
	r := l.engine.step()
	r.took = time.Duration(float64(r.took)*l.slowdown(now)) + l.standing
	l.standing = 0
	if l.recorder != nil {
		r.took = l.recorder.step(recordedStep{start, r.took, r.decode, r.prefills, r.prefill, l.engine.kv})
	}
	for _, s := range r.admitted {
		if s.admitted.IsZero() {
			s.admitted = now
		}
	}
	share, reasons := l.clock(now)
	l.gpu.step(r, share, reasons, now)
	return r, true
}

// deliver hands out what a step made, when its time is over.
func (l *loop) deliver(r stepResult, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.step(r, now)
	for _, s := range r.made {
		if s.box != nil {
			s.box.put(token{row: s.row, cached: s.cached})
		}
	}
}

// slowdown is the factor on step times that the told faults make.
func (l *loop) slowdown(now time.Time) float64 {
	share, _ := l.clock(now)
	if l.faults.slowFactor > 0 && now.Sub(l.ready) >= l.faults.slowAfter {
		return l.faults.slowFactor / share
	}
	return 1 / share
}

// clock is the share of the full clock that the GPU runs at, and what holds it down.
func (l *loop) clock(now time.Time) (share float64, reasons int) {
	share = 1
	for _, e := range l.faults.clocks {
		if e.holds(now.Sub(l.ready)) {
			share = min(share, e.share)
			reasons |= e.reason
		}
	}
	return share, reasons
}

// announce says that something planted happens.
func (l *loop) announce(spec string) {
	if l.told != nil {
		l.told(spec)
	}
}

// token is one generated token on its way to a client.
type token struct {
	row    int
	cached int
}

// outbox carries the tokens of one request. The engine never waits for a client.
type outbox struct {
	mu    sync.Mutex
	queue []token
	ready chan struct{}
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

func (b *outbox) put(t token) {
	b.mu.Lock()
	b.queue = append(b.queue, t)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns all tokens that have come since the last call.
func (b *outbox) take() []token {
	b.mu.Lock()
	defer b.mu.Unlock()
	tokens := b.queue
	b.queue = nil
	return tokens
}
