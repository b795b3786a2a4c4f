package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Verdict prints the answer to an A/B: the word, what it rests on, what else was seen, and what differed.
func Verdict(w io.Writer, v lab.Verdict, o Options) error {
	p := printer{w: w, o: o}
	plan := v.Plan
	p.line("A  %s", plan.A.Name)
	p.line("B  %s", plan.B.Name)
	for _, d := range v.Different {
		if !strings.HasPrefix(d.Path, "resolved.") {
			p.line("   differs in %s: %s -> %s", d.Path, orDefault(d.A), orDefault(d.B))
		}
	}
	if len(v.Different) == 0 {
		p.line("   the two are the same")
	}
	p.line("")
	p.headline(v)
	p.line("")
	p.sentence(v)
	p.line("")
	p.table(v)
	p.settled(v)
	p.notes(v)
	return p.err
}

// printer writes lines and remembers the first error.
type printer struct {
	w   io.Writer
	o   Options
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

func (p *printer) paragraph(label, text string) {
	if p.err == nil {
		p.err = paragraph(p.w, label, text, p.o.Width)
	}
}

func (p *printer) grid(g *grid, indent string) {
	if p.err == nil {
		p.err = g.write(p.w, indent)
	}
}

func orDefault(text string) string {
	if text == "" {
		return "(not set)"
	}
	return text
}

func (p *printer) headline(v lab.Verdict) {
	word := strings.ToUpper(string(v.Call))
	switch v.Call {
	case lab.Better, lab.Worse:
		word = "B is " + word
	case lab.NoDifference:
		word = "NO DIFFERENCE"
	}
	text := bold(word, p.o)
	if v.Qualifier != "" {
		text += ", " + v.Qualifier
	}
	if v.Call == lab.NoDifference {
		text += fmt.Sprintf(" of %g %% or more", v.Plan.Margin*100)
	}
	p.line("%s", text)
}

// sentence says in plain words what the word rests on.
func (p *printer) sentence(v lab.Verdict) {
	r, plan := v.Primary, v.Plan
	m, _ := metric.Find(r.Metric)
	if r.Low == nil {
		reason := r.Reason
		if reason == "" {
			reason = "there is no interval"
		}
		p.paragraph("", fmt.Sprintf("Decided by %s in phase %s: %s.", m.Title, plan.Phase, reason))
		return
	}
	direction := "lower is better"
	if r.Higher {
		direction = "higher is better"
	}
	p.paragraph("", fmt.Sprintf("%s (%s; %s): A %s, B %s. B against A: %s, %.0f %% interval %s to %s, p = %s, n = %d runs an arm, a fresh server each. Differences below %g %% do not matter (margin).",
		m.Title, direction, m.Formula, value(r.A, r.Unit), value(r.B, r.Unit), change(r.Delta, r.Absolute, r.Unit),
		r.Level*100, change(*r.Low, r.Absolute, r.Unit), change(*r.High, r.Absolute, r.Unit), probability(*r.P), r.N, plan.Margin*100))
	if v.Call == lab.Inconclusive {
		p.paragraph("", p.whatItTakes(v))
	}
	if r.CV != nil && v.MDE != nil {
		p.paragraph("", fmt.Sprintf("Noise from run to run %.2g %%; this plan sees differences of %.2g %% and more (80 %% power); drift over 10 runs %s, taken out.",
			*r.CV*100, *v.MDE*100, change(*r.Drift, false, "")))
	}
}

func (p *printer) whatItTakes(v lab.Verdict) string {
	if v.PairsNeeded == 0 {
		return "Too noisy to tell: not even 1000 pairs would settle a difference of the margin."
	}
	return fmt.Sprintf("Too noisy to tell: about %d pairs would settle a difference of the margin (--pairs %d), or longer runs, or a wider margin.", v.PairsNeeded, v.PairsNeeded)
}

func probability(p float64) string {
	if p < 0.0001 {
		return "<0.0001"
	}
	return fmt.Sprintf("%.4f", p)
}

// table lists the other metrics. They inform; only the primary decides.
func (p *printer) table(v lab.Verdict) {
	if len(v.Rows) == 0 {
		return
	}
	phases := map[string]bool{}
	for _, r := range v.Rows {
		phases[r.Phase] = true
	}
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
	g.add("for information", "A", "B", "B against A", fmt.Sprintf("%.0f %% interval", v.Primary.Level*100), "")
	for _, r := range v.Rows {
		m, _ := metric.Find(r.Metric)
		title := m.Title
		if len(phases) > 1 {
			title = r.Phase + ": " + title
		}
		interval := "-"
		if r.Low != nil {
			interval = change(*r.Low, r.Absolute, r.Unit) + " to " + change(*r.High, r.Absolute, r.Unit)
		}
		g.add(title, value(r.A, r.Unit), value(r.B, r.Unit), change(r.Delta, r.Absolute, r.Unit), interval, mark(r, m))
	}
	p.grid(g, "  ")
}

// mark is the word beside an informing row; silence where nothing can be told.
func mark(r lab.Row, m metric.Metric) string {
	if m.Sense == metric.Neither || r.Low == nil {
		return ""
	}
	switch r.Call {
	case lab.Better, lab.Worse:
		return string(r.Call)
	case lab.NoDifference:
		return "same"
	}
	return "~"
}

// settled lists what the servers themselves settled on differently.
func (p *printer) settled(v lab.Verdict) {
	g := &grid{}
	for _, d := range v.Different {
		if rest, ok := strings.CutPrefix(d.Path, "resolved."); ok {
			g.add(rest, orDefault(d.A), "->", orDefault(d.B))
		}
	}
	if len(g.rows) > 0 {
		p.line("")
		p.line("  What the servers settled on differently:")
		p.grid(g, "    ")
	}
}

func (p *printer) notes(v lab.Verdict) {
	p.line("")
	for _, f := range v.Warnings {
		p.paragraph("! ", f.Detail)
	}
	valid := 0
	for _, r := range v.Runs {
		if r.Valid {
			valid++
			continue
		}
		p.paragraph("! ", fmt.Sprintf("run %s (%s, pair %d) does not count: %s", r.ID, r.Arm, r.Block, r.Why))
	}
	p.line("%d of %d runs valid · order %s · plan %s · %s", valid, len(v.Runs), v.Plan.Order, v.Plan.ID, v.Plan.Made.Local().Format(time.DateTime))
	p.line("again: lab compare %s", v.Plan.ID)
}

// Estimate is what a plan will cost and can show.
type Estimate struct {
	Starts  int
	Run     time.Duration
	Total   time.Duration
	Basis   string
	CV      float64
	CVBasis string
	MDE     float64
}

// PlanText prints what an A/B would do.
func PlanText(w io.Writer, plan lab.Plan, e Estimate, o Options) error {
	p := printer{w: w, o: o}
	m, _ := metric.Find(plan.Primary)
	p.line("A  %s", plan.A.Name)
	p.line("B  %s", plan.B.Name)
	for _, d := range lab.Diff(plan.A, plan.B) {
		p.line("   differs in %s: %s -> %s", d.Path, orDefault(d.A), orDefault(d.B))
	}
	p.line("")
	g := &grid{}
	g.add("plan", fmt.Sprintf("%s: %d pairs of runs, order %s (coin seed %d)", plan.Name, plan.Pairs, plan.Order, plan.Seed))
	g.add("decided by", fmt.Sprintf("%s in phase %s, margin %g %%", m.Title, plan.Phase, plan.Margin*100))
	g.add("server starts", fmt.Sprintf("%d, two of them unmeasured", e.Starts))
	g.add("time", fmt.Sprintf("about %s, %s a run (%s)", length(e.Total), length(e.Run), e.Basis))
	g.add("can see", fmt.Sprintf("differences of %.2g %% and more with 80 %% power, at %.2g %% noise from run to run", e.MDE*100, e.CV*100))
	g.add("", "("+e.CVBasis+")")
	p.grid(g, "")
	return p.err
}

// Comparison prints two single results side by side. They get no verdict, and why says so.
func Comparison(w io.Writer, a, b string, rows []lab.Row, why string, o Options) error {
	p := printer{w: w, o: o}
	p.line("A  %s", a)
	p.line("B  %s", b)
	p.line("")
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
	g.add("", "A", "B", "B against A")
	for _, r := range rows {
		m, _ := metric.Find(r.Metric)
		g.add(m.Title, value(r.A, r.Unit), value(r.B, r.Unit), change(r.Delta, r.Absolute, r.Unit))
	}
	p.grid(g, "")
	if len(rows) == 0 {
		p.line("the two have no figure in common")
	}
	p.line("")
	p.paragraph("", why)
	return p.err
}
