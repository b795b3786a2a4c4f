package sim

import "time"

// sequence is one row of the batch: a prompt and the tokens that are made for it.
type sequence struct {
	prompt    []int32
	want      int // tokens to generate
	cached    int // prompt tokens found in the prefix cache
	filled    int // tokens whose KV is computed
	made      int // tokens generated
	held      int // KV tokens reserved, whole blocks
	preempted int
	counted   bool // its prompt is in the counters
	gone      bool // nobody waits for it any more
	timing
	box    *outbox // where its tokens go; nil in tests of the engine alone
	row    int     // which row of the request it is
	finish string  // why it ends at want: length or stop
}

// timing is when things happened to a sequence, on the loop's clock.
type timing struct{ arrived, admitted, first, last time.Time }

// context is how many tokens must be computed before the next one can be made: after a preemption the made ones again.
func (s *sequence) context() int { return len(s.prompt) + s.made }

// engine is continuous batching as vLLM does it: a FIFO queue, a set of running sequences, a budget of tokens a step,
// KV blocks that grow with each token, and preemption by recomputation when they run out. It knows no clock: step says
// how long a step takes.
type engine struct {
	physics Physics
	noise   noise
	cache   prefixCache
	waiting []*sequence
	running []*sequence
	kv      int  // tokens reserved
	full    bool // others hold what is left of the KV cache: nobody is let in
	now     time.Duration

	counters
}

// counters are what /metrics shows.
type counters struct {
	steps, prompt, generated, preempted, hits, queries int
}

// stepResult is what one step did.
type stepResult struct {
	took            time.Duration
	decode, prefill int         // sequences decoding, prompt tokens computed
	prefills        int         // sequences whose prompt is computed
	admitted        []*sequence // left the queue
	made            []*sequence // generated a token
	done            []*sequence // generated their last
}

// maxPrefills is how many prompts share one step.
const maxPrefills = 8

func newEngine(p Physics) *engine {
	return &engine{physics: p, noise: newNoise(p), cache: newPrefixCache(p)}
}

func (e *engine) add(s *sequence) { e.waiting = append(e.waiting, s) }

func (e *engine) busy() bool { return len(e.waiting)+len(e.running) > 0 }

// plan is the batch of one step under construction.
type plan struct {
	stepResult
	budget int
	parts  map[*sequence]int // tokens computed in this step
}

func (p *plan) take(s *sequence, tokens int) {
	p.parts[s] = tokens
	p.prefill += tokens
	p.prefills++
	p.budget -= tokens
}

// step runs one step: it composes the batch, takes the time that the formula says, and makes tokens.
func (e *engine) step() stepResult {
	e.dropGone()
	e.reserve()
	p := &plan{budget: e.physics.BatchTokens, parts: map[*sequence]int{}}
	for _, s := range e.running {
		if s.made > 0 && s.context()-s.filled == 1 {
			p.parts[s] = 1
			p.decode++
			p.budget--
		}
	}
	for _, s := range e.running {
		if p.parts[s] == 0 && p.budget > 0 && p.prefills < maxPrefills {
			p.take(s, min(s.context()-s.filled, p.budget))
		}
	}
	e.admit(p)
	p.took = e.noise.duration(e.physics, e.now, p.decode, p.prefill, e.kv)
	e.now += p.took
	e.finish(p)
	e.steps++
	return p.stepResult
}

func (e *engine) dropGone() {
	keep := func(all []*sequence) []*sequence {
		var left []*sequence
		for _, s := range all {
			if s.gone {
				e.release(s)
				continue
			}
			left = append(left, s)
		}
		return left
	}
	e.waiting, e.running = keep(e.waiting), keep(e.running)
}

// usage is the share of the KV cache that is taken.
func (e *engine) usage() float64 {
	if e.full {
		return 1
	}
	return float64(e.kv) / float64(e.physics.KVTokens)
}

// blocksFor rounds up to whole blocks.
func (e *engine) blocksFor(tokens int) int {
	block := e.physics.BlockTokens
	return (tokens + block - 1) / block * block
}

// reserve gives every running sequence the block that its next token needs. When there is none left, the newest
// sequences go back to the head of the queue and lose what they had computed.
func (e *engine) reserve() {
	for i := 0; i < len(e.running); i++ {
		s := e.running[i]
		need := e.blocksFor(s.context() + 1)
		for need > s.held && e.kv+need-s.held > e.physics.KVTokens && len(e.running) > 1 {
			last := e.running[len(e.running)-1]
			e.running = e.running[:len(e.running)-1]
			e.preempt(last)
			if last == s {
				return
			}
		}
		if need > s.held {
			e.kv += need - s.held
			s.held = need
		}
	}
}

func (e *engine) preempt(s *sequence) {
	e.release(s)
	s.filled = 0
	s.preempted++
	e.preempted++
	e.waiting = append([]*sequence{s}, e.waiting...)
}

// admit takes waiting requests in order while there is a place, budget and KV room; the first that does not fit holds
// up those behind it.
func (e *engine) admit(p *plan) {
	for !e.full && len(e.waiting) > 0 && len(e.running) < e.physics.MaxSeqs && p.budget > 0 && p.prefills < maxPrefills {
		s := e.waiting[0]
		need := e.blocksFor(s.context() + 1)
		if e.kv+need > e.physics.KVTokens && len(e.running) > 0 {
			return
		}
		hit := 0
		if e.physics.PrefixCache {
			hit = e.cache.find(s.prompt, e.physics.WarmCache)
		}
		part := s.context() - hit
		switch {
		case e.physics.Chunked:
			part = min(part, p.budget)
		case part > p.budget && p.prefill+p.decode > 0:
			return // without chunked prefill a prompt is computed whole or not at all
		}
		if e.physics.PrefixCache && s.preempted == 0 {
			e.queries += len(s.prompt)
			e.hits += hit
			s.cached = hit
		}
		s.filled = hit
		e.waiting = e.waiting[1:]
		e.running = append(e.running, s)
		e.kv += need
		s.held = need
		p.take(s, part)
		p.admitted = append(p.admitted, s)
	}
}

// finish ends the step: sequences whose context is complete make a token, those with all their tokens leave.
func (e *engine) finish(p *plan) {
	var left []*sequence
	for _, s := range e.running {
		s.filled += p.parts[s]
		if p.parts[s] == 0 || s.filled < s.context() {
			left = append(left, s)
			continue
		}
		if !s.counted {
			s.counted = true
			e.prompt += len(s.prompt)
			if e.physics.PrefixCache {
				e.cache.add(s.prompt)
			}
		}
		s.made++
		e.generated++
		p.made = append(p.made, s)
		if s.made < s.want {
			left = append(left, s)
			continue
		}
		e.release(s)
		p.done = append(p.done, s)
	}
	e.running = left
}

func (e *engine) release(s *sequence) {
	e.kv -= s.held
	s.held = 0
}
