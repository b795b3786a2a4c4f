package page

import (
	"fmt"
	"math/rand/v2"
	"time"

	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/metric"
	"lab/internal/report"
)

// made is a run as the tests need one: a load of so many requests, a GPU, an engine, a host; every tenth request of a
// load with errors fails.
type made struct {
	seed     uint64
	name     string
	requests int
	tokens   int
	pace     time.Duration // ITL
	phases   []string
	errors   bool
	bare     bool // nothing is sampled

	uncounted bool // the server counts tokens in the end only
}

func (m made) experiment() lab.Experiment {
	e := lab.Experiment{Name: m.name, Margin: 0.03, Server: lab.Server{Model: "千问/模型"}}
	for _, phase := range m.phases {
		e.Phases = append(e.Phases, lab.Phase{Name: phase, Judged: true, Load: lab.Load{Concurrency: 8, Requests: m.requests, API: "completions",
			Dataset: lab.Dataset{Kind: "random", InputTokens: 200, OutputTokens: m.tokens}}})
	}
	return e
}

func (m made) run() (lab.Sealed, lab.Tables) {
	random := rand.New(rand.NewPCG(m.seed, 29))
	e := m.experiment()
	r := lab.Run{ID: fmt.Sprintf("20261130-1201%02d-made", m.seed), Experiment: e, Key: e.Key(), Lab: "test", Outcome: lab.Complete, Command: "lab run 'a b.yaml'",
		Epoch: lab.Epoch{Wall: time.Date(2026, 11, 30, 12, 0, int(m.seed), 0, time.UTC), Monotonic: 1e9},
		Host:  lab.Host{Name: "盒子", CPU: "CPU", Cores: 8, Memory: 1 << 35, Driver: "580.95", GPUs: []lab.Device{{UUID: "GPU-1", Name: "H100 <80GB>", Memory: 80 << 30, PowerLimitW: 700}}},
		Server: lab.ServerFacts{Version: "0.32.0", Argv: []string{"vllm", "serve", "千问/模型", "--max-num-seqs", "8", "it's </script><b>"}, Env: map[string]string{"TMPDIR": "/tmp/x", "GONE": ""},
			Resolved: map[string]string{"num_gpu_blocks": "12500"}, Stages: []lab.Stage{{Name: "weights", At: 0, Took: 2 * time.Second}}},
	}
	var t lab.Tables
	at := 3 * time.Second
	t.Events = append(t.Events, lab.Event{At: time.Second, Kind: lab.ServerReady})
	for _, phase := range m.phases {
		end := at
		slots := make([]time.Duration, 8)
		for i := range slots {
			slots[i] = at + time.Duration(i)*time.Millisecond
		}
		for i := range m.requests {
			slot := &slots[i%len(slots)]
			q := lab.RequestRecord{Seq: i, Phase: phase, Intended: *slot, Sent: *slot + 50*time.Microsecond, Status: 200, Finish: "length", WantInput: 200, WantOutput: m.tokens, Usage: &lab.Usage{Input: 200, Output: m.tokens}}
			moment := q.Sent + 30*time.Millisecond + time.Duration(random.ExpFloat64()*2e7)
			for k := range m.tokens {
				q.Chunks = append(q.Chunks, lab.Chunk{At: moment, Tokens: 1})
				if m.uncounted {
					q.Chunks[k].Tokens = 0
				}
				moment += m.pace + time.Duration(random.Float64()*float64(m.pace)/5)
				if k == m.tokens/2 && i%97 == 50 {
					moment += 150 * time.Millisecond
				}
			}
			q.Done = moment
			if m.errors && i%10 == 9 {
				q.Error, q.Detail, q.Status, q.Chunks, q.Usage = lab.ErrStatus, "503: 服务繁忙 <busy>", 503, nil, nil
				q.Done = q.Sent + 5*time.Millisecond
			}
			*slot = q.Done + time.Millisecond
			end = max(end, q.Done)
			t.Requests = append(t.Requests, q)
		}
		at = end + time.Second
	}
	r.Ended = at
	if !m.bare {
		t.Samples = m.samples(random, at)
	}
	for i := range 5 {
		t.Log = append(t.Log, lab.LogLine{At: time.Duration(i) * time.Second, Text: "INFO 启动 <step>"})
	}
	s := lab.Sealed{Run: r}
	s.Summary = metric.Summarise(r, t)
	s.Run.Findings = metric.Check(r, t, s.Summary)
	return s, t
}

func (m made) samples(random *rand.Rand, until time.Duration) []lab.Sample {
	var all []lab.Sample
	joules, held := 0.0, 0.0
	for at := time.Duration(0); at < until; at += 100 * time.Millisecond {
		watts := 500 + 80*random.Float64()
		joules += watts / 10
		if at > 5*time.Second && at < 6*time.Second {
			held += 0.08
		}
		all = append(all, lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUPower: watts, lab.GPUEnergy: joules, lab.GPUUtil: 90 + 9*random.Float64(),
			lab.GPUSMClock: 1980, lab.GPUTemp: 60 + at.Seconds()/10, lab.GPUMemUsed: 7e10, lab.GPUPowerLimit: 700, lab.GPUThrottlePower: held}})
		if at%time.Second == 0 {
			all = append(all,
				lab.Sample{At: at, Device: "engine", Values: map[string]float64{lab.EngineRunning: 8, lab.EngineWaiting: random.Float64() * 3, lab.EngineKVUsage: 0.4, lab.EnginePreempt: 0}},
				lab.Sample{At: at, Device: "host", Values: map[string]float64{lab.HostCPU: 30 + 5*random.Float64(), lab.HostSteal: 0, lab.HostMemUsed: 1e10}},
				lab.Sample{At: at, Device: "server", Values: map[string]float64{lab.ProcCPU: at.Seconds() * 0.8, lab.ProcRSS: 4e9}},
				lab.Sample{At: at, Device: "client", Values: map[string]float64{lab.ClientCPU: at.Seconds() * 0.05, lab.ClientLag: 0.001}})
		}
	}
	return all
}

// view of a run.
func (m made) view(lang string) RunView {
	s, t := m.run()
	return RunView{Lang: lang, Lab: "test", Sealed: s, Tables: t, Hardware: correlate.Explain(s.Run, t), Timeline: correlate.Over(s.Run, t)}
}

// usual is a run of two phases with some errors.
func usual() made {
	return made{seed: 1, name: "千问-基线 & <b>", requests: 160, tokens: 24, pace: 8 * time.Millisecond, phases: []string{"延迟", "saturated"}, errors: true}
}

// madeAB is an A/B of so many pairs in which B is faster.
func madeAB(lang string, pairs int) ABView {
	a := made{name: "seqs-4", requests: 60, tokens: 16, pace: 9 * time.Millisecond, phases: []string{"load"}}
	b := a
	b.name, b.pace = "seqs-16 大批", 7*time.Millisecond
	plan := lab.Plan{ID: "20261130-120000-plan", Made: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), Name: "quick", Pairs: 3, Phase: "load", Primary: "output_throughput",
		Margin: 0.03, Alpha: 0.05, Fresh: true, A: a.experiment(), B: b.experiment(), Guardrails: []lab.Guardrail{{Phase: "load", Metric: "error_share", Margin: 0.03}}}
	four := 8
	plan.B.Server.MaxNumSeqs = &four
	v := ABView{Lang: lang, Lab: "test"}
	var runs []lab.Sealed
	tables := map[string]lab.Tables{}
	for i, arm := range "ABBAAB"[:2*pairs] {
		plan.Order = "ABBAAB"
		one := map[rune]made{'A': a, 'B': b}[arm]
		one.seed = uint64(i + 1)
		s, t := one.run()
		s.Run.Plan, s.Run.Arm, s.Run.Block, s.Run.Slot = &plan, string(arm), i/2+1, i
		s.Run.Experiment = map[rune]lab.Experiment{'A': plan.A, 'B': plan.B}[arm]
		runs, tables[s.Run.ID] = append(runs, s), t
	}
	v.Gate = report.Gate{Verdict: compare.Judge(plan, runs)}
	one, other, shown := TypicalPair(v.Gate.Verdict, runs)
	var sides [2][]correlate.Hardware
	for _, ref := range v.Gate.Verdict.Runs {
		for _, s := range runs {
			if s.Run.ID != ref.ID {
				continue
			}
			t := tables[ref.ID]
			h := correlate.Explain(s.Run, t)
			run := ABRun{Ref: ref, Sealed: s}
			if v.Gate.Verdict.Look.Number > 0 {
				run.Hardware, run.Values = &h, Latencies(t.Requests, "load")
				sides[int(ref.Arm[0]-'A')] = append(sides[int(ref.Arm[0]-'A')], h)
			}
			v.Runs = append(v.Runs, run)
			if shown && (ref.ID == one || ref.ID == other) {
				v.Pair = append(v.Pair, Side{Arm: ref.Arm, Sealed: s, Tables: t, Timeline: correlate.Over(s.Run, t), Hardware: h})
			}
		}
	}
	v.Gate.Hardware = correlate.Between(sides[0], sides[1])
	return v
}
