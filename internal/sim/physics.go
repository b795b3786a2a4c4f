package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Physics are the constants of the simulated engine. The defaults are those of a small model on one large GPU.
type Physics struct {
	Step    time.Duration // of an empty step
	Decode  time.Duration // per decoding sequence
	Prefill time.Duration // per prefill token
	KV      time.Duration // per token reserved in the KV cache
	Speed   float64       // factor on all step times: 1.1 is 10 % slower

	Noise  float64 // sd of the log of a step's time
	Start  float64 // sd of the log of an effect that a process keeps for life
	Drift  float64 // sd of the log of an effect that wanders within some ten seconds
	Stalls float64 // share of steps that stall, for 80 ms on average

	MaxSeqs     int // sequences running at once
	BatchTokens int // tokens of one step
	KVTokens    int // tokens the KV cache holds
	BlockTokens int // tokens of one KV block
	Chunked     bool
	PrefixCache bool
	WarmCache   bool // every prompt is found in the prefix cache
	Seed        uint64
}

func defaultPhysics() Physics {
	return Physics{
		Step: 6 * time.Millisecond, Decode: 20 * time.Microsecond, Prefill: 20 * time.Microsecond, KV: 5 * time.Nanosecond,
		Noise: 0.03, Start: 0.01, Speed: 1,
		MaxSeqs: 256, BatchTokens: 2048, KVTokens: 200_000, BlockTokens: 16, Chunked: true, PrefixCache: true,
	}
}

const (
	stallMean  = 80 * time.Millisecond
	driftTime  = 10 * time.Second       // after which the wandering effect has forgotten 63 % of itself
	driftEvery = 500 * time.Millisecond // how often it moves
)

// noise is everything random about a step's time, in the time of the simulation.
type noise struct {
	random *rand.Rand
	start  float64 // log effect of this process
	drift  float64 // log effect now
	moved  time.Duration
}

func newNoise(p Physics) noise {
	n := noise{random: rand.New(rand.NewPCG(p.Seed, p.Seed*0x9E3779B97F4A7C15+1))}
	n.start = p.Start * n.random.NormFloat64()
	n.drift = p.Drift * n.random.NormFloat64()
	return n
}

// duration is the time of a step that begins at now.
func (n *noise) duration(p Physics, now time.Duration, decode, prefill, kv int) time.Duration {
	if passed := now - n.moved; p.Drift > 0 && passed > driftEvery {
		keep := math.Exp(-passed.Seconds() / driftTime.Seconds())
		n.drift = keep*n.drift + p.Drift*math.Sqrt(1-keep*keep)*n.random.NormFloat64()
		n.moved = now
	}
	base := p.Step + time.Duration(decode)*p.Decode + time.Duration(prefill)*p.Prefill + time.Duration(kv)*p.KV
	took := float64(base) * p.Speed * math.Exp(n.start+n.drift+p.Noise*n.random.NormFloat64())
	if p.Stalls > 0 && n.random.Float64() < p.Stalls {
		took += n.random.ExpFloat64() * float64(stallMean)
	}
	return time.Duration(took)
}
