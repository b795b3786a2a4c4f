package report

import (
	"fmt"
	"io"
	"strings"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/metric"
)

// Verdict prints the answer to an A/B: the word, what it rests on, what else was seen, what differed, and how the hardware
// of the judged runs did.
func Verdict(w io.Writer, v lab.Verdict, hardware []correlate.Difference, o Options) error {
	p := &printer{w: w, o: o}
	p.verdict(v, hardware)
	return p.err
}

func (p *printer) verdict(v lab.Verdict, hardware []correlate.Difference) {
	p.of = OfArms
	p.arms(v.Plan, v.Different)
	p.of = OfAnswer
	p.line("")
	p.answer(v)
	p.of = OfBasis
	p.line("")
	p.basis(v, hardware)
	p.of = OfGuards
	p.guards(v)
	p.of = OfExplored
	p.informing(v)
	p.of = OfSettled
	p.settled(v)
	p.of = OfHardware
	p.between(hardware)
	p.of = OfNotes
	p.notes(v)
	p.of = OfProvenance
	p.line("")
	p.provenance(v)
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
		lab.TradeOff: "TRADE-OFF: B is better, and worse elsewhere", lab.Inconclusive: "INCONCLUSIVE", lab.InvalidCall: "INVALID, no verdict", lab.Historical: "HISTORICAL, no verdict",
	}[v.Call]
	text := p.bold(word)
	if v.Qualifier != "" {
		text += ", " + v.Qualifier
	}
	if v.Fragile {
		text += " (fragile)"
	}
	p.line("%s", text)
	p.paragraph("", sentence(v))
}

// basis lists what the answer rests on.
func (p *printer) basis(v lab.Verdict, hardware []correlate.Difference) {
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
	say("margin", margin(plan)+": a smaller difference does not matter")
	if v.Scope != nil {
		say("scope", scoped(v.Scope))
	}
	say("runs", p.runs(v))
	if text := checked(v, hardware); text != "" {
		say("checks", text)
	}
	for _, off := range v.Unchecked {
		say("not checked", off.Detail)
	}
	if !stored(v) {
		say("judged", atLook(v))
	}
	if r.CV != nil && v.MDE != nil {
		say("noise", fmt.Sprintf("%s from run to run; with it %d pairs see a difference of %s or more in 80 %% of cases", size(*r.CV, r), r.N, size(*v.MDE, r)))
	}
	if r.Drift != nil {
		say("drift", change(*r.Drift, r)+" over 10 runs, taken out of the difference")
	}
	if a := v.Answers; a != nil {
		say("answers", answers(*a))
	}
	if text := sensitivity(v); text != "" {
		say("sensitivity", text)
	}
}

// atLook says at which of the planned looks the answer was found.
func atLook(v lab.Verdict) string {
	looks := Planned(v.Plan)
	level := fmt.Sprintf("nominal level %.4g (%.4g %% interval)", v.Plan.Alpha, 100*(1-v.Plan.Alpha))
	if v.Look.Number == 0 {
		return fmt.Sprintf("not yet: %s, %s", looks, level)
	}
	text := fmt.Sprintf("at look %d of %d, %d pairs; %s", min(v.Look.Number, v.Look.Of), v.Look.Of, v.Look.Pairs, level)
	if !v.Look.Final {
		text += "; not finished"
	}
	return text
}

// Planned says in a few words how long a plan is.
func Planned(plan lab.Plan) string {
	if looks := plan.LookAt(); len(looks) > 1 {
		return fmt.Sprintf("looks at %s pairs, order %s", listed(looks), plan.Order)
	}
	return fmt.Sprintf("%d pairs, order %s", plan.Pairs, plan.Order)
}

func listed(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, fmt.Sprint(n))
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// sensitivity gives the p-values of other tests of the same difference; none of them decides.
func sensitivity(v lab.Verdict) string {
	s := v.Sensitivity
	if s == nil {
		return ""
	}
	var parts []string
	for _, other := range []struct {
		name string
		p    *float64
	}{{"paired t", s.Paired}, {"Welch", s.Welch}, {"largest without one pair", s.LeaveOneOut}} {
		if other.p != nil {
			parts = append(parts, other.name+" "+probability(*other.p))
		}
	}
	text := strings.Join(parts, ", ")
	if v.Fragile {
		text += ": without one of the pairs the call would be another"
	}
	return text
}

// guards lists what must not become worse.
func (p *printer) guards(v lab.Verdict) {
	if len(v.Guardrails) == 0 {
		return
	}
	p.line("")
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
	g.head("must not be worse", "A", "B", "B vs A", fmt.Sprintf("%.4g %% interval", v.Primary.Level*100), "")
	for _, r := range v.Guardrails {
		g.add(title(r.Metric)+elsewhere(r, v), value(r.A, r.Unit), value(r.B, r.Unit), change(r.Delta, r), bounds(r), mark(r))
	}
	p.grid(g, "")
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
	return fmt.Sprintf("%s, %.4g %% interval %s, %s", change(r.Delta, r), r.Level*100, interval(r), probability(*r.P))
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
	if made := perArm(v); stored(v) {
		return fmt.Sprintf("%d stored ones of A, %d of B made now, %s", made["A"], made["B"], servers)
	}
	return fmt.Sprintf("n = %d an arm, %s; %d of %d valid; order %s", v.Primary.N, servers, valid, len(v.Runs), v.Plan.Order)
}

// stored says whether B was set beside the stored runs of a baseline: such a comparison has no plan of its own.
func stored(v lab.Verdict) bool { return v.Call == lab.Historical && v.Plan.Order == "" }

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

func (p *printer) notes(v lab.Verdict) {
	for i, text := range notesOf(v) {
		if i == 0 {
			p.line("")
		}
		p.paragraph("! ", text)
	}
}

// notesOf are the warnings, and the runs that do not count with their reasons.
func notesOf(v lab.Verdict) []string {
	var notes, codes []string
	for _, f := range v.Warnings {
		notes = append(notes, f.Detail)
	}
	first, runs := map[string]string{}, map[string][]string{}
	for _, r := range v.Runs {
		if r.Valid {
			continue
		}
		code, _, _ := strings.Cut(r.Why, ":")
		if first[code] == "" {
			codes, first[code] = append(codes, code), r.Why
		}
		runs[code] = append(runs[code], fmt.Sprintf("%s (%s, pair %d)", r.ID, r.Arm, r.Block))
	}
	for _, code := range codes {
		text := fmt.Sprintf("not counted: %s. Run %s", first[code], runs[code][0])
		if more := runs[code][1:]; len(more) > 0 {
			text += fmt.Sprintf("; likewise %s", strings.Join(more, ", "))
		}
		notes = append(notes, text)
	}
	return notes
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
	if stored(v) {
		p.paragraph("against    ", madeBy(v))
		return
	}
	p.paragraph("plan       ", fmt.Sprintf("%s (%s), %s", v.Plan.ID, v.Hash, Moment(v.Plan.Made)))
	p.paragraph("again      ", "lab compare "+v.Plan.ID)
}
