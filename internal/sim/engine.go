package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Physics are the constants of the simulated engine. The defaults and the step formula are those of a small model on one
// large GPU: a fixed cost, a cost per decoding sequence, per prefill token and per token held in the KV cache.
type Physics struct {
	Step    time.Duration // of an empty step
	Decode  time.Duration // per decoding sequence
	Prefill time.Duration // per prefill token
	KV      time.Duration // per 1000 tokens held in the KV cache
	Noise   float64       // sd of the log of a step's time
	Start   float64       // sd of the log of an effect that a process keeps for life
	Speed   float64       // factor on all step times: 1.1 is 10 % slower

	MaxSeqs     int // sequences running at once
	BatchTokens int // tokens of one step
	KVTokens    int // tokens the KV cache holds
	Chunked     bool
	PrefixCache bool
	WarmCache   bool // every prompt is found in the prefix cache
	Seed        uint64
}

func defaultPhysics() Physics {
	return Physics{
		Step: 6 * time.Millisecond, Decode: 20 * time.Microsecond, Prefill: 20 * time.Microsecond, KV: 5 * time.Microsecond,
		Noise: 0.03, Start: 0.01, Speed: 1,
		MaxSeqs: 256, BatchTokens: 2048, KVTokens: 200_000, Chunked: true, PrefixCache: true,
	}
}

// blockTokens is the size of a KV block; vLLM's default.
const blockTokens = 16

// sequence is one request inside the engine.
type sequence struct {
	prompt  []int32
	want    int // tokens to generate
	cached  int // prompt tokens found in the prefix cache
	filled  int // tokens whose KV is computed
	made    int // tokens generated
	held    int // KV tokens reserved, whole blocks
	arrived time.Duration
	emit    func(step stepResult, made int) // called at the end of a step that made a token; must not block
	gone    bool                            // the client left
}

// context is how many tokens must be computed before the next one can be made: after a preemption the made ones again.
func (s *sequence) context() int { return len(s.prompt) + s.made }

// engine is continuous batching as vLLM does it: a FIFO queue, a set of running sequences, a budget of tokens a step,
// KV blocks that grow with each token, and preemption by recomputation when they run out. It knows no clock: step says
// how long a step takes.
type engine struct {
	physics Physics
	random  *rand.Rand
	start   float64 // log effect of this process
	waiting []*sequence
	running []*sequence
	kv      int             // tokens reserved
	blocks  map[uint64]bool // hashes of full prompt blocks that the cache has seen
	now     time.Duration

	counters
}

// counters are what /metrics shows.
type counters struct {
	steps, prompt, generated, preempted, hits, queries, finished int
}

// stepResult is what one step did.
type stepResult struct {
	took            time.Duration
	decode, prefill int // sequences decoding, prompt tokens computed
	tokens          int // tokens generated
}

func newEngine(p Physics) *engine {
	random := rand.New(rand.NewPCG(p.Seed, p.Seed*0x9E3779B97F4A7C15+1))
	return &engine{physics: p, random: random, start: p.Start * random.NormFloat64(), blocks: map[uint64]bool{}}
}

func (e *engine) add(s *sequence) { e.waiting = append(e.waiting, s) }

func (e *engine) busy() bool { return len(e.waiting)+len(e.running) > 0 }

// step runs one step: it composes the batch, takes the time that the formula says, and makes tokens.
func (e *engine) step() stepResult {
	e.dropGone()
	e.reserve()
	var r stepResult
	budget := e.physics.BatchTokens
	parts := map[*sequence]int{} // tokens computed in this step
	for _, s := range e.running {
		if left := s.context() - s.filled; left == 1 && s.made > 0 {
			parts[s] = 1
			r.decode++
			budget--
		}
	}
	for _, s := range e.running {
		if parts[s] == 0 && budget > 0 {
			parts[s] = min(s.context()-s.filled, budget)
			r.prefill += parts[s]
			budget -= parts[s]
		}
	}
	e.admit(&budget, parts, &r)
	r.took = e.duration(r)
	e.now += r.took
	e.finish(parts, &r)
	e.steps++
	return r
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

func blocksFor(tokens int) int { return (tokens + blockTokens - 1) / blockTokens * blockTokens }

// reserve gives every running sequence the block that its next token needs. When there is none left, the newest
// sequences go back to the head of the queue and lose what they had computed.
func (e *engine) reserve() {
	for i := 0; i < len(e.running); i++ {
		s := e.running[i]
		need := blocksFor(s.context() + 1)
		for need > s.held && e.kv+need-s.held > e.physics.KVTokens && len(e.running) > 1 {
			last := e.running[len(e.running)-1]
			e.running = e.running[:len(e.running)-1]
			e.release(last)
			last.filled = 0
			e.waiting = append([]*sequence{last}, e.waiting...)
			e.preempted++
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

// admit takes waiting requests in order while there is a place, budget and KV room; the first that does not fit holds
// up those behind it.
func (e *engine) admit(budget *int, parts map[*sequence]int, r *stepResult) {
	for len(e.waiting) > 0 && len(e.running) < e.physics.MaxSeqs && *budget > 0 {
		s := e.waiting[0]
		need := blocksFor(s.context() + 1)
		if e.kv+need > e.physics.KVTokens && len(e.running) > 0 {
			return
		}
		if s.filled == 0 {
			s.cached = e.lookUp(s.prompt)
			s.filled = s.cached
		}
		rest := s.context() - s.filled
		if !e.physics.Chunked && rest > *budget && r.prefill+r.decode > 0 {
			return // without chunked prefill a prompt is computed whole or not at all
		}
		e.waiting = e.waiting[1:]
		e.running = append(e.running, s)
		e.kv += need
		s.held = need
		part := rest
		if e.physics.Chunked {
			part = min(rest, *budget)
		}
		parts[s] = part
		r.prefill += part
		*budget -= part
	}
}

// lookUp counts the prompt tokens whose blocks were computed before, and remembers the prompt's blocks.
func (e *engine) lookUp(prompt []int32) int {
	if !e.physics.PrefixCache {
		return 0
	}
	e.queries += len(prompt)
	hit, chain, hash := 0, true, uint64(14695981039346656037)
	for i, id := range prompt {
		hash = (hash ^ uint64(uint32(id))) * 1099511628211
		if (i+1)%blockTokens != 0 {
			continue
		}
		if chain && (e.blocks[hash] || e.physics.WarmCache) && i+1 < len(prompt) { // the last token is always computed
			hit = i + 1
		} else {
			chain = false
		}
		e.blocks[hash] = true
	}
	e.hits += hit
	return hit
}

func (e *engine) duration(r stepResult) time.Duration {
	p := e.physics
	base := p.Step + time.Duration(r.decode)*p.Decode + time.Duration(r.prefill)*p.Prefill + time.Duration(e.kv)*p.KV/1000
	return time.Duration(float64(base) * p.Speed * math.Exp(e.start+p.Noise*e.random.NormFloat64()))
}

// finish ends the step: sequences whose context is complete make a token, those with all their tokens leave.
func (e *engine) finish(parts map[*sequence]int, r *stepResult) {
	var left, made []*sequence
	for _, s := range e.running {
		before := s.filled
		s.filled += parts[s]
		if s.made == 0 && before < len(s.prompt) && s.filled >= len(s.prompt) {
			e.prompt += len(s.prompt)
		}
		if parts[s] == 0 || s.filled < s.context() {
			left = append(left, s)
			continue
		}
		s.made++
		r.tokens++
		e.generated++
		made = append(made, s)
		if s.made >= s.want {
			e.release(s)
			e.finished++
			continue
		}
		left = append(left, s)
	}
	e.running = left
	for _, s := range made {
		s.emit(*r, s.made)
	}
}

func (e *engine) release(s *sequence) {
	e.kv -= s.held
	s.held = 0
}
