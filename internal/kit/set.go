package kit

import "lab/internal/lab"

// Set is the vllm set of a run: for every phase what `vllm bench serve` would say of it, under the keys of its result,
// by the definitions named Definition. It stands beside lab's own figures and is never mixed with them. Phases without a
// success have no figures, where the kit says 0.
func Set(run lab.Run, phases []lab.Tally, records []lab.RequestRecord) *lab.FigureSet {
	set := &lab.FigureSet{Definition: Definition}
	for _, t := range phases {
		set.Figures = append(set.Figures, ReportOf(run, t, records).figures(t.Phase)...)
	}
	if len(set.Figures) == 0 {
		return nil
	}
	return set
}

func (r Report) figures(phase string) []lab.Figure {
	if r.Completed == 0 {
		return nil
	}
	var all []lab.Figure
	add := func(metric, unit string, v float64, n int) {
		all = append(all, lab.Figure{Phase: phase, Metric: metric, Unit: unit, Value: v, N: n})
	}
	add("request_throughput", "req/s", r.RequestThroughput, r.Completed)
	if len(r.Bench.Goodput) > 0 {
		add("request_goodput", "req/s", r.Goodput, r.Completed)
	}
	add("output_throughput", "tok/s", r.OutputThroughput, r.Completed)
	add("total_token_throughput", "tok/s", r.TotalThroughput, r.Completed)
	add("max_output_tokens_per_s", "messages/s", r.PeakOutput, r.Completed)
	add("max_concurrent_requests", "requests", float64(r.PeakConcurrent), r.Completed)
	for _, s := range r.Statistics {
		if s.N == 0 {
			continue
		}
		add("mean_"+s.Metric+"_ms", "ms", s.Mean, s.N)
		add("median_"+s.Metric+"_ms", "ms", s.Median, s.N)
		add("std_"+s.Metric+"_ms", "ms", s.Std, s.N)
		for i, p := range r.Bench.Percentiles {
			add("p"+percentWord(p)+"_"+s.Metric+"_ms", "ms", s.Percentiles[i], s.N)
		}
	}
	return all
}
