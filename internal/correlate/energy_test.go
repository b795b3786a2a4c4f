package correlate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lab/internal/lab"
)

// watts is a made-up power over time, in watts and seconds, and its integral by small steps.
type box struct {
	power  func(t float64) float64
	joules []float64 // each millisecond
}

func newBox(seconds int, power func(t float64) float64) *box {
	b := &box{power: power, joules: make([]float64, seconds*1000+1)}
	for i := 1; i < len(b.joules); i++ {
		b.joules[i] = b.joules[i-1] + power(float64(i)/1000)/1000
	}
	return b
}

func (b *box) energy(at time.Duration) float64 {
	return b.joules[min(len(b.joules)-1, int(at/time.Millisecond))]
}

// readGPU polls a box as a driver shows it: the counter is renewed every 100 ms, instant power is the mean of the last 25.
func readGPU(b *box, device string, end, poll time.Duration, jitter *rand.Rand) (all []lab.Sample) {
	for at := 10 * time.Millisecond; at < end; at += poll {
		t := at + time.Duration(jitter.Int64N(int64(poll)/8))
		renewed := (t / (100 * time.Millisecond)) * 100 * time.Millisecond
		watts := 0.0
		if renewed > 25*time.Millisecond {
			watts = (b.energy(renewed) - b.energy(renewed-25*time.Millisecond)) / 0.025
		}
		all = append(all, lab.Sample{At: t, Device: device, Values: map[string]float64{lab.GPUEnergy: math.Round(b.energy(renewed)*1000) / 1000, lab.GPUPower: watts}})
	}
	return all
}

// request makes one with evenly spaced chunks.
func request(seq int, phase string, sent, ttft, gap time.Duration, in, out int) lab.RequestRecord {
	q := lab.RequestRecord{Seq: seq, Phase: phase, Intended: sent, Sent: sent, Status: 200, Finish: "length", WantInput: in, WantOutput: out, Usage: &lab.Usage{Input: in, Output: out}}
	at := sent + ttft
	for range out {
		q.Chunks = append(q.Chunks, lab.Chunk{At: at, Tokens: 1})
		at += gap
	}
	q.Done = q.Chunks[out-1].At + time.Millisecond
	return q
}

func experiment(phases ...string) lab.Run {
	r := lab.Run{ID: "r", Host: lab.Host{Cores: 8, GPUs: []lab.Device{{PowerLimitW: 700}, {Index: 1, PowerLimitW: 700}}}}
	for _, name := range phases {
		r.Experiment.Phases = append(r.Experiment.Phases, lab.Phase{Name: name, Judged: true, Load: lab.Load{Concurrency: 4}})
	}
	return r
}

func balanced(t *testing.T, e *Energy) {
	t.Helper()
	if sum := e.Requests + e.Idle + e.Withheld; math.Abs(sum-e.Counter) > 1e-6*e.Counter {
		t.Errorf("requests %.3f + idle %.3f + withheld %.3f = %.3f J, the counter has %.3f", e.Requests, e.Idle, e.Withheld, sum, e.Counter)
	}
	if e.Requests < 0 || e.Idle < -1e-9*e.Counter || e.Withheld < 0 {
		t.Errorf("below zero: %+v", e)
	}
}

func TestEnergyGoesToRequestsAndIdleByTheEdgesOfTheCounter(t *testing.T) {
	// 100 W, and 400 W while requests are in flight, from 5 s to 15 s.
	b := newBox(20, func(t float64) float64 {
		if t >= 5 && t < 15 {
			return 400
		}
		return 100
	})
	var tables lab.Tables
	tables.Samples = readGPU(b, "gpu0", 20*time.Second, 50*time.Millisecond, rand.New(rand.NewPCG(1, 1)))
	// Two at once: one of 300 tokens of prompt, one of 100; both wait for 1 s, then decode for 9 s.
	tables.Requests = []lab.RequestRecord{
		request(0, "p", 5*time.Second, time.Second, 100*time.Millisecond, 300, 90),
		request(1, "p", 5*time.Second, time.Second, 100*time.Millisecond, 100, 90),
	}
	for i := range tables.Requests {
		tables.Requests[i].Done = 15 * time.Second
	}
	h := Explain(experiment("p"), tables)
	balanced(t, h.Energy)
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance*math.Abs(want) {
			t.Errorf("%s: %.3f, want %.3f", what, got, want)
		}
	}
	near("requests", h.Energy.Requests, 4000, 0.01)
	near("idle", h.Energy.Idle, 990, 0.03)
	near("integrated", h.Energy.Integrated, h.Energy.Counter, 0.02)
	near("idle power", h.Energy.IdlePowerW, 100, 0.001)
	p := h.Phases[0].Energy
	near("phase", p.Joules, 4000, 0.01)
	near("prefill", p.Prefill, 400, 0.05)
	near("decode", p.Decode, 3600, 0.02)
	near("J per output token", p.PerOutputToken, 4000.0/180, 0.01)
	near("J above idle per output token", p.AboveIdlePerToken, 3000.0/180, 0.01)
	near("J per token", p.PerToken, 4000.0/580, 0.01)
	near("J per request", p.PerRequest, 2000, 0.01)
	// By tokens in flight: prefill 300:100, decode 345:145.
	low, high := 400*0.25+3600*145/490, 400*0.75+3600*345.0/490
	near("the smaller request", h.Energy.PerRequest.P10, low+0.1*(high-low), 0.02)
	near("the larger request", h.Energy.PerRequest.P90, low+0.9*(high-low), 0.02)
	if len(h.Findings) != 0 {
		t.Errorf("findings %+v", h.Findings)
	}
}

func TestRequestsIdleAndWithheldMakeUpTheCounterWhateverHappens(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		var tables lab.Tables
		wantResets := 0
		for gpu := range 1 + random.IntN(2) {
			base, high := 50+100*random.Float64(), 100+400*random.Float64()
			b := newBox(30, func(t float64) float64 { return base + high*(1+math.Sin(t*(1+float64(seed%5))))/2 })
			samples := readGPU(b, deviceName(gpu), 30*time.Second, 50*time.Millisecond, random)
			for range random.IntN(3) { // the driver forgets what it counted
				at := len(samples)/8 + random.IntN(len(samples)*3/4)
				zero := samples[at].Values[lab.GPUEnergy]
				if at+10 > len(samples) || zero <= samples[at-1].Values[lab.GPUEnergy]-zero {
					continue
				}
				before := samples[at-1].Values[lab.GPUEnergy]
				for i := at; i < len(samples); i++ {
					samples[i].Values[lab.GPUEnergy] -= zero
				}
				if samples[at].Values[lab.GPUEnergy] < before {
					wantResets++
				}
			}
			for range random.IntN(3) { // nothing is read for a while
				from := random.IntN(len(samples) - 60)
				samples = append(samples[:from:from], samples[from+random.IntN(60):]...)
			}
			for range random.IntN(3) { // single readings fail
				delete(samples[random.IntN(len(samples))].Values, lab.GPUEnergy)
			}
			tables.Samples = append(tables.Samples, samples...)
		}
		for i := range 1 + random.IntN(40) {
			sent := time.Duration(random.Int64N(int64(35 * time.Second)))
			q := request(i, "p", sent, time.Duration(random.Int64N(int64(time.Second))), time.Duration(random.Int64N(int64(50*time.Millisecond))), random.IntN(2000), 1+random.IntN(60))
			if random.IntN(8) == 0 {
				q.Chunks, q.Usage, q.Error = nil, nil, lab.ErrCut
			}
			tables.Requests = append(tables.Requests, q)
		}
		h := Explain(experiment("p"), tables)
		if h.Energy == nil {
			t.Fatalf("seed %d: no energy", seed)
		}
		balanced(t, h.Energy)
		v := look(experiment("p"), tables)
		sum := 0.0
		books := v.account()
		for _, q := range v.requests { // no energy is given twice
			prefill, decode := weight(q)
			if len(q.Chunks) == 0 {
				sum += prefill * books.between(books.perToken, q.Sent, ended(q))
				continue
			}
			sum += prefill*books.between(books.perToken, q.Sent, first(q)) + decode*books.between(books.perToken, first(q), ended(q))
		}
		if math.Abs(sum-h.Energy.Requests) > 1e-6*h.Energy.Counter {
			t.Errorf("seed %d: the requests' own energies add up to %.6f J, all requests have %.6f", seed, sum, h.Energy.Requests)
		}
		resets := 0
		for _, gpu := range v.samples.gpus {
			resets += len(readCounter(v.samples.of(gpu, lab.GPUEnergy), v.powerLimit(gpu)).resets)
		}
		if resets < min(1, wantResets) || resets > wantResets && wantResets == 0 {
			t.Errorf("seed %d: %d resets seen, %d made", seed, resets, wantResets)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestAnImpossibleRiseOfTheCounterIsAReset(t *testing.T) {
	s := &series{}
	for i, v := range []float64{10, 20, 30, 5000, 5010, 5020, 3, 13} { // 100 W at 100 ms, limit 700 W
		s.at, s.v = append(s.at, time.Duration(i+1)*100*time.Millisecond), append(s.v, v)
	}
	s.prepare()
	c := readCounter(s, 700)
	if len(c.resets) != 2 || math.Abs(c.total-50) > 1e-9 {
		t.Errorf("resets %v, total %g J, want 2 and 50", c.resets, c.total)
	}
	if c := readCounter(s, 0); len(c.resets) != 1 {
		t.Errorf("without a known limit: resets %v, want the fall alone", c.resets)
	}
}

func TestPowerThatDoesNotMatchTheCounterIsFlagged(t *testing.T) {
	b := newBox(10, func(float64) float64 { return 300 })
	samples := readGPU(b, "gpu0", 10*time.Second, 50*time.Millisecond, rand.New(rand.NewPCG(2, 2)))
	for _, c := range []struct {
		factor float64
		want   bool
	}{{0.92, true}, {0.97, false}, {1.03, false}, {1.08, true}} {
		var off []lab.Sample
		for _, s := range samples {
			off = append(off, lab.Sample{At: s.At, Device: s.Device, Values: map[string]float64{lab.GPUEnergy: s.Values[lab.GPUEnergy], lab.GPUPower: c.factor * s.Values[lab.GPUPower]}})
		}
		h := Explain(experiment("p"), lab.Tables{Samples: off})
		if got := len(h.Findings) == 1 && h.Findings[0].Code == "energy-disagrees"; got != c.want || len(h.Findings) > 1 {
			t.Errorf("power by the factor %g: findings %+v", c.factor, h.Findings)
		}
	}
}
