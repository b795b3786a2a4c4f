package correlate

import (
	"math/rand/v2"
	"testing"
	"time"

	"lab/internal/lab"
)

// hour is a run of an hour with so many requests of 25 tokens, one GPU at 50 and 200 ms, engine, host and client once a
// second.
func hour(requests int) (lab.Run, lab.Tables) {
	const length = time.Hour
	random := rand.New(rand.NewPCG(1, 29))
	var t lab.Tables
	joules := 0.0
	for i := range int(length / (50 * time.Millisecond)) {
		at := time.Duration(i)*50*time.Millisecond + time.Millisecond
		watts := 400 + 50*random.Float64()
		joules += watts / 20
		t.Samples = append(t.Samples, lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUEnergy: joules, lab.GPUPower: watts}})
		if i%4 == 0 {
			t.Samples = append(t.Samples, lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{
				lab.GPUUtil: 97 + random.Float64(), lab.GPUSMClock: 1900 + 50*random.Float64(), lab.GPUTemp: 60 + random.Float64(), lab.GPUMemUsed: 7e10,
				lab.GPUThrottlePower: float64(i) / 100, lab.GPUThrottle: 4,
			}})
		}
		if i%20 == 0 {
			t.Samples = append(t.Samples,
				lab.Sample{At: at, Device: "engine", Values: map[string]float64{lab.EngineRunning: 8 + random.Float64(), lab.EngineWaiting: 0, lab.EngineKVUsage: 0.4, lab.EnginePrompt: float64(i) * 200, lab.EnginePreempt: float64(i / 5000)}},
				lab.Sample{At: at, Device: "host", Values: map[string]float64{lab.HostCPU: 30 + random.Float64(), lab.HostSteal: random.Float64(), lab.HostCPUPressure: float64(i) / 1000}},
				lab.Sample{At: at, Device: "client", Values: map[string]float64{lab.ClientLate: 0.001, lab.ClientLag: 0.001 * random.Float64(), lab.ClientCPU: float64(i) / 100}})
		}
	}
	for i := range requests {
		sent := time.Second + time.Duration(float64(i)/float64(requests)*float64(length-5*time.Second))
		q := request(i, "p", sent, 60*time.Millisecond, time.Duration(9e6+2e6*random.Float64()), 200, 25)
		if i%500 == 0 {
			for k := 12; k < len(q.Chunks); k++ {
				q.Chunks[k].At += 100 * time.Millisecond
			}
		}
		t.Requests = append(t.Requests, q)
	}
	return experiment("p"), t
}

func BenchmarkExplain100000RequestsInAnHour(b *testing.B) {
	r, t := hour(100_000)
	for b.Loop() {
		if h := Explain(r, t); h.Energy == nil || h.Stalls.Count == 0 {
			b.Fatalf("%+v", h.Stalls)
		}
	}
}
