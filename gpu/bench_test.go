package gpu

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"lab/internal/lab"
)

// BenchmarkSampler runs the real sampler child on the fake driver, each reading of which takes 0.3 ms, as real ones do,
// alone and beside a process that takes in 500 streams of a token every 20 ms. It tells the share of a core that the
// sampler uses once it has settled, how late the fast readings begin, which share of them was skipped, and at which period
// they ended: a sampler that is over its budget slows down. The driver does not renew its values, so that they are read as
// asked.
func BenchmarkSampler(b *testing.B) {
	for _, period := range []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
		for _, streams := range []int{0, 500} {
			b.Run(fmt.Sprintf("%s/streams=%d", period, streams), func(b *testing.B) { benchmarkSampler(b, period, streams) })
		}
	}
}

func benchmarkSampler(b *testing.B, period time.Duration, streams int) {
	trace := b.TempDir() + "/bench.trace"
	writeFile(b, trace, "set call_latency_us 300\nset energy_period_ms 1e6\n0 95 40 600000 60000000000 50 1980 2619 4\n")
	self := fakeDriver(b, trace)
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 12*time.Second)
		var load sync.WaitGroup
		for i := range streams {
			load.Go(func() { stream(ctx, time.Duration(i)*20*time.Millisecond/time.Duration(streams)) })
		}
		account := map[string]float64{}
		var began, ended lab.Sample
		err := Watch(ctx, self, Config{Epoch: lab.NewEpoch(), Telemetry: lab.Telemetry{Period: lab.Duration(period)}}, func(s lab.Sample) {
			for name, v := range s.Values {
				if s.Device == "sampler" {
					account[name] = v
				}
			}
			if _, ok := s.Values[lab.SamplerCPU]; ok {
				if ended = s; s.At < measureFor+time.Second {
					began = s
				}
			}
		}, func(kind lab.EventKind, detail string) { b.Log(kind, detail) })
		cancel()
		load.Wait()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(100*(ended.Values[lab.SamplerCPU]-began.Values[lab.SamplerCPU])/(ended.At-began.At).Seconds(), "%core")
		b.ReportMetric(account["fast_"+lab.SamplerLateP50]*1e3, "late-p50-ms")
		b.ReportMetric(account["fast_"+lab.SamplerLateP99]*1e3, "late-p99-ms")
		b.ReportMetric(100*account["fast_"+lab.SamplerSkip]/(account["fast_"+lab.SamplerSkip]+account["fast_"+lab.SamplerReads]), "%skipped")
		b.ReportMetric(account[lab.SamplerPeriod]*1e3, "period-ms")
	}
}

// stream takes in a token every 20 ms, as the client of a server does.
func stream(ctx context.Context, after time.Duration) {
	chunk := []byte(`{"id":"cmpl-1","object":"text_completion","choices":[{"index":0,"text":" word","finish_reason":null}]}`)
	for next := time.Now().Add(after); ctx.Err() == nil; next = next.Add(20 * time.Millisecond) {
		time.Sleep(time.Until(next))
		var event struct {
			Choices []struct {
				Text string `json:"text"`
			} `json:"choices"`
		}
		if err := json.Unmarshal(chunk, &event); err != nil {
			panic(err)
		}
	}
}
