package sim

import (
	"testing"
	"time"
)

// exact is an engine without noise, so that every time can be worked out by hand.
func exact(change func(*Physics)) *engine {
	p := defaultPhysics()
	p.Noise, p.Start, p.KV, p.PrefixCache = 0, 0, 0, false
	if change != nil {
		change(&p)
	}
	return newEngine(p)
}

type timeline struct{ first, last time.Duration }

// submit adds a request and notes when its tokens come.
func submit(e *engine, input, output int) *timeline {
	line := &timeline{}
	e.add(&sequence{prompt: make([]int32, input), want: output, emit: func(_ stepResult, made int) {
		if made == 1 {
			line.first = e.now
		}
		line.last = e.now
	}})
	return line
}

func runAll(e *engine) (most int) {
	for e.busy() {
		e.step()
		most = max(most, len(e.running))
	}
	return most
}

func TestOneRequestTakesOnePrefillStepAndOneStepForEachFurtherToken(t *testing.T) {
	e := exact(nil)
	line := submit(e, 100, 11)
	runAll(e)
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
	runAll(e)
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
	if most := runAll(e); most > 2 {
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
		runAll(e)
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
	runAll(e)
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

func TestAPromptSeenBeforeIsFoundInThePrefixCacheUpToItsLastBlock(t *testing.T) {
	e := exact(func(p *Physics) { p.PrefixCache = true })
	submit(e, 64, 1)
	runAll(e)
	if e.hits != 0 || e.queries != 64 {
		t.Fatalf("hits %d of %d, want 0 of 64", e.hits, e.queries)
	}
	submit(e, 64, 1)
	runAll(e)
	if e.hits != 48 {
		t.Errorf("hits %d, want 48: the last token is always computed, so the last block is", e.hits)
	}
}
