package report

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lab/profiling"
)

const profileLines = 10 // of kernels, operators, functions; the document has more

// ProfileJSON writes the summary of a trace as a document.
func ProfileJSON(w io.Writer, s profiling.Summary) error {
	return document(w, struct {
		Schema string `json:"schema"`
		profiling.Summary
	}{"lab.profile/v1", s})
}

// Profile prints the summary of a trace: what it is, where the time went, and what is doubtful about it.
func Profile(w io.Writer, s profiling.Summary, o Options) error {
	p := &printer{w: w, o: o}
	p.profile(s)
	return p.err
}

func (p *printer) profile(s profiling.Summary) {
	p.paragraph("trace    ", fmt.Sprintf("%s, %s (%s of JSON), %d events", filepath.Base(s.File), bytesOf(s.FileBytes), bytesOf(s.JSONBytes), s.Events))
	p.paragraph("from     ", profileSource(s))
	if s.Window != nil {
		p.line("window   %s", span(s.Window.Took))
	}
	for _, note := range profileNotes(s) {
		p.paragraph("note     ", note)
	}
	p.profileSteps(s)
	for _, g := range s.GPUs {
		p.profileGPU(g, s.Steps != nil)
	}
	p.profileGraphs(s.Graphs)
	p.profileCategories(s)
	p.profileKernels(s)
	p.profileCalls(s.Calls)
	p.profileOperators("operators of the CPU", s.Operators, s.Unnamed)
	p.profileOperators("Python functions", s.Functions, nil)
}

func bytesOf(n int64) string {
	if n < 1e6 {
		return digits(float64(n)/1e3) + " kB"
	}
	return digits(float64(n)/1e6) + " MB"
}

func span(d time.Duration) string { return value(d.Seconds(), "s") }

func profileSource(s profiling.Summary) string {
	parts := []string{"torch.profiler"}
	if s.Source.VLLM != "" {
		parts = []string{"vLLM " + s.Source.VLLM}
	}
	if s.Source.Rank != nil && s.Source.WorldSize != nil {
		parts = append(parts, fmt.Sprintf("rank %d of %d", *s.Source.Rank, *s.Source.WorldSize))
	}
	if s.Source.Host != "" {
		parts = append(parts, "host "+s.Source.Host)
	}
	if len(s.GPUs) == 0 {
		parts = append(parts, "no work on a GPU in it")
	}
	return strings.Join(parts, ", ")
}

// profileNotes are what the reader must know before believing the numbers.
func profileNotes(s profiling.Summary) []string {
	var notes []string
	add := func(when bool, format string, args ...any) {
		if when {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	add(!s.Complete, "INCOMPLETE: %s; the figures are of what could be read", s.Damage)
	add(s.Resyncs > 0, "%d damaged stretches were passed over, each with the event it began in", s.Resyncs)
	add(s.Unread > 0, "%d entries in the list of events are no events", s.Unread)
	add(s.BadTimes > 0, "%d events have no usable time and are left out", s.BadTimes)
	add(s.Unordered > 0, "%d events of the CPU are out of order: no self times, no categories of operators", s.Unordered)
	add(s.Source.Stacks, "recorded with Python stacks: taking them makes every step longer")
	add(*orZero(s.Overhead) > 0, "the profiler itself took %s", span(*orZero(s.Overhead)))
	switch {
	case s.Steps == nil && len(s.GPUs)+len(s.Operators)+len(s.Functions) == 0:
		notes = append(notes, "nothing but the window was recorded: the API server's trace is like that; the steps are in the workers' traces")
	case s.Steps == nil:
		notes = append(notes, "no step is marked in it, so nothing is told by step")
	default:
		add(s.Steps.Marker == "execute_new_N_cached_N", "the markers of this vLLM tell no tokens; a prefill that goes on after its first step counts as decode there")
		add(s.Steps.Coverage != nil && *s.Steps.Coverage < .95, "only %s of the GPU's busy time was launched by marked steps: take the figures by step as a hint", value(*orZero(s.Steps.Coverage), "share"))
	}
	for _, line := range s.Source.Log {
		notes = append(notes, "the profiler wrote: "+line)
	}
	return notes
}

func orZero[T any](v *T) *T {
	if v == nil {
		return new(T)
	}
	return v
}

func (p *printer) profileSteps(s profiling.Summary) {
	if s.Steps == nil {
		return
	}
	p.line("")
	p.line("steps, marked %s", s.Steps.Marker)
	g := &grid{right: map[int]bool{2: true, 3: true, 4: true, 5: true}, free: 1}
	g.head("", "", "n", "mean", "p50", "p90")
	for _, k := range s.Steps.Kinds {
		name := string(k.Kind)
		for _, f := range []struct {
			title string
			v     *profiling.Spread
		}{{"CPU, the marked span", k.CPU}, {"from step to step", k.Period}, {"GPU busy", k.GPU}, {"GPU idle, launched too late", k.HostGap}} {
			if f.v != nil {
				g.add(name, f.title, fmt.Sprint(f.v.N), span(f.v.Mean), span(f.v.P50), span(f.v.P90))
				name = ""
			}
		}
	}
	p.grid(g, "  ")
	for _, k := range s.Steps.Kinds {
		if l := k.Load; l != nil && k.Kind != profiling.Empty {
			p.paragraph("  ", fmt.Sprintf("%s: %d requests and %d tokens of prefill, %d and %d of decode in %d steps", k.Kind, l.PrefillRequests, l.PrefillTokens, l.DecodeRequests, l.DecodeTokens, k.N))
		}
	}
}

func (p *printer) profileGPU(g profiling.GPU, steps bool) {
	within := ""
	if steps {
		within = " within a step"
	}
	p.line("")
	title := fmt.Sprintf("GPU %d  ", g.Device)
	name := ""
	if g.Name != "" {
		name = g.Name + ": "
	}
	part := func(d time.Duration) string { return value(d.Seconds()/max(g.Span, 1).Seconds(), "share") }
	p.paragraph(title, fmt.Sprintf("%s%d activities in %s; busy %s (%s), idle %s (%s)", name, g.Activities, span(g.Span), span(g.Busy), part(g.Busy), span(g.Idle), part(g.Idle)))
	work := []string{"compute " + span(g.Compute)}
	if g.Comm > 0 {
		work = append(work, fmt.Sprintf("communication %s (%s of it while nothing else ran)", span(g.Comm), span(g.ExposedComm)))
	}
	if g.Copies > 0 {
		work = append(work, "copies and fills "+span(g.Copies))
	}
	p.paragraph("  ", "busy with "+strings.Join(work, ", ")+"; what overlaps counts in each")
	if g.LaunchBound != nil {
		p.paragraph("  ", fmt.Sprintf("launch-bound %s: for so much of the time the GPU had nothing to do because the CPU launched too late%s", value(*g.LaunchBound, "share"), within))
	}
	if len(g.Gaps) == 0 {
		return
	}
	table := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}, free: 0}
	head := []string{"idle before work that", "n", "idle", "share", "longest"}
	if g.Gaps[0].Between != nil {
		head = append(head, "between steps")
	}
	table.add(head...)
	for _, gap := range g.Gaps {
		row := []string{gapTitles[gap.Cause], fmt.Sprint(gap.N), span(gap.Idle), part(gap.Idle), span(gap.Longest)}
		if gap.Between != nil {
			row = append(row, span(*gap.Between))
		}
		table.add(row...)
	}
	p.grid(table, "  ")
}

var gapTitles = map[profiling.Cause]string{
	profiling.HostCause:    "was launched too late (host)",
	profiling.SyncCause:    "was launched after a wait or copy (sync)",
	profiling.DeviceCause:  "was launched in time (device)",
	profiling.GraphCause:   "follows in the same CUDA graph (graph)",
	profiling.UnknownCause: "has no launch in the trace (unknown)",
}

func (p *printer) profileGraphs(g *profiling.Graphs) {
	if g == nil {
		return
	}
	p.line("")
	p.paragraph("CUDA graphs  ", fmt.Sprintf("%d replays ran %d activities (%d each at the median, %d at most), %s = %s of the GPU time. "+
		"A trace does not tell which operator or layer a part of a replay belongs to.", g.Replays, g.Activities, g.Median, g.Largest, span(g.Took), value(g.Share, "share")))
}

// kindsIn are the kinds of step for which any of the tables has a time.
func kindsIn(s profiling.Summary) []profiling.StepKind {
	var kinds []profiling.StepKind
	if s.Steps == nil {
		return nil
	}
	for _, k := range s.Steps.Kinds {
		if slices.ContainsFunc(s.Categories, func(c profiling.Category) bool { return c.PerStep[k.Kind] > 0 }) && k.Kind != profiling.Empty {
			kinds = append(kinds, k.Kind)
		}
	}
	return kinds
}

func (p *printer) profileCategories(s profiling.Summary) {
	if len(s.Categories) == 0 {
		return
	}
	p.line("")
	if s.Basis == profiling.GPUTime {
		p.line("GPU time by category (durations; what overlaps counts each time)")
	} else {
		p.line("CPU time by category of operator (self time)")
	}
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true}}
	kinds := kindsIn(s)
	head := []string{"", "n", "time", "share"}
	for _, k := range kinds {
		if k == profiling.Whole {
			head = append(head, "a step")
		} else {
			head = append(head, "a "+string(k)+" step")
		}
	}
	g.head(head...)
	for _, c := range s.Categories {
		row := []string{c.Name, fmt.Sprint(c.N), span(c.Took), value(c.Share, "share")}
		for _, k := range kinds {
			per := "-"
			if d, ok := c.PerStep[k]; ok {
				per = span(d)
			}
			row = append(row, per)
		}
		g.add(row...)
	}
	p.grid(g, "  ")
}

func (p *printer) profileKernels(s profiling.Summary) {
	if len(s.Kernels) == 0 {
		return
	}
	p.line("")
	p.line("kernels, copies and fills (share of the GPU time)")
	g := &grid{right: map[int]bool{0: true, 1: true, 2: true, 3: true}, free: 5}
	g.head("share", "time", "n", "mean", "category", "name")
	for _, k := range s.Kernels[:min(profileLines, len(s.Kernels))] {
		g.add(value(k.Share, "share"), span(k.Took), fmt.Sprint(k.N), span(k.Mean), k.Category, kernelName(k.Name))
	}
	p.grid(g, "  ")
	names, n, took := 0, int64(0), time.Duration(0)
	for _, k := range s.Kernels[min(profileLines, len(s.Kernels)):] {
		names, n, took = names+1, n+k.N, took+k.Took
	}
	if s.Others != nil {
		names, n, took = names+s.Others.Names, n+s.Others.N, took+s.Others.Took
	}
	if names > 0 {
		p.line("  and %d more names: %d in %s", names, n, span(took))
	}
}

func (p *printer) profileCalls(calls []profiling.Call) {
	if len(calls) == 0 {
		return
	}
	p.line("")
	p.line("calls of the GPU's runtime (time on the CPU)")
	g := &grid{right: map[int]bool{0: true, 1: true, 2: true}, free: 3}
	g.head("time", "n", "mean", "name")
	for _, c := range calls[:min(5, len(calls))] {
		g.add(span(c.Took), fmt.Sprint(c.N), span(c.Mean), printable(c.Name))
	}
	p.grid(g, "  ")
}

func (p *printer) profileOperators(title string, all []profiling.Operator, unnamed *time.Duration) {
	if len(all) == 0 {
		return
	}
	p.line("")
	g := &grid{right: map[int]bool{0: true, 1: true, 2: true, 3: true}, free: 4}
	if all[0].Self == nil {
		p.line("%s (with what they called)", title)
		g.head("", "time", "n", "", "name")
	} else {
		p.line("%s (self time: without what they called; share of all self time)", title)
		g.head("share", "self", "n", "with calls", "name")
	}
	for _, o := range all[:min(profileLines, len(all))] {
		if o.Self == nil {
			g.add("", span(o.Took), fmt.Sprint(o.N), "", printable(o.Name))
		} else {
			g.add(value(*o.Share, "share"), span(*o.Self), fmt.Sprint(o.N), span(o.Took), printable(o.Name))
		}
	}
	p.grid(g, "  ")
	if unnamed != nil {
		p.line("  in steps and other marked spans, but in none of the operators: %s", span(*unnamed))
	}
}

// kernelName shortens a C++ name: without its parameters and the namespaces that say nothing.
func kernelName(name string) string {
	name = strings.TrimPrefix(printable(name), "void ")
	for _, noise := range []string{"(anonymous namespace)::", "at::native::", "c10::", "vllm::"} {
		name = strings.ReplaceAll(name, noise, "")
	}
	depth := 0
	for i, c := range name {
		switch c {
		case '<':
			depth++
		case '>':
			depth--
		case '(':
			if depth == 0 && i > 0 && name[i-1] != ' ' {
				return name[:i]
			}
		}
	}
	return name
}

// printable drops what would disturb a terminal: names come from a file.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(name, "?"))
}
