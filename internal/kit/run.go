package kit

import (
	"cmp"
	"slices"
	"time"

	"lab/internal/lab"
)

// BenchOf is what the kit's outputs say of one phase of a stored run, as if `vllm bench serve` had been asked for it with
// the metrics that the kit's sweep asks for.
func BenchOf(run lab.Run, t lab.Tally) Bench {
	e := run.Experiment
	i := slices.IndexFunc(e.Phases, func(p lab.Phase) bool { return p.Name == t.Phase })
	load := lab.Load{}
	if i >= 0 {
		load = e.Phases[i].Load
	}
	b := Bench{
		Date: run.Epoch.Wall.Add(t.End).Local(), Backend: "openai", Model: cmp.Or(e.Server.Model, run.Server.ServedName, e.Server.BaseURL),
		Requests: cmp.Or(load.Requests, t.Offered), Rate: float64(load.Rate), Burstiness: float64(cmp.Or(load.Burstiness, 1)),
		Concurrency: load.Concurrency, RampUp: load.RampUp, Goodput: e.SLO, Detailed: true,
		Metrics: []string{"ttft", "tpot", "itl", "e2el"}, Percentiles: []float64{99},
	}
	if load.API == "chat" {
		b.Backend = "openai-chat"
	}
	b.Tokenizer = cmp.Or(load.Dataset.Tokenizer, b.Model)
	return b
}

// ReportOf measures one phase of a stored run by the kit's definitions, from its records.
func ReportOf(run lab.Run, t lab.Tally, records []lab.RequestRecord) Report {
	return BenchOf(run, t).Of(run, t, records)
}

// Of measures one phase of a stored run and says b beside the numbers.
func (b Bench) Of(run lab.Run, t lab.Tally, records []lab.RequestRecord) Report {
	if up := b.RampUp; up != nil {
		began := run.Epoch.Wall.Local()
		var due []time.Time
		for _, r := range records {
			if r.Phase == t.Phase {
				due = append(due, began.Add(r.Intended))
			}
		}
		slices.SortFunc(due, time.Time.Compare)
		b.RPSChanges = RampEvents(*up, began.Add(t.Start), due)
	}
	return Measure(b, ListsOf(records, t.Phase, time.Duration(run.Epoch.Monotonic)), seconds(t.End-t.Start))
}
