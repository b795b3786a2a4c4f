package correlate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lab/internal/lab"
)

// wild makes records that no run would leave: out of order, twice, cut short, without values, with values of nonsense.
func wild(seed uint64) (lab.Run, lab.Tables) {
	random := rand.New(rand.NewPCG(seed, 31))
	length := int64(time.Duration(1+random.IntN(900)) * time.Second)
	at := func() time.Duration { return time.Duration(random.Int64N(length)) }
	devices := []string{"gpu0", "gpu1", "host", "engine", "client", "server", "sampler"}
	names := []string{
		lab.GPUEnergy, lab.GPUPower, lab.GPUPowerAverage, lab.GPUSMClock, lab.GPUMaxSMClock, lab.GPUThrottle, lab.GPUThrottlePower, lab.GPUThrottleThermal, lab.GPUForeign,
		lab.GPUTensorUtil, lab.GPUUtil, lab.GPUTemp, lab.GPUPowerPeriod, lab.HostSteal, lab.HostCPUPressure, lab.EnginePreempt, lab.EnginePrompt, lab.EngineRunning,
		lab.EngineWaiting, lab.EngineKVUsage, lab.ClientLate, lab.ClientLag, lab.ClientGCMax, lab.ProcRSS, lab.ProcCPU, lab.GPUPowerLimit, "unheard_of",
	}
	var t lab.Tables
	for range random.IntN(3000) {
		s := lab.Sample{At: at(), Device: devices[random.IntN(len(devices))], Values: map[string]float64{}}
		for range random.IntN(5) {
			s.Values[names[random.IntN(len(names))]] = []float64{0, 1, -1, random.Float64(), 1e9 * random.Float64(), 1e300, math.NaN(), math.Inf(1)}[random.IntN(8)]
		}
		if random.IntN(20) == 0 {
			s.Error = "failed"
		}
		t.Samples = append(t.Samples, s)
	}
	for i := range random.IntN(400) {
		q := lab.RequestRecord{Seq: i, Phase: []string{"p", "q", lab.Warmup, "?"}[random.IntN(4)], Intended: at(), Sent: at(), WantInput: random.IntN(100), Stamps: &lab.Stamps{}}
		for range random.IntN(60) {
			q.Chunks = append(q.Chunks, lab.Chunk{At: at(), Tokens: random.IntN(3)})
		}
		if random.IntN(2) == 0 {
			q.Done, q.Usage = at(), &lab.Usage{Input: random.IntN(100), Output: random.IntN(100), Cached: random.IntN(200)}
		}
		q.Stamps.Lag.Add(at())
		t.Requests = append(t.Requests, q)
	}
	kinds := []lab.EventKind{lab.ServerReady, lab.ServerStop, lab.LoadStart, lab.SamplerLost, lab.GPULost, lab.GPUBack, lab.GPUXid}
	for range random.IntN(10) {
		t.Events = append(t.Events, lab.Event{At: at(), Kind: kinds[random.IntN(len(kinds))], Detail: "p"})
	}
	r := experiment("p", "q")
	r.Experiment.Phases[1].Load.Rate = 5
	return r, t
}

func FuzzWhateverWasRecordedIsExplained(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r, tables := wild(seed)
		h := Explain(r, tables)
		if _, err := json.Marshal(h); err != nil {
			t.Fatal(err) // a NaN or an infinity is no number
		}
		if e := h.Energy; e != nil {
			balanced(t, e)
		}
		n := 0
		for _, of := range h.Stalls.ByCause {
			n += of
		}
		if n != h.Stalls.Count || len(h.Stalls.Worst) != min(worstKept, n) {
			t.Errorf("stalls %+v", h.Stalls)
		}
		if _, err := json.Marshal(Between([]Hardware{h, h}, []Hardware{h})); err != nil {
			t.Fatal(err)
		}
	})
}
