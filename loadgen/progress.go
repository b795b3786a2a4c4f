package loadgen

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// Progress is what the live view and the hang watch see of a load while it runs. The zero value is ready.
//
// Requests are counted under a lock, twice each. A chunk takes none and allocates nothing: a few counters are added to.
type Progress struct {
	mu  sync.Mutex
	now Snapshot

	lastToken       atomic.Int64
	tokens          atomic.Int64
	ttft, itl, e2el histogram
}

// Snapshot is the state at one moment, counted since the first request of the run.
type Snapshot struct {
	Sent, OK, Errors, InFlight, Tokens int

	Failed    map[string]int // errors by class; nil: none
	LastError string         // what the last of them was, but for those that lab itself ended

	Busy      time.Duration // since when something is in flight without a break; 0: nothing is
	LastToken time.Duration // when output last arrived
}

// Latencies are those of the run so far: TTFT and ITL of every chunk as it came, E2EL of the requests that succeeded.
type Latencies struct{ TTFT, ITL, E2EL lab.Histogram }

// Snapshot reads the state.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.now
	s.Failed = maps.Clone(s.Failed)
	s.LastToken = time.Duration(p.lastToken.Load())
	s.Tokens = int(p.tokens.Load())
	return s
}

// Latencies reads them.
func (p *Progress) Latencies() *Latencies {
	l := &Latencies{}
	p.ttft.read(&l.TTFT)
	p.itl.read(&l.ITL)
	p.e2el.read(&l.E2EL)
	return l
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

// token notes the chunk that has just come, the last one in the record. A chunk of several tokens counts as several, as it
// does in the figures.
func (p *Progress) token(rec *lab.RequestRecord) {
	last := len(rec.Chunks) - 1
	chunk := rec.Chunks[last]
	p.lastToken.Store(int64(chunk.At))
	if chunk.Tokens > 0 {
		p.tokens.Add(int64(chunk.Tokens))
	}
	if last == 0 {
		p.ttft.add(chunk.At-rec.Origin(), 1)
		return
	}
	n := max(1, chunk.Tokens)
	p.itl.add((chunk.At-rec.Chunks[last-1].At)/time.Duration(n), n)
}

func (p *Progress) ended(rec lab.RequestRecord) {
	if n, ok := rec.Output(); ok { // a server may count only in the end
		for _, c := range rec.Chunks {
			n -= c.Tokens
		}
		p.tokens.Add(int64(n))
	}
	if v, ok := rec.E2EL(); ok && rec.OK() {
		p.e2el.add(v, 1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.InFlight--
	if p.now.InFlight == 0 {
		p.now.Busy = 0
	}
	if rec.OK() {
		p.now.OK++
		return
	}
	p.now.Errors++
	if p.now.Failed == nil {
		p.now.Failed = map[string]int{}
	}
	p.now.Failed[rec.Error]++
	if rec.Error != lab.ErrCanceled {
		p.now.LastError = rec.Detail
	}
}

// histogram is a lab.Histogram that many goroutines count in at once.
type histogram [lab.HistogramClasses]atomic.Uint64

func (h *histogram) add(d time.Duration, n int) { h[lab.HistogramClass(d)].Add(uint64(n)) }

func (h *histogram) read(into *lab.Histogram) {
	for i := range h {
		into[i] = h[i].Load()
	}
}
