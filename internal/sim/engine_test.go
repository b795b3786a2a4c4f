package sim

import (
	"math"
	"testing"
	"time"
)

// blockTokens is the size of a KV block unless told otherwise.
const blockTokens = 16

// exact is an engine without noise, so that every time can be worked out by hand.
func exact(change func(*Physics)) *engine {
	p := defaultPhysics()
	p.Noise, p.Start, p.KV, p.PrefixCache = 0, 0, 0, false
	if change != nil {
		change(&p)
	}
	return newEngine(p)
}

// timeline is when a request's tokens came, in the time of the simulation.
type timeline struct {
	*sequence
	first, last time.Duration
}

// submit adds a request.
func submit(e *engine, input, output int) *timeline {
	line := &timeline{sequence: &sequence{prompt: make([]int32, input), want: output}}
	e.add(line.sequence)
	return line
}

// runAll makes steps until nothing is left, and returns how many ran at once at most.
func runAll(t *testing.T, e *engine, lines ...*timeline) (most int) {
	t.Helper()
	for e.busy() {
		r := e.step()
		for _, s := range r.made {
			for _, line := range lines {
				if line.sequence != s {
					continue
				}
				if s.made == 1 {
					line.first = e.now
				}
				line.last = e.now
			}
		}
		most = max(most, len(e.running))
		if e.kv > e.physics.KVTokens && len(e.running) > 1 {
			t.Fatalf("%d KV tokens are reserved of %d", e.kv, e.physics.KVTokens)
		}
	}
	return most
}

func TestOneRequestTakesOnePrefillStepAndOneStepForEachFurtherToken(t *testing.T) {
	e := exact(nil)
	line := submit(e, 100, 11)
	runAll(t, e, line)
	// prefill: 6 ms + 100 * 20 us = 8 ms; ten decodes of 6 ms + 20 us
	if want := 8 * time.Millisecond; line.first != want {
		t.Errorf("first token at %v, want %v", line.first, want)
	}
	if want := 8*time.Millisecond + 10*6020*time.Microsecond; line.last != want {
		t.Errorf("last token at %v, want %v", line.last, want)
	}
}

func TestALongPromptIsComputedInChunksOfTheBudget(t *testing.T) {
	e := exact(func(p *Physics) { p.BatchTokens = 1000 })
	line := submit(e, 2500, 1)
	runAll(t, e, line)
	// 1000 + 1000 + 500 tokens in three steps: 3 * 6 ms + 2500 * 20 us
	if want := 68 * time.Millisecond; line.first != want {
		t.Errorf("first token at %v, want %v", line.first, want)
	}
}

func TestRunningNeverExceedsMaxNumSeqsAndTTFTGrowsWithTheQueue(t *testing.T) {
	e := exact(func(p *Physics) { p.MaxSeqs = 2 })
	var lines []*timeline
	for range 8 {
		lines = append(lines, submit(e, 16, 10))
	}
	if most := runAll(t, e, lines...); most > 2 {
		t.Errorf("%d ran at once, want at most 2", most)
	}
	for i := 2; i < len(lines); i += 2 {
		if lines[i].first <= lines[i-2].last-time.Nanosecond {
			t.Errorf("request %d had its first token at %v, before the one ahead of it ended at %v", i, lines[i].first, lines[i-2].last)
		}
	}
}

func TestThroughputSaturatesWithConcurrency(t *testing.T) {
	rate := func(n int) float64 {
		e := exact(func(p *Physics) { p.MaxSeqs = 64 })
		for range n {
			submit(e, 16, 100)
		}
		runAll(t, e)
		return float64(e.generated) / e.now.Seconds()
	}
	one, eight, all, more := rate(1), rate(8), rate(64), rate(256)
	if eight < 7*one {
		t.Errorf("8 at once give %.0f tok/s, one gives %.0f: batching must pay", eight, one)
	}
	if more > 1.05*all {
		t.Errorf("256 at once give %.0f tok/s, 64 (the most that run) %.0f: it must saturate", more, all)
	}
}

func TestAFullKVCachePreemptsTheNewestAndLosesNoToken(t *testing.T) {
	e := exact(func(p *Physics) { p.KVTokens = 10 * blockTokens })
	a, b := submit(e, 4*blockTokens-8, 40), submit(e, 4*blockTokens-8, 40)
	runAll(t, e, a, b)
	if e.preempted == 0 {
		t.Error("the cache holds 10 blocks, the two need 7 each: one must be preempted")
	}
	if e.generated != 80 || e.kv != 0 {
		t.Errorf("%d tokens made, want 80; %d KV tokens still held, want 0", e.generated, e.kv)
	}
	if a.last > b.last {
		t.Error("the older request ended after the newer")
	}
}

func TestAPreemptedRequestIsComputedAgain(t *testing.T) {
	e := exact(func(p *Physics) { p.KVTokens = 10 * blockTokens })
	a, b := submit(e, 4*blockTokens-8, 40), submit(e, 4*blockTokens-8, 40)
	prefilled := 0
	for e.busy() {
		prefilled += e.step().prefill
	}
	// Both prompts once, and b's 56 tokens again with those it had made when a needed its block.
	if prefilled <= 2*56+56 || b.preempted != 1 || a.preempted != 0 {
		t.Errorf("%d tokens prefilled, a preempted %d times and b %d times", prefilled, a.preempted, b.preempted)
	}
}

func TestWithoutChunkedPrefillAPromptWaitsForAStepThatHoldsItWhole(t *testing.T) {
	e := exact(func(p *Physics) { p.Chunked, p.BatchTokens = false, 100 })
	a, b := submit(e, 60, 1), submit(e, 60, 1)
	runAll(t, e, a, b)
	// 6 ms + 60 * 20 us each, one after the other
	if want := 7200 * time.Microsecond; a.first != want || b.first != 2*want {
		t.Errorf("first tokens at %v and %v, want %v and %v", a.first, b.first, want, 2*want)
	}
}

func TestAStepCostsMoreWithEachDecodingSequenceAndEachReservedToken(t *testing.T) {
	e := exact(func(p *Physics) { p.KV = 5 * time.Nanosecond })
	submit(e, 15, 3)
	submit(e, 31, 3)
	e.step()
	// two decode; 16+32 tokens are reserved, and the next ones need a block more each
	if got, want := e.step().took, 6040*time.Microsecond+(32+48)*5; got != want {
		t.Errorf("the step took %v, want %v", got, want)
	}
}

func TestOneStepComputesAtMostEightPrompts(t *testing.T) {
	e := exact(nil)
	for range 10 {
		submit(e, 16, 5)
	}
	if r := e.step(); len(r.made) != 8 {
		t.Errorf("%d prompts were computed, want 8", len(r.made))
	}
}

func TestTheNoiseOfAStepHasItsSizeAndAMeanStartEffectShiftsAll(t *testing.T) {
	p := defaultPhysics()
	p.Seed, p.Start = 7, 0
	n, sum, squares := newNoise(p), 0.0, 0.0
	const steps = 20_000
	for range steps {
		v := math.Log(n.duration(p, 0, 0, 0, 0).Seconds() / p.Step.Seconds())
		sum, squares = sum+v, squares+v*v
	}
	if mean, sd := sum/steps, math.Sqrt(squares/steps); math.Abs(mean) > 0.001 || math.Abs(sd-0.03) > 0.001 {
		t.Errorf("log noise has mean %.4f and sd %.4f, want 0 and 0.03", mean, sd)
	}
	p.Noise, p.Stalls = 0, 1
	if n := newNoise(p); n.duration(p, 0, 0, 0, 0) <= p.Step {
		t.Error("a stall took no time")
	}
}

func TestThePrefixCacheForgetsWhatWasUsedLongestAgo(t *testing.T) {
	p := defaultPhysics()
	p.KVTokens = 4 * p.BlockTokens
	c := newPrefixCache(p)
	prompt := func(first int32) []int32 {
		ids := make([]int32, 2*p.BlockTokens+1)
		ids[0] = first
		return ids
	}
	c.add(prompt(1))
	c.add(prompt(2))
	c.add(prompt(1)) // used again
	c.add(prompt(3))
	if one, two, three := c.find(prompt(1), false), c.find(prompt(2), false), c.find(prompt(3), false); one != 32 || two != 0 || three != 32 {
		t.Errorf("found %d, %d and %d tokens, want 32, 0 and 32", one, two, three)
	}
	for i := range int32(1000) {
		c.add(prompt(i % 2))
	}
	if len(c.oldest) > 3*c.limit {
		t.Errorf("%d notes for %d blocks", len(c.oldest), len(c.used))
	}
}

func BenchmarkStepOf256Sequences(b *testing.B) {
	e := exact(func(p *Physics) { p.KVTokens = 1 << 30 })
	for range 256 {
		submit(e, 64, 1<<30)
	}
	for b.Loop() {
		e.step()
	}
}

func TestAPromptSeenBeforeIsFoundInThePrefixCacheUpToItsLastBlock(t *testing.T) {
	e := exact(func(p *Physics) { p.PrefixCache = true })
	submit(e, 64, 1)
	runAll(t, e)
	if e.hits != 0 || e.queries != 64 {
		t.Fatalf("hits %d of %d, want 0 of 64", e.hits, e.queries)
	}
	submit(e, 64, 1)
	runAll(t, e)
	if e.hits != 48 {
		t.Errorf("hits %d, want 48: the last token is always computed, so the last block is", e.hits)
	}
}
