package correlate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lab/internal/lab"
)

// suspect is a possible cause of a stall. fit says how well its extent matches the stall's, 0 to 1.
type suspect struct {
	cause    string
	fit      float64
	evidence string

	// What is counted once a second can explain only so much: stalls draw on the pool that its reading is.
	pool             string
	has, needs, wish float64
}

const leastFit = 0.3 // below it nobody is blamed

// clues are all that may explain a stall, made ready.
type clues struct {
	v      *view
	firsts []arrival     // by the moment of the first token
	cost   float64       // s of a step for each prompt token in it; 0: not known
	clocks []clockSeries // by GPU
	lost   []span        // without a GPU
}

// arrival is a request's prefill seen from outside.
type arrival struct {
	sent, first time.Duration
	tokens      int
}

// clockSeries is the SM clock of a GPU and the level it has under load.
type clockSeries struct {
	gpu   string
	s     *series
	level float64
}

func (v *view) clues() *clues {
	c := &clues{v: v}
	for _, q := range v.requests {
		if len(q.Chunks) == 0 {
			continue
		}
		tokens := input(q)
		if q.Usage != nil {
			tokens -= q.Usage.Cached
		}
		c.firsts = append(c.firsts, arrival{q.Sent, first(q), max(0, tokens)})
	}
	slices.SortFunc(c.firsts, func(a, b arrival) int { return int(a.first - b.first) })
	for _, gpu := range v.samples.gpus {
		if level := v.levels[gpu]; level > 0 {
			c.clocks = append(c.clocks, clockSeries{gpu, v.samples.of(gpu, lab.GPUSMClock), level})
		}
	}
	c.lost = v.lostGPU()
	return c
}

// lostGPU are the stretches from a loss to the return, or to the end.
func (v *view) lostGPU() []span {
	var all []span
	for _, e := range v.tables.Events {
		switch {
		case e.Kind == lab.GPULost:
			all = append(all, span{e.At, v.end()})
		case e.Kind == lab.GPUBack && len(all) > 0:
			all[len(all)-1].to = min(all[len(all)-1].to, e.At)
		}
	}
	return all
}

// learn how long a step takes for each prompt token in it, from the usual steps: median over gaps in which a first token
// arrived of (gap - usual gap) / prompt tokens. Where that is not to be seen, the fastest tenth of the first tokens say it.
func (c *clues) learn(w window, u usual) {
	const looked, few = 200_000, 10
	stride := u.gaps/looked + 1
	var costs, times []float64
	for k := 0; k < len(w.requests); k++ {
		q := c.v.requests[w.requests[k]]
		if ttft := first(q) - q.Sent; len(q.Chunks) > 0 && input(q) > 0 {
			usual, _ := u.at(first(q))
			times = append(times, max(0, (ttft-usual*3/2).Seconds())/float64(input(q)))
		}
		if k%stride != 0 {
			continue
		}
		for j := 1; j < len(q.Chunks); j++ {
			from, to := q.Chunks[j-1].At, q.Chunks[j].At
			usual, _ := u.at(from)
			if n, _ := c.prompts(from, to, usual, to); n > 0 {
				costs = append(costs, max(0, (to-from-usual).Seconds())/float64(n))
			}
		}
	}
	switch {
	case len(costs) >= few:
		c.cost = median(costs)
	case len(times) > 0:
		slices.Sort(times)
		c.cost = rank(times, 0.1)
	}
}

// prompts counts the prompt tokens, and the requests, whose first token came with the end of a gap and that had been sent
// before a moment.
func (c *clues) prompts(from, to, usual, sentBefore time.Duration) (tokens, requests int) {
	tolerance := max(usual/4, time.Millisecond)
	i, _ := slices.BinarySearchFunc(c.firsts, from+tolerance, func(a arrival, at time.Duration) int { return int(a.first - at) })
	for ; i < len(c.firsts) && c.firsts[i].first <= to+tolerance; i++ {
		if c.firsts[i].sent <= sentBefore {
			tokens += c.firsts[i].tokens
			requests++
		}
	}
	return tokens, requests
}

// suspects of a stall, the best first.
func (c *clues) suspects(s *standing) (all []suspect) {
	for _, one := range []func(*standing) suspect{
		c.client, c.preemption, c.ownPrefill, c.foreignPrefill, c.clock, c.gpuLost, c.steal, c.pressure,
	} {
		if got := one(s); got.fit >= leastFit {
			all = append(all, got)
		}
	}
	slices.SortStableFunc(all, func(a, b suspect) int { return cmp.Compare(b.fit, a.fit) })
	return all
}

// blame gives every stall the suspect whose extent fits best and that has enough left: the best fits draw first. A stall
// within one that drew already draws nothing, for it is the same one seen by other streams.
func (c *clues) blame(all []*standing) {
	type claim struct {
		s        *standing
		suspects []suspect
	}
	var claims []claim
	for _, s := range all {
		s.suspect = suspect{cause: Unattributed}
		if suspects := c.suspects(s); len(suspects) > 0 {
			claims = append(claims, claim{s, suspects})
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(b.suspects[0].fit, a.suspects[0].fit) })
	drawn, at := map[string]float64{}, map[string][]span{}
	for _, one := range claims {
		for _, suspect := range one.suspects {
			within := slices.ContainsFunc(at[suspect.pool], func(p span) bool { return 10*p.overlap(one.s.span) >= 8*one.s.length() })
			left := suspect.has - drawn[suspect.pool]
			if suspect.pool != "" && !within && left < suspect.needs {
				continue
			}
			if suspect.pool != "" && !within {
				drawn[suspect.pool] += min(left, suspect.wish)
				at[suspect.pool] = append(at[suspect.pool], one.s.span)
			}
			one.s.suspect = suspect
			break
		}
	}
	c.recomputed(all)
}

// preemption: the engine's counter moved around the start of the stall, by as many as stood still. The counter is read
// once a second, so that it alone proves little: a stall of more streams than were preempted has another cause.
func (c *clues) preemption(s *standing) suspect {
	counter := c.v.samples.of("engine", lab.EnginePreempt)
	n, from, to, ok := counter.step(s.from + s.usual/2)
	if edge := 50 * time.Millisecond; ok && n == 0 && to-s.from < edge { // the scrape was under way
		n, from, to, ok = counter.step(to + edge)
	}
	if !ok || n <= 0 || float64(len(s.each)) > 1.5*n+1 {
		return suspect{}
	}
	fit := 0.85
	if float64(len(s.each)) > n {
		fit = 0.6
	}
	return suspect{
		cause: CausePreemption, fit: fit, evidence: fmt.Sprintf("the engine preempted %.0f between %s and %s; %d of %d streams stood still", n, seconds(from), seconds(to), len(s.each), s.decode),
		pool: "preempted " + to.String(), has: 1.5*n + 1, needs: float64(len(s.each)), wish: float64(len(s.each)),
	}
}

// recomputed: what was preempted is computed again, in steps that hold up the others too. So a stall that nothing else
// explains, within one that a preemption made or at its end, is the preemption's.
func (c *clues) recomputed(all []*standing) {
	for _, s := range all {
		if s.suspect.cause != Unattributed {
			continue
		}
		for _, p := range all {
			wide := span{p.from, p.to + 2*p.usual}
			if p.suspect.cause == CausePreemption && p.suspect.fit > 0.5 && 2*wide.overlap(s.span) >= s.length() && p != s {
				s.suspect = suspect{cause: CausePreemption, fit: leastFit, evidence: "requests preempted at " + seconds(p.from) + " were computed again"}
				break
			}
		}
	}
}

// explained is how much of so many lost seconds so many prompt tokens make, 0 to 1. Below a half it is nothing.
func (c *clues) explained(lost, tokens float64) float64 {
	if part := c.cost * tokens / lost; part >= 0.5 {
		return min(1, part)
	}
	return 0
}

// ownPrefill: first tokens of lab's own requests came with the ends of the slow gaps. Requests that were sent while a gap
// went on did not make it.
func (c *clues) ownPrefill(s *standing) suspect {
	tokens, n := c.computed(s)
	part := c.explained(s.lost.Seconds(), float64(tokens))
	if part == 0 {
		return suspect{}
	}
	return suspect{cause: CausePrefill, fit: 0.8 * part, evidence: fmt.Sprintf("%d requests with %d prompt tokens had their first token with it, some %.0f ms of computing", n, tokens, c.cost*float64(tokens)*1e3)}
}

// computed are the prompt tokens of own requests in the slow gaps of the stream that lost most, and the requests.
func (c *clues) computed(s *standing) (tokens, requests int) {
	worst := s.each[0]
	for _, e := range s.each {
		if e.lost > worst.lost {
			worst = e
		}
	}
	chunks := c.v.requests[worst.stream].Chunks
	j, _ := slices.BinarySearchFunc(chunks, worst.from, func(k lab.Chunk, at time.Duration) int { return int(k.At - at) })
	for j++; j < len(chunks) && chunks[j].At <= worst.to; j++ {
		from, to := chunks[j-1].At, chunks[j].At
		n, r := c.prompts(from, to, s.usual, from+(to-from)/4)
		tokens, requests = tokens+n, requests+r
	}
	return tokens, requests
}

// foreignPrefill: the engine counted more prompt tokens around the stall than lab's own requests have.
func (c *clues) foreignPrefill(s *standing) suspect {
	counter := c.v.samples.of("engine", lab.EnginePrompt)
	if counter == nil {
		return suspect{}
	}
	i, j := counter.before(s.from), counter.before(s.to+s.usual)+1
	if i < 0 || j >= len(counter.at) {
		return suspect{}
	}
	// Requests near the readings may be in either; they count as own.
	edge := max(30*time.Millisecond, 2*s.usual)
	own := 0.0
	k, _ := slices.BinarySearchFunc(c.firsts, counter.at[i]-edge, func(a arrival, at time.Duration) int { return int(a.first - at) })
	for ; k < len(c.firsts) && c.firsts[k].first <= counter.at[j]+edge; k++ {
		own += float64(c.firsts[k].tokens)
	}
	foreign := counter.v[j] - counter.v[i] - own
	mine, _ := c.computed(s)
	rest := max(s.lost.Seconds()/5, s.lost.Seconds()-c.cost*float64(mine)) // that own prompts do not explain
	part := c.explained(rest, foreign)
	if part == 0 {
		return suspect{}
	}
	wish := rest / c.cost
	return suspect{
		cause: CausePrefill, fit: 0.7 * min(part, max(0.5, wish/foreign)),
		evidence: fmt.Sprintf("the engine took in %.0f prompt tokens of others between %s and %s, some %.0f ms of computing", foreign, seconds(counter.at[i]), seconds(counter.at[j]), c.cost*foreign*1e3),
		pool:     "prompts " + counter.at[j].String(), has: foreign, needs: wish / 2, wish: wish,
	}
}

// clock: the SM clock was below its level for most of the stall, and by as much as the steps were longer. A step is at most
// inversely proportional to the clock; what slowed down more has another cause.
func (c *clues) clock(s *standing) suspect {
	best := suspect{}
	for _, k := range c.clocks {
		low, share, ok := k.low(s.span)
		if !ok || share > 0.95 {
			continue
		}
		slack := k.s.period
		wide := span{low.from - slack, low.to + slack}
		if 2*wide.overlap(s.span) < s.length() || s.pace*share > 1.6 {
			continue
		}
		if fit := 0.9 * min(1, s.pace*share); fit > best.fit {
			cause, why := c.reason(k.gpu, low)
			best = suspect{cause: cause, fit: fit, evidence: fmt.Sprintf("%s: the SM clock fell to %.0f %% of its level of %.0f MHz from %s to %s%s; steps took %.1f times as long", k.gpu, 100*share, k.level, seconds(low.from), seconds(low.to), why, s.pace)}
		}
	}
	return best
}

// low is the stretch of readings below the level that touches a stall, and the lowest share of the level in it.
func (k clockSeries) low(s span) (low span, share float64, ok bool) {
	i, j := k.s.within(s.from-k.s.period, s.to+k.s.period)
	share = 1
	at := -1
	for ; i < j; i++ {
		if v := k.s.v[i] / k.level; v < share {
			share, at = v, i
		}
	}
	if at < 0 {
		return low, 1, false
	}
	a, b := at, at
	for a > 0 && k.s.v[a-1] < 0.97*k.level {
		a--
	}
	for b+1 < len(k.s.v) && k.s.v[b+1] < 0.97*k.level {
		b++
	}
	return span{k.s.at[a], k.s.at[b]}, share, true
}

// NVML's clocks event reasons.
const (
	bitPowerCap = 0x04
	bitsThermal = 0x20 | 0x40
	bitsBrake   = 0x80
	bitSlowdown = 0x08 // by hardware, for one of the two reasons above
)

// reason names what held a clock down: a counter of throttled time that grew for a third of the stretch, or a bit.
func (c *clues) reason(gpu string, low span) (cause, why string) {
	of := func(name string) *series { return c.v.samples.of(gpu, name) }
	wide := span{low.from - 300*time.Millisecond, low.to + 300*time.Millisecond}
	held := func(names ...string) bool {
		sum := 0.0
		for _, name := range names {
			rise, _ := of(name).rise(wide.from, wide.to)
			sum += rise
		}
		return sum > max(0.05, low.length().Seconds()/3)
	}
	bits := 0
	if s := of(lab.GPUThrottle); s != nil {
		i, j := s.within(low.from-s.period/2, low.to+s.period/2)
		for ; i < j; i++ {
			bits |= int(s.v[i])
		}
	}
	switch {
	case bits&bitsThermal != 0 || held(lab.GPUThrottleThermal, lab.GPUThrottleHWThermal):
		return CauseThermal, ", too hot"
	case bits&bitsBrake != 0 || held(lab.GPUThrottleBrake):
		return CauseClock, ", power brake"
	case bits&bitPowerCap != 0 || held(lab.GPUThrottlePower):
		return CausePowerCap, ", at the power limit"
	}
	return CauseClock, ""
}

func (c *clues) gpuLost(s *standing) suspect {
	for _, gone := range c.lost {
		common := gone.overlap(s.span)
		if 3*common >= max(gone.to, s.to)-min(gone.from, s.from) {
			return suspect{cause: CauseGPULost, fit: 0.7, evidence: "the GPU did not answer from " + seconds(gone.from) + " to " + seconds(gone.to)}
		}
	}
	return suspect{}
}
