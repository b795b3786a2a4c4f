package correlate

import (
	"fmt"
	"slices"
	"time"

	"lab/internal/lab"
)

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

// preemption: the engine's counter moved around the start of the stall, by as many as stood still. The counter is read
// once a second, so that it alone proves little: a stall of more streams than were preempted has another cause.
func (c *clues) preemption(s *standing) suspect {
	counter := c.v.samples.of("engine", lab.EnginePreempt)
	n, from, to, ok := counter.step(s.from + s.usual/2)
	if edge := 50 * time.Millisecond; ok && n == 0 && to-s.from < edge { // the scrape was under way
		n, from, to, ok = counter.step(to + edge)
	}
	if !ok || n <= 0 || float64(len(s.each)) > 1.5*n+1 { // one that was preempted holds up a neighbour now and then
		return suspect{}
	}
	fit, stood := 0.85, float64(len(s.each))
	switch {
	case stood > n:
		fit = 0.6
	case len(s.each) >= s.decode: // nobody went on
		fit = 0.75
	}
	return suspect{
		cause: CausePreemption, fit: fit, evidence: fmt.Sprintf("the engine preempted %.0f between %s and %s; %d of %d streams stood still", n, seconds(from), seconds(to), len(s.each), s.decode),
		pools: []pool{{"preempted " + to.String(), n}}, needs: min(stood, n), wish: stood,
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
	var pools []pool
	foreign := 0.0
	for k := i; k < j; k++ {
		if n := c.foreign(counter, k, s.usual); n > 0 {
			pools = append(pools, pool{"prompts " + counter.at[k].String(), n})
			foreign += n
		}
	}
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
		pools:    pools, needs: wish / 2, wish: wish,
	}
}

// foreign are the prompt tokens that the engine counted from one reading to the next beyond those of own requests. Own
// ones near a reading may be on either side of it; they count as in it.
func (c *clues) foreign(counter *series, k int, usual time.Duration) float64 {
	edge := max(30*time.Millisecond, 2*usual)
	own := 0.0
	at, _ := slices.BinarySearchFunc(c.firsts, counter.at[k]-edge, func(a arrival, at time.Duration) int { return int(a.first - at) })
	for ; at < len(c.firsts) && c.firsts[at].first <= counter.at[k+1]+edge; at++ {
		own += float64(c.firsts[at].tokens)
	}
	return counter.v[k+1] - counter.v[k] - own
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
