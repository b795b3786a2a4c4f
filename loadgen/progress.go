package loadgen

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// Progress is what the live line and the hang watch see of a load while it runs. The zero value is ready.
type Progress struct {
	mu   sync.Mutex
	now  Snapshot
	ttft ring
	itl  ring

	lastToken atomic.Int64 // apart from the rest: every token of every stream sets it
}

// Snapshot is the state at one moment, counted since the first request of the run.
type Snapshot struct {
	Sent, OK, Errors, InFlight, Tokens int

	Busy      time.Duration // since when something is in flight without a break; 0: nothing is
	LastToken time.Duration // when output last arrived
	TTFT, ITL time.Duration // medians of the last requests; 0: none yet
}

// Snapshot reads the state.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.now
	s.LastToken = time.Duration(p.lastToken.Load())
	s.TTFT, s.ITL = p.ttft.median(), p.itl.median()
	return s
}

func (p *Progress) sent(at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Sent++
	p.now.InFlight++
	if p.now.InFlight == 1 {
		p.now.Busy = at
	}
}

// token notes that output arrived.
func (p *Progress) token(at time.Duration) { p.lastToken.Store(int64(at)) }

func (p *Progress) ended(rec lab.RequestRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.InFlight--
	if p.now.InFlight == 0 {
		p.now.Busy = 0
	}
	if rec.OK() {
		p.now.OK++
	} else {
		p.now.Errors++
	}
	if n, ok := rec.Output(); ok {
		p.now.Tokens += n
	}
	if v, ok := rec.TTFT(); ok {
		p.ttft.add(v)
	}
	if v, ok := rec.TPOT(); ok {
		p.itl.add(v)
	}
}

// ring keeps the last values.
type ring struct {
	values [64]time.Duration
	n      int
}

func (r *ring) add(v time.Duration) {
	r.values[r.n%len(r.values)] = v
	r.n++
}

func (r *ring) median() time.Duration {
	kept := slices.Clone(r.values[:min(r.n, len(r.values))])
	if len(kept) == 0 {
		return 0
	}
	slices.Sort(kept)
	return kept[len(kept)/2]
}
