package page

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/profiling"
	"lab/store"
)

func at(minutes int) time.Time {
	return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
}

// sealedOf is a run with the figures that a sweep or a history shows.
func sealedOf(id string, minutes int, throughput, ttft, tpot float64) lab.Sealed {
	r := lab.Run{ID: id, Outcome: lab.Complete, Ended: 20 * time.Second, Epoch: lab.Epoch{Wall: at(minutes)}, Host: lab.Host{Name: "盒子", CPU: "CPU", Cores: 8, Memory: 1 << 35, Driver: "580.95"},
		Server:     lab.ServerFacts{Version: "0.32.0", Argv: []string{"vllm", "serve", "千问/模型", "it's </script><b>"}},
		Experiment: lab.Experiment{Name: "base", Primary: "output_throughput", Margin: .03, Server: lab.Server{Model: "千问/模型"}, Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Concurrency: 8, Requests: 100}}}}}
	r.Key = r.Experiment.Key()
	s := lab.Summary{Phases: []lab.Tally{{Phase: "load", Judged: true, Offered: 100, OK: 100}}}
	for _, f := range []lab.Figure{{Metric: "output_throughput", Unit: "tok/s", Value: throughput}, {Metric: "ttft.mean", Unit: "s", Value: ttft}, {Metric: "tpot.mean", Unit: "s", Value: tpot}} {
		f.Phase, f.N = "load", 100
		s.Figures = append(s.Figures, f)
	}
	return lab.Sealed{Run: r, Summary: s}
}

// madeSweep is three values of one key by four of another, three runs of each: two cells are alike, a run is invalid, a server
// does not start.
func madeSweep(lang string) SweepView {
	random := rand.New(rand.NewPCG(5, 5))
	v := SweepView{Lang: lang, Lab: "test", Sweep: lab.Sweep{ID: "20261130-120000-swep", Made: at(0), Name: "扫描 <a&b>", File: "/home/用户/grid.yaml", Seed: 7, Repeats: 3}}
	for i, seqs := range []string{"4", "16", "64"} {
		for j, concurrency := range []string{"1", "8", "32", "128"} {
			c := lab.Cell{Name: "max_num_seqs=" + seqs + " concurrency=" + concurrency, Result: fmt.Sprint("r", i, j),
				Values: []lab.Setting{{Path: "server.max_num_seqs", Value: seqs}, {Path: "load.concurrency", Value: concurrency}}}
			cell := report.SweptCell{Cell: c}
			if i == 2 && j == 3 {
				s := sealedOf("20261130-120100-fail", 1, 0, 0, 0)
				s.Run.Outcome, s.Summary = lab.Failed, lab.Summary{}
				s.Run.Failure = &lab.Failure{Class: lab.FailMemory, Reason: "no memory for the KV cache: lower gpu_memory_utilization", Quote: []string{"ERROR <KV cache>", "torch.OutOfMemoryError"}}
				s.Run.Sweep = &lab.SweepPlace{ID: v.Sweep.ID, Cell: c.Name, Repeat: 1}
				cell.Runs = append(cell.Runs, s)
			}
			limit := math.Min([]float64{4, 16, 64}[i], []float64{1, 8, 32, 128}[j])
			for repeat := 1; repeat <= 3 && cell.Runs == nil || len(cell.Runs) > 0 && cell.Runs[0].Run.Failure == nil && repeat <= 3; repeat++ {
				noise := math.Exp(.01 * random.NormFloat64())
				s := sealedOf(fmt.Sprintf("20261130-12%02d%02d-run%d", i, j, repeat), i*12+j*3+repeat, 100*limit*noise, .02*[]float64{1, 8, 32, 128}[j]/limit*noise, .01*(1+limit/64)*noise)
				s.Run.Sweep = &lab.SweepPlace{ID: v.Sweep.ID, Name: v.Sweep.Name, Cell: c.Name, Repeat: repeat}
				if i == 0 && j == 1 && repeat == 2 {
					s.Run.Findings = []lab.Finding{{Code: "client-lag", Level: lab.Invalid, Detail: "the client was the limit"}}
				}
				cell.Runs = append(cell.Runs, s)
			}
			v.Sweep.Cells = append(v.Sweep.Cells, c)
			v.Cells = append(v.Cells, cell)
		}
	}
	return v
}

// madeBaseline is two captures and two checks of one configuration, which loses a tenth of its throughput with a new driver.
func madeBaseline(lang string) BaselineView {
	random := rand.New(rand.NewPCG(6, 6))
	v := BaselineView{Lang: lang, Lab: "test"}
	var runs []lab.Sealed
	made := func(minutes int, level float64, part func(*lab.Run)) lab.Sealed {
		s := sealedOf(fmt.Sprintf("20261130-%06d-base", len(runs)), minutes, level*math.Exp(.005*random.NormFloat64()), .02, .01)
		part(&s.Run)
		runs = append(runs, s)
		return s
	}
	driver := ""
	capture := func(id string, minutes, n int, level float64) {
		b := store.Baseline{Capture: lab.Capture{Name: "before", ID: id, Runs: n}}
		v.Runs = nil
		for i := range n {
			s := made(minutes+i, level, func(r *lab.Run) { r.Baseline = &b.Capture; r.Host.Driver += driver })
			v.Runs = append(v.Runs, s)
			b.Runs = append(b.Runs, store.Entry{ID: s.Run.ID, Outcome: lab.Complete, Valid: true, Started: s.Run.Epoch.Wall})
		}
		v.Captures = append(v.Captures, b)
	}
	check := func(id string, minutes int, level, other float64) {
		plan := lab.Plan{ID: id, Made: at(minutes), Baseline: "before", Name: "quick", Pairs: 3, Order: "ABBAAB", Phase: "load", Primary: "output_throughput", Margin: .03, Alpha: .05, Fresh: true}
		plan.A = sealedOf("", 0, 1, 1, 1).Run.Experiment
		plan.B = plan.A
		plan.B.Name, plan.B.Server.Model = "调优 tuned", "千问/其他"
		var of []lab.Sealed
		for i, arm := range plan.Order {
			block := func(r *lab.Run) {
				r.Plan, r.Arm, r.Block, r.Slot = &plan, string(arm), i/2+1, i
				r.Host.Driver += driver
			}
			if arm == 'A' {
				of = append(of, made(minutes+i, level, block))
				continue
			}
			s := sealedOf(fmt.Sprintf("20261130-%s-%d", id, i), minutes+i, other*math.Exp(.005*random.NormFloat64()), .02, .01)
			block(&s.Run)
			of = append(of, s)
		}
		v.Checks = append(v.Checks, report.Gate{Verdict: compare.Judge(plan, of), Rulings: compare.Rules(plan, of, []compare.Rule{compare.Harm(plan)})})
	}
	capture("20261130-120000-cap1", 0, 5, 1000)
	check("20261130-130000-chk1", 60, 1000, 1100)
	driver = "-neu"
	check("20261130-140000-chk2", 120, 900, 810)
	capture("20261130-150000-cap2", 180, 4, 900)
	v.History = compare.HistoryOf(runs[0].Run.Experiment, runs)
	return v
}

func readTrace(t testing.TB, name string) profiling.Summary {
	t.Helper()
	s, err := profiling.Read(t.Context(), filepath.Join("..", "..", "..", "profiling", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// others are the pages of what is neither a run nor an A/B.
func others(t testing.TB, lang string) map[string]func() Document {
	gpu, old, new := readTrace(t, "hta-rank0.json.gz"), readTrace(t, "vllm-0.17.1-worker.json.gz"), readTrace(t, "vllm-0.32-worker.json.gz")
	return map[string]func() Document{
		"sweep":    func() Document { return Sweep(madeSweep(lang)) },
		"baseline": func() Document { return Baseline(madeBaseline(lang)) },
		"trace":    func() Document { return Trace(TraceView{Lang: lang, Lab: "test", Trace: gpu}) },
		"diff": func() Document {
			return ProfileDiff(ProfileDiffView{Lang: lang, Lab: "test", A: "old.json", B: "new <b>.json", Diff: profiling.Diff([]*profiling.Summary{&old}, []*profiling.Summary{&new})})
		},
	}
}
