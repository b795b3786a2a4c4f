package correlate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"lab/internal/lab"
)

// ledger is where the energy of all GPUs went, as sums from the start of the run to each of at, between which everything
// grows evenly.
type ledger struct {
	at       []time.Duration
	known    []float64 // J whose moment is known
	held     []float64 // J whose moment is not known, spread evenly for want of better
	prefill  []float64 // of known: while requests waited for their first token, by their share of those in flight
	decode   []float64
	perToken []float64 // J per token in flight: a request takes its tokens' part of it
	counter  float64   // J that the counters gained in all
	span               // that all counters speak for

	integrated, matched float64 // J by instant power, and by the counters over the same stretches
	matchedFor          time.Duration
	resets              []string // findings' words
}

// The cross-check of the counters against instant power.
const (
	crossCheck    = 0.05            // counter and integrated power may differ by this share
	crossCheckFor = 5 * time.Second // over less, the edges of the counter decide
)

// account books the counters of all GPUs on the requests that were in flight.
func (v *view) account() *ledger {
	l := &ledger{span: span{0, math.MaxInt64}}
	var pieces []piece
	for _, gpu := range v.samples.gpus {
		c := readCounter(v.samples.of(gpu, lab.GPUEnergy), v.powerLimit(gpu))
		pieces = append(pieces, c.pieces...)
		l.counter += c.total
		if n := len(c.pieces); n > 0 {
			l.from, l.to = max(l.from, c.pieces[0].from), min(l.to, c.pieces[n-1].to)
		}
		for _, at := range c.resets {
			l.resets = append(l.resets, fmt.Sprintf("%s at %s", gpu, seconds(at)))
		}
		l.check(c.pieces, integrate(v.samples.of(gpu, lab.GPUPower)))
	}
	if len(pieces) == 0 {
		return nil
	}
	l.book(pieces, &v.flight)
	return l
}

// check adds up counter and trapezoid where both know.
func (l *ledger) check(pieces []piece, power trapezoid) {
	for _, p := range pieces {
		if joules, ok := power.over(p.span); ok && !p.withheld {
			l.integrated += joules
			l.matched += p.joules
			l.matchedFor += p.length()
		}
	}
}

// flow is a change of power at a moment.
type flow struct {
	at          time.Duration
	known, held float64 // W
}

// book spreads the pieces over their time and sums up who was in flight then. Energy of an instant, a stretch of no
// length, is booked over a nanosecond.
func (l *ledger) book(pieces []piece, f *flight) {
	flows := make([]flow, 0, 2*len(pieces)+len(f.at))
	for _, p := range pieces {
		p.to = max(p.to, p.from+1)
		watts := p.joules / p.length().Seconds()
		on, off := flow{at: p.from, known: watts}, flow{at: p.to, known: -watts}
		if p.withheld {
			on, off = flow{at: p.from, held: watts}, flow{at: p.to, held: -watts}
		}
		flows = append(flows, on, off)
	}
	for _, at := range f.at {
		flows = append(flows, flow{at: at})
	}
	slices.SortFunc(flows, func(a, b flow) int { return cmp.Compare(a.at, b.at) })
	var sum entry
	known, held, step := 0.0, 0.0, -1
	for i, c := range flows {
		if i > 0 {
			d := (c.at - flows[i-1].at).Seconds()
			sum.add(max(0, known)*d, max(0, held)*d, f, step)
		}
		if i == 0 || c.at > flows[i-1].at {
			l.write(c.at, sum)
		} else {
			l.overwrite(sum)
		}
		known, held = known+c.known, held+c.held
		for step+1 < len(f.at) && f.at[step+1] <= c.at {
			step++
		}
	}
}

// entry is one line of the ledger.
type entry struct{ known, held, prefill, decode, perToken float64 }

func (e *entry) add(known, held float64, f *flight, step int) {
	e.known += known
	e.held += held
	if step < 0 || f.n[step] == 0 {
		return
	}
	waiting := float64(f.waiting[step]) / float64(f.n[step])
	e.prefill += known * waiting
	e.decode += known * (1 - waiting)
	e.perToken += known / f.tokens[step]
}

func (l *ledger) write(at time.Duration, e entry) {
	l.at = append(l.at, at)
	l.known, l.held = append(l.known, e.known), append(l.held, e.held)
	l.prefill, l.decode = append(l.prefill, e.prefill), append(l.decode, e.decode)
	l.perToken = append(l.perToken, e.perToken)
}

func (l *ledger) overwrite(e entry) {
	i := len(l.at) - 1
	l.known[i], l.held[i], l.prefill[i], l.decode[i], l.perToken[i] = e.known, e.held, e.prefill, e.decode, e.perToken
}

// between is how much a column grew over a window.
func (l *ledger) between(column []float64, from, to time.Duration) float64 {
	return l.until(column, to) - l.until(column, from)
}

func (l *ledger) until(column []float64, at time.Duration) float64 {
	i, found := slices.BinarySearch(l.at, at)
	switch {
	case found:
		return column[i]
	case i == 0:
		return 0
	case i == len(l.at):
		return column[i-1]
	}
	part := (at - l.at[i-1]).Seconds() / (l.at[i] - l.at[i-1]).Seconds()
	return column[i-1] + part*(column[i]-column[i-1])
}

// energy of the whole sampled time.
func (v *view) energy(l *ledger) *Energy {
	last := len(l.at) - 1
	e := &Energy{Counter: l.counter, Integrated: l.integrated, Matched: l.matched, Withheld: l.held[last]}
	e.Requests = l.prefill[last] + l.decode[last]
	e.Idle = l.known[last] - e.Requests
	e.IdlePowerW = v.idlePower()
	var each []float64
	for _, q := range v.requests {
		if joules, ok := l.of(q); ok && q.OK() && q.Phase != lab.Warmup {
			each = append(each, joules)
		}
	}
	if len(each) > 0 {
		slices.Sort(each)
		e.PerRequest = &Spread{P10: rank(each, 0.1), P50: rank(each, 0.5), P90: rank(each, 0.9), N: len(each)}
	}
	return e
}

// of is a request's own energy: its tokens' part of what was drawn while it was in flight. It is withheld where more
// than a twentieth of its time has energy of unknown moment, or none.
func (l *ledger) of(q *lab.RequestRecord) (float64, bool) {
	from, to := q.Sent, ended(q)
	if from < l.from || to > l.to || len(q.Chunks) == 0 {
		return 0, false
	}
	known, held := l.between(l.known, from, to), l.between(l.held, from, to)
	if known <= 0 || held > 0.05*(known+held) {
		return 0, false
	}
	prefill, decode := weight(q)
	return prefill*l.between(l.perToken, from, first(q)) + decode*l.between(l.perToken, first(q), to), true
}

// idlePower is the power of all GPUs while the server was ready and nothing was in flight for half a second already: the
// sum of each GPU's median reading; 0: not known.
func (v *view) idlePower() float64 {
	const settle, few = 500 * time.Millisecond, 5
	whole := span{0, v.end()}
	for _, e := range v.tables.Events {
		if e.Kind == lab.ServerReady {
			whole.from = e.At
		}
		if e.Kind == lab.ServerStop || e.Kind == lab.ServerExit {
			whole.to = min(whole.to, e.At)
		}
	}
	sum := 0.0
	for _, gpu := range v.samples.gpus {
		var watts []float64
		s := v.samples.of(gpu, lab.GPUPower)
		for _, quiet := range v.flight.idle(whole) {
			if s == nil || quiet.length() < settle {
				continue
			}
			i, j := s.within(quiet.from+settle, quiet.to)
			watts = append(watts, s.v[i:max(i, j)]...)
		}
		if len(watts) < few {
			return 0
		}
		sum += median(watts)
	}
	return sum
}

// end is the last moment of which anything is known.
func (v *view) end() time.Duration {
	last := v.run.Ended
	for _, k := range v.samples.keys {
		s := v.samples.all[k]
		last = max(last, s.at[len(s.at)-1])
	}
	if n := len(v.flight.at); n > 0 {
		last = max(last, v.flight.at[n-1])
	}
	return last
}

// phaseEnergy is the energy of one phase, against the tokens that arrived in it.
func (v *view) phaseEnergy(l *ledger, w window, idle float64) *PhaseEnergy {
	e := &PhaseEnergy{
		Joules:  l.between(l.known, w.from, w.to) + l.between(l.held, w.from, w.to),
		Prefill: l.between(l.prefill, w.from, w.to), Decode: l.between(l.decode, w.from, w.to),
		Withheld: l.between(l.held, w.from, w.to),
	}
	// The last edge of a counter may lie a renewal before the end.
	slack := min(time.Second, w.length()/50)
	if w.from < l.from-slack || w.to > l.to+slack || e.Joules <= 0 {
		return nil
	}
	e.Idle = math.Max(0, e.Joules-e.Withheld-e.Prefill-e.Decode)
	in, out, done := v.arrived(w)
	e.N = out
	if out > 0 {
		e.PerOutputToken = e.Joules / float64(out)
		if idle > 0 {
			e.AboveIdlePerToken = (e.Joules - idle*w.length().Seconds()) / float64(out)
		}
	}
	if in+out > 0 {
		e.PerToken = e.Joules / float64(in+out)
	}
	if done > 0 {
		e.PerRequest = e.Joules / float64(done)
	}
	sum := 0.0
	for _, gpu := range v.samples.gpus {
		joules, ok := integrate(v.samples.of(gpu, lab.GPUPower)).over(w.span)
		if !ok {
			return e
		}
		sum += joules
	}
	e.Integrated = sum
	return e
}

// arrived counts the tokens of a phase and its successes: prompts whose first token arrived, and output tokens. Where
// chunks carry no count, an answer's tokens are taken as even over its chunks.
func (v *view) arrived(w window) (in, out, done int) {
	for _, i := range w.requests {
		q := v.requests[i]
		if len(q.Chunks) == 0 {
			continue
		}
		in += input(q)
		if n, ok := q.Output(); ok {
			out += n
		} else {
			out += len(q.Chunks)
		}
		if q.OK() {
			done++
		}
	}
	return in, out, done
}
