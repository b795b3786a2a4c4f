package correlate

import (
	"math/rand/v2"
	"testing"
	"time"

	"lab/internal/lab"
)

// plant is a made-up server: steps that all streams share, and what is done to it.
type plant struct {
	random *rand.Rand
	step   time.Duration
	end    time.Duration
	rate   float64 // requests a second
	bound  int     // prompt tokens a step takes in
	kernel bool    // chunks have the kernel's stamps

	acts []act

	requests []lab.RequestRecord
	engine   []lab.Sample
}

// act is something planted.
type act struct {
	kind string
	at   time.Duration
	d    time.Duration
	n    float64 // requests, tokens, or the share of the clock
	done bool
}

type live struct {
	q      *lab.RequestRecord
	prompt int // left to compute
	out    int // left to generate
	stood  time.Duration
}

const perToken = 40 * time.Microsecond // of a prompt

// run lets it run: steps of its length with 10 % of noise, longer by what of prompts is computed in them.
func (p *plant) run() (lab.Run, lab.Tables) {
	var queue, running []*live
	var all []*lab.RequestRecord
	arrival, seq := time.Second, 0
	prompts, preempted, foreign := 0.0, 0.0, 0.0
	scrape := 500 * time.Millisecond
	for now := time.Second; now < p.end; {
		for arrival <= now {
			in, out := 100+p.random.IntN(300), 60+p.random.IntN(120)
			q := &lab.RequestRecord{Seq: seq, Phase: "p", Intended: arrival, Sent: arrival, Status: 200, Finish: "length", Usage: &lab.Usage{Input: in, Output: out}}
			all, seq = append(all, q), seq+1
			queue = append(queue, &live{q: q, prompt: in, out: out})
			arrival += time.Duration(p.random.ExpFloat64() / p.rate * 1e9)
		}
		took := time.Duration(float64(p.step) * (1 + 0.1*p.random.NormFloat64()))
		for i := range p.acts {
			a := &p.acts[i]
			if a.done || a.at > now {
				continue
			}
			switch a.kind {
			case "stall":
				took += a.d
			case "burst":
				foreign += a.n
			case "preempt":
				for k := range min(int(a.n), len(running)) {
					running[len(running)-1-k].stood = now + a.d
					preempted++
				}
			case "clock":
				if now > a.at+a.d {
					a.done = true
				} else {
					took = time.Duration(float64(took) / a.n)
				}
				continue
			}
			a.done = true
		}
		budget := p.bound
		if n := min(foreign, float64(budget)); n > 0 {
			foreign -= n
			budget -= int(n)
			prompts += n
			took += time.Duration(n) * perToken
		}
		for len(queue) > 0 && budget > 0 {
			n := min(queue[0].prompt, budget)
			queue[0].prompt -= n
			budget -= n
			took += time.Duration(n) * perToken
			if queue[0].prompt > 0 {
				break
			}
			prompts += float64(queue[0].q.Usage.Input)
			running, queue = append(running, queue[0]), queue[1:]
		}
		now += took
		for ; scrape < now; scrape += time.Second {
			p.engine = append(p.engine, lab.Sample{At: scrape, Device: "engine", Values: map[string]float64{lab.EnginePrompt: prompts, lab.EnginePreempt: preempted, lab.EngineRunning: float64(len(running))}})
		}
		left := running[:0]
		for _, s := range running {
			if s.stood <= now {
				s.q.Chunks = append(s.q.Chunks, lab.Chunk{At: now + time.Duration(p.random.IntN(200_000)), Tokens: 1})
				s.out--
			}
			if s.out > 0 {
				left = append(left, s)
			} else {
				s.q.Done = now + time.Millisecond
			}
		}
		running = left
		if len(running) == 0 && len(queue) == 0 {
			now = max(now, arrival)
		}
	}
	t := lab.Tables{Samples: p.engine}
	for _, q := range all {
		if q.Done == 0 {
			q.Done, q.Error = p.end, lab.ErrCanceled
		}
		p.requests = append(p.requests, *q)
	}
	p.watch()
	t.Requests = p.requests
	t.Samples = append(p.engine, p.gpuAndClient()...)
	return experiment("p"), t
}

// watch is what a client that is stopped now and then makes of the arrivals.
func (p *plant) watch() {
	for i := range p.requests {
		q := &p.requests[i]
		q.Stamps = &lab.Stamps{}
		for j := range q.Chunks {
			at, lag := q.Chunks[j].At, time.Duration(50_000)
			for _, a := range p.acts {
				if a.kind == "stop" && at >= a.at && at < a.at+a.d {
					lag = a.at + a.d - at
				}
			}
			if p.kernel {
				q.Stamps.Kernel++
				q.Stamps.Lag.Add(lag)
			} else {
				q.Chunks[j].At += lag
				q.Stamps.Reading++
			}
		}
	}
}

// gpuAndClient are their samples: the clock each 200 ms, the client's own each second.
func (p *plant) gpuAndClient() (all []lab.Sample) {
	for at := 50 * time.Millisecond; at < p.end+time.Second; at += 200 * time.Millisecond {
		clock := 1980.0
		for _, a := range p.acts {
			if a.kind == "clock" && at >= a.at && at < a.at+a.d {
				clock *= a.n
			}
		}
		all = append(all, lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUSMClock: clock, lab.GPUThrottle: 0}})
	}
	for at := 700 * time.Millisecond; at < p.end+time.Second; at += time.Second {
		late, lag := 0.0012, 0.0004+0.001*p.random.Float64()
		for _, a := range p.acts {
			if end := a.at + a.d; a.kind == "stop" && end > at-time.Second && end <= at {
				late, lag = a.d.Seconds()-0.005, a.d.Seconds()-0.003
			}
		}
		values := map[string]float64{lab.ClientLate: late, lab.ClientWaitMax: 0.002, lab.ClientGCMax: 0.0001}
		if p.kernel {
			values[lab.ClientLag] = lag
		}
		all = append(all, lab.Sample{At: at, Device: "client", Values: values})
	}
	return all
}

// named tells which cause each planted act's stall was given: the stall that overlaps it most.
func named(h Hardware, a act) string {
	cause, most := "no stall", time.Duration(0)
	for _, s := range h.Stalls.Worst {
		wide := span{a.at - 20*time.Millisecond, a.at + max(a.d, 20*time.Millisecond) + 40*time.Millisecond}
		if a.kind == "stop" && s.Usual == 0 { // without a gap its second is known, not more
			wide = span{a.at - time.Second, a.at + time.Second}
		}
		if common := wide.overlap(span{s.From, s.To}); common > most {
			cause, most = s.Cause, common
		}
	}
	return cause
}

func TestPlantedStallsAreNamedAndOthersAreNotBlamedOnThem(t *testing.T) {
	expected := map[string]string{"preempt": CausePreemption, "burst": CausePrefill, "clock": CauseClock, "stop": CauseClientSched, "stall": Unattributed}
	for _, kernel := range []bool{true, false} {
		right, of, blamed := map[string]int{}, map[string]int{}, map[string]int{}
		for seed := range uint64(60) {
			p := &plant{random: rand.New(rand.NewPCG(seed, 23)), step: 10 * time.Millisecond, end: 12 * time.Second, rate: 12, bound: 2048, kernel: kernel}
			kinds := []string{"preempt", "burst", "clock", "stop", "stall", "stall"}
			p.random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
			for i, kind := range kinds {
				a := act{kind: kind, at: 2500*time.Millisecond + time.Duration(i)*1500*time.Millisecond + time.Duration(p.random.IntN(700))*time.Millisecond, d: 80 * time.Millisecond}
				switch kind {
				case "preempt":
					a.n, a.d = float64(2+p.random.IntN(4)), a.d+time.Duration(p.random.IntN(200))*time.Millisecond
				case "burst":
					a.n = 2000 + float64(p.random.IntN(6000))
				case "clock":
					a.n, a.d = 0.4+0.2*p.random.Float64(), time.Duration(300+p.random.IntN(600))*time.Millisecond
				}
				p.acts = append(p.acts, a)
			}
			h := Explain(p.run())
			for _, a := range p.acts {
				got := named(h, a)
				of[a.kind]++
				switch {
				case got == expected[a.kind]:
					right[a.kind]++
				default:
					t.Logf("seed %d: %s at %s for %s, %.1f: %s", seed, a.kind, a.at, a.d, a.n, got)
				}
				if a.kind == "stall" && got != Unattributed && got != "no stall" {
					blamed[got]++
				}
			}
		}
		for kind, n := range of {
			t.Logf("kernel stamps %v: %s named in %d of %d", kernel, kind, right[kind], n)
			if 10*right[kind] < 9*n {
				t.Errorf("kernel stamps %v: %s named in %d of %d, want 9 of 10", kernel, kind, right[kind], n)
			}
		}
		wrong := 0
		for _, n := range blamed {
			wrong += n
		}
		if 20*wrong > of["stall"] {
			t.Errorf("kernel stamps %v: of %d stalls without a cause, blamed on %v; at most 1 in 20 may be", kernel, of["stall"], blamed)
		}
	}
}
