package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
	"lab/store"
)

// Run prints one run: what it was, its numbers, and what is doubtful about them.
func Run(w io.Writer, s lab.Sealed, o Options) error {
	p := &printer{w: w, o: o}
	p.run(s)
	return p.err
}

func (p *printer) run(s lab.Sealed) {
	p.facts(s)
	p.failure(s.Run)
	p.capture(s.Run)
	for _, t := range s.Summary.Phases {
		p.line("")
		p.phaseFigures(load(s.Run.Experiment, t.Phase), s.Summary, t)
	}
	p.findings(s.Run)
}

// facts are what was run, when and where.
func (p *printer) facts(s lab.Sealed) {
	p.of = OfFacts
	r := s.Run
	g := &grid{}
	g.add("run", r.ID+"  "+r.Experiment.Name)
	g.add("outcome", p.outcome(r))
	if r.Plan != nil {
		g.add("part of", fmt.Sprintf("A/B %s, arm %s, pair %d", r.Plan.ID, r.Arm, r.Block))
	}
	if s := r.Sweep; s != nil {
		g.add("part of", fmt.Sprintf("sweep %s, cell %s, repeat %d", s.ID, s.Cell, s.Repeat))
	}
	g.add("when", fmt.Sprintf("%s, took %s", Moment(r.Epoch.Wall), length(r.Ended)))
	g.add("server", server(r))
	if took := startup(r.Server.Stages); took > 0 {
		g.add("start-up", length(took)+stages(r.Server.Stages))
	}
	if r.Host.Name != "" { // of an imported run nobody knows
		g.add("machine", fmt.Sprintf("%s, %s, %d cores, %.0f GiB", r.Host.Name, r.Host.CPU, r.Host.Cores, r.Host.Memory.GiB()))
	}
	for _, d := range r.Host.GPUs {
		g.add("", fmt.Sprintf("GPU %d: %s, %.0f GiB, driver %s", d.Index, d.Name, d.Memory.GiB(), r.Host.Driver))
		for _, use := range r.Server.GPUs {
			if use.UUID != d.UUID {
				continue
			}
			for _, line := range gpuMemory(use) {
				g.add("", "  "+line)
			}
		}
	}
	if r.StartTemp != nil {
		g.add("", fmt.Sprintf("hottest GPU %.0f °C before the start", *r.StartTemp))
	}
	if d := s.Summary.Definitions; d > 0 && d != metric.Definitions { // 0: by another program
		g.add("formulas", fmt.Sprintf("definitions %d, today's are %d: see docs/metrics.md", d, metric.Definitions))
	}
	p.grid(g, "")
}

func (p *printer) outcome(r lab.Run) string {
	text := string(r.Outcome)
	switch {
	case r.Profile != nil:
		text += ", profiled"
	case r.Outcome == lab.Complete && !r.Valid():
		text += ", INVALID"
	}
	return p.bold(text)
}

func server(r lab.Run) string {
	s := r.Experiment.Server
	version := "vllm " + r.Server.Version
	if s.Simulator != nil {
		version = "simulated vllm " + s.Simulator.As
	}
	if s.BaseURL != "" {
		return fmt.Sprintf("%s at %s, which already ran", version, s.BaseURL)
	}
	if s.Model == "" { // of an imported run whose file does not say
		return strings.TrimSpace(version)
	}
	return fmt.Sprintf("%s, model %s", strings.TrimSpace(version), s.Model)
}

func startup(all []lab.Stage) time.Duration {
	if len(all) == 0 {
		return 0
	}
	last := all[len(all)-1]
	return last.At + last.Took - all[0].At
}

// stages names the parts of a start-up that took the most.
func stages(all []lab.Stage) string {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b lab.Stage) int { return int(b.Took - a.Took) })
	var parts []string
	for _, s := range sorted[:min(3, len(sorted))] {
		parts = append(parts, s.Name+" "+length(s.Took))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (p *printer) failure(r lab.Run) {
	if r.Failure == nil {
		return
	}
	p.of = OfFailure
	p.line("")
	p.paragraph("failed   ", fmt.Sprintf("%s: %s", r.Failure.Class, r.Failure.Reason))
	if r.Failure.Exit != "" {
		p.line("         %s", r.Failure.Exit)
	}
	for _, line := range r.Failure.Quote {
		p.line("       | %s", line)
	}
}

// phaseFigures prints the figures of one phase: latencies as a table, the rest as a list.
func (p *printer) phaseFigures(l lab.Load, s lab.Summary, t lab.Tally) {
	p.of, p.phase = OfLoad, t.Phase
	defer func() { p.phase = "" }()
	judged := ""
	if !t.Judged {
		judged = " (not judged)"
	}
	p.paragraph("phase "+t.Phase+judged+"  ", point(l)+"; "+work(l))
	p.paragraph("  ", fmt.Sprintf("%d of %d requests succeeded in %s; %d tokens in, %d out", t.OK, t.Offered, length(t.End-t.Start), t.Input, t.Output))
	p.of = OfLatency
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true}, spare: []int{4, 3}}
	g.head("", "mean", "p50", "p90", "p95", "p99", "n")
	for _, q := range []string{"ttft", "tpot", "itl", "e2el"} {
		row := []string{strings.ToUpper(q), "-", "-", "-", "-", "-", "-"} // another program may not say all of them
		said := false
		for i, stat := range []string{"mean", "p50", "p90", "p95", "p99"} {
			f, ok := s.Figure(t.Phase, q+"."+stat)
			if !ok {
				continue
			}
			row[i+1], said = value(f.Value, f.Unit), true
			if f.N > 0 {
				row[6] = fmt.Sprint(f.N)
			}
		}
		if said {
			g.add(row...)
		}
	}
	if len(g.rows) > 1 {
		p.grid(g, "  ")
	}
	p.of = OfFigures
	list := &grid{right: map[int]bool{1: true}}
	for _, f := range s.Figures {
		m, known := metric.Find(f.Metric)
		if f.Phase != t.Phase || !known || perRequest(f.Metric) || m.Own || ofStep(f.Metric) {
			continue
		}
		list.add(m.Title, value(f.Value, f.Unit))
	}
	p.grid(list, "  ")
	p.client(s, t.Phase)
}

// perRequest says whether a metric is in the table of latencies.
func perRequest(name string) bool {
	quantity, _, _ := strings.Cut(name, ".")
	return slices.Contains([]string{"ttft", "tpot", "itl", "e2el"}, quantity)
}

// findingMark is the word before a finding.
func findingMark(level lab.Level) string {
	switch level {
	case lab.Invalid:
		return "INVALID  "
	case lab.Warning:
		return "warning  "
	}
	return "note     "
}

func (p *printer) findings(r lab.Run) {
	p.of = OfFindings
	if len(r.Findings)+len(r.Server.Inert) > 0 {
		p.line("")
	}
	for _, f := range r.Findings {
		p.paragraph(findingMark(f.Level), f.Code+": "+f.Detail)
	}
	for _, inert := range r.Server.Inert {
		p.paragraph("note     ", inert)
	}
	if stop := r.Server.Stop; stop != nil {
		for _, left := range stop.Leftovers {
			p.paragraph("note     ", "after the stop: "+left)
		}
	}
}

// List prints the runs of the store, newest last.
func List(w io.Writer, entries []store.Entry, o Options) error {
	p := &printer{w: w, o: o}
	if len(entries) == 0 {
		p.line("no runs yet; `lab demo` makes some")
		return p.err
	}
	g := &grid{right: map[int]bool{4: true, 5: true, 6: true}, free: 1}
	narrow := o.width() < 100 // without TTFT
	add := func(run, experiment, place, outcome, ttft, tpot, output string) {
		if narrow {
			g.add(run, experiment, place, outcome, tpot, output)
			return
		}
		g.add(run, experiment, place, outcome, ttft, tpot, output)
	}
	add("run", "experiment", "A/B", "outcome", "TTFT", "TPOT", "output")
	for _, e := range entries {
		l := LineOf(e)
		add(l.ID, l.Name, l.Place, l.Outcome, l.TTFT, l.TPOT, l.Output)
	}
	p.grid(g, "")
	return p.err
}
