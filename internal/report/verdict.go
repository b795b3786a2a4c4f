package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/metric"
)

// Verdict prints the answer to an A/B: the word, what it rests on, what else was seen, what differed, and how the hardware
// of the judged runs did.
func Verdict(w io.Writer, v lab.Verdict, hardware []correlate.Difference, o Options) error {
	p := &printer{w: w, o: o}
	p.arms(v.Plan, v.Different)
	p.line("")
	p.answer(v)
	p.line("")
	p.basis(v)
	p.informing(v)
	p.settled(v)
	p.between(hardware)
	p.notes(v)
	p.line("")
	p.provenance(v)
	return p.err
}

// arms names the two and what was asked differently.
func (p *printer) arms(plan lab.Plan, different []lab.Difference) {
	p.line("A  %s", plan.A.Name)
	p.line("B  %s", plan.B.Name)
	asked := 0
	for _, d := range different {
		if !strings.HasPrefix(d.Path, "resolved.") {
			p.paragraph("   ", fmt.Sprintf("differs in %s: %s -> %s", d.Path, orDefault(d.A), orDefault(d.B)))
			asked++
		}
	}
	if asked == 0 {
		p.line("   the two ask for the same")
	}
}

func orDefault(text string) string {
	if text == "" {
		return "(not set)"
	}
	return text
}

// answer gives the word in capitals and says in one sentence what it means. A difference is never told without its
// interval, its load and the number of runs.
func (p *printer) answer(v lab.Verdict) {
	word := map[lab.Call]string{
		lab.Better: "B is BETTER", lab.Worse: "B is WORSE", lab.NoDifference: "NO DIFFERENCE that matters",
		lab.Inconclusive: "INCONCLUSIVE", lab.InvalidCall: "INVALID, no verdict", lab.Historical: "HISTORICAL, no verdict",
	}[v.Call]
	text := p.bold(word)
	if v.Qualifier != "" {
		text += ", " + v.Qualifier
	}
	p.line("%s", text)
	p.paragraph("", sentence(v))
}

func sentence(v lab.Verdict) string {
	r, name := v.Primary, title(v.Plan.Primary)
	if r.Low == nil {
		return capital(r.Reason) + "."
	}
	limits := fmt.Sprintf("(%.0f %% interval %s) at this load: %s; n = %d runs an arm", r.Level*100, interval(r), points(v.Plan), r.N)
	seen := change(r.Delta, r) + " " + limits
	switch v.Call {
	case lab.Better, lab.Worse:
		return fmt.Sprintf("%s of B is %s than that of A %s.", capital(name), lowerOrHigher(r), limits)
	case lab.NoDifference:
		return fmt.Sprintf("%s is alike within the margin of %s. B against A: %s.", capital(name), size(v.Plan.Margin, r), seen)
	case lab.Historical:
		return fmt.Sprintf("%s in B against A: %s. But every run used the same running server, so this is no verdict on two configurations.", capital(name), seen)
	case lab.Inconclusive:
		if r.Reason != "" {
			return capital(r.Reason) + "."
		}
		return fmt.Sprintf("The runs vary too much to tell whether %s differs. B against A: %s. %s", name, seen, remedy(v))
	}
	return capital(r.Reason) + "."
}

// points says at which load the arms ran; they may differ in it.
func points(plan lab.Plan) string {
	a, b := point(load(plan.A, plan.Phase)), point(load(plan.B, plan.Phase))
	if a == b {
		return a
	}
	return a + " in A, " + b + " in B"
}

func lowerOrHigher(r lab.Row) string {
	text := change(r.Delta, r)
	if r.Delta < 0 {
		return text[1:] + " lower"
	}
	return text[1:] + " higher"
}

// remedy says what would settle it.
func remedy(v lab.Verdict) string {
	margin := size(v.Plan.Margin, v.Primary)
	if v.PairsNeeded == 0 {
		return fmt.Sprintf("At this noise not even 1000 pairs would show a difference of the margin (%s): make the runs longer, or the margin wider.", margin)
	}
	if v.PairsNeeded <= v.Primary.N {
		return fmt.Sprintf("A difference of the margin (%s) would mostly have shown; this one lies near it. More pairs tell.", margin)
	}
	return fmt.Sprintf("About %d pairs would show a difference of the margin (%s): --pairs %d. Longer runs help too.", v.PairsNeeded, margin, v.PairsNeeded)
}

func capital(text string) string {
	if text == "" {
		return "There is no interval"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// basis lists what the answer rests on.
func (p *printer) basis(v lab.Verdict) {
	r, plan := v.Primary, v.Plan
	m, _ := metric.Find(plan.Primary)
	const label = 15
	say := func(name, text string) { p.paragraph(fmt.Sprintf("  %-*s", label-2, name), text) }
	say("decided by", fmt.Sprintf("%s (%s, %s): %s", title(plan.Primary), m.Unit, direction(m), m.Formula))
	if r.N > 0 {
		say("A", value(r.A, r.Unit))
		say("B", value(r.B, r.Unit))
		say("B against A", against(r))
	}
	a, b := load(plan.A, plan.Phase), load(plan.B, plan.Phase)
	if one, other := point(a)+"; "+work(a), point(b)+"; "+work(b); one == other {
		say("load", fmt.Sprintf("phase %s: %s", plan.Phase, one))
	} else {
		say("load of A", fmt.Sprintf("phase %s: %s", plan.Phase, one))
		say("load of B", other)
	}
	say("margin", size(plan.Margin, r)+": a smaller difference does not matter")
	say("runs", p.runs(v))
	if r.CV != nil && v.MDE != nil {
		say("noise", fmt.Sprintf("%s from run to run; with it %d pairs see a difference of %s or more in 80 %% of cases", size(*r.CV, r), r.N, size(*v.MDE, r)))
	}
	if r.Drift != nil {
		say("drift", change(*r.Drift, r)+" over 10 runs, taken out of the difference")
	}
}

func direction(m metric.Metric) string {
	switch m.Sense {
	case metric.Higher:
		return "higher is better"
	case metric.Lower:
		return "lower is better"
	}
	return "neither good nor bad"
}

func against(r lab.Row) string {
	if r.Low == nil {
		return change(r.Delta, r)
	}
	return fmt.Sprintf("%s, %.0f %% interval %s, %s", change(r.Delta, r), r.Level*100, interval(r), probability(*r.P))
}

func (p *printer) runs(v lab.Verdict) string {
	valid := 0
	for _, r := range v.Runs {
		if r.Valid {
			valid++
		}
	}
	servers := "a fresh server each"
	if !v.Plan.Fresh {
		servers = "all on one server that already ran"
	}
	return fmt.Sprintf("n = %d an arm, %s; %d of %d valid; order %s", v.Primary.N, servers, valid, len(v.Runs), v.Plan.Order)
}

// informing lists the other metrics, phase by phase.
func (p *printer) informing(v lab.Verdict) {
	var phases []string
	rows := map[string][]lab.Row{}
	for _, r := range v.Rows {
		if detail(r.Metric) {
			continue
		}
		phase := r.Phase
		if phase == metric.WholeRun && len(phases) > 0 {
			phase = phases[len(phases)-1] // of the run as a whole: it ends the table
		}
		if rows[phase] == nil {
			phases = append(phases, phase)
		}
		rows[phase] = append(rows[phase], r)
	}
	if len(phases) > 0 {
		p.line("")
		p.paragraph("", "For information; these do not decide: of so many, one or two differ by chance. ? = too noisy to tell.")
	}
	for _, phase := range phases {
		g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
		g.add("phase "+phase, "A", "B", "B vs A", fmt.Sprintf("%.0f %% interval", v.Primary.Level*100), "")
		for _, r := range rows[phase] {
			g.add(title(r.Metric), value(r.A, r.Unit), value(r.B, r.Unit), change(r.Delta, r), bounds(r), mark(r))
		}
		p.grid(g, "")
	}
}

// detail says whether a row is left to --json: between the median and the tail there is little to add.
func detail(name string) bool {
	return strings.HasSuffix(name, ".p90") || strings.HasSuffix(name, ".p95")
}

// mark is the word beside an informing row; silence where the metric is neither good nor bad.
func mark(r lab.Row) string {
	if r.Low == nil {
		return ""
	}
	switch r.Call {
	case lab.Better, lab.Worse:
		return string(r.Call)
	case lab.NoDifference:
		return "same"
	case lab.Inconclusive:
		return "?"
	}
	return ""
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
		p.line("What the servers settled on differently:")
		p.grid(g, "  ")
	}
}

// notes are the warnings, and the runs that do not count with their reasons.
func (p *printer) notes(v lab.Verdict) {
	var notes, reasons []string
	for _, f := range v.Warnings {
		notes = append(notes, f.Detail)
	}
	runs := map[string][]string{}
	for _, r := range v.Runs {
		if r.Valid {
			continue
		}
		if runs[r.Why] == nil {
			reasons = append(reasons, r.Why)
		}
		runs[r.Why] = append(runs[r.Why], fmt.Sprintf("%s (%s, pair %d)", r.ID, r.Arm, r.Block))
	}
	for _, why := range reasons {
		notes = append(notes, fmt.Sprintf("not counted: %s. Run %s", why, strings.Join(runs[why], ", ")))
	}
	if len(notes) > 0 {
		p.line("")
	}
	for _, text := range notes {
		p.paragraph("! ", text)
	}
}

// provenance says where the numbers are and how to get the answer again.
func (p *printer) provenance(v lab.Verdict) {
	for _, arm := range []string{"A", "B"} {
		var ids []string
		for _, r := range v.Runs {
			if r.Arm == arm {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) > 0 {
			p.paragraph("runs of "+arm+"  ", strings.Join(ids, " "))
		}
	}
	p.line("plan       %s, %s", v.Plan.ID, v.Plan.Made.Local().Format(time.DateTime))
	p.line("again      lab compare %s", v.Plan.ID)
}
