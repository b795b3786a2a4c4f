package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"lab/profiling"
)

// ProfileDiffJSON writes what changed between two profiles as a document.
func ProfileDiffJSON(w io.Writer, d profiling.Difference) error {
	return document(w, struct {
		Schema string `json:"schema"`
		profiling.Difference
	}{"lab.profile-diff/v1", d})
}

// ProfileDiff prints what changed from a step of A to a step of B.
func ProfileDiff(w io.Writer, d profiling.Difference, o Options) error {
	p := &printer{w: w, o: o}
	p.profileDiff(d)
	return p.err
}

func (p *printer) profileDiff(d profiling.Difference) {
	p.paragraph("A        ", profileSide(d.A))
	p.paragraph("B        ", profileSide(d.B))
	if evidence := ProfileEvidence(d); evidence != "" {
		p.paragraph("result   ", evidence)
	}
	for _, note := range d.Notes {
		p.paragraph("note     ", note)
	}
	for _, k := range d.Kinds {
		p.profileStepDiff(k, d.Basis)
	}
}

func profileSide(s profiling.Side) string {
	var names []string
	for _, f := range s.Files {
		names = append(names, filepath.Base(f))
	}
	text := strings.Join(names, ", ")
	if s.VLLM != "" {
		text += ", vLLM " + s.VLLM
	}
	if s.Captures > 1 {
		text += fmt.Sprintf(", %d captures", s.Captures)
	}
	text += fmt.Sprintf("; %d of %d steps compared", s.Steady, s.Steps)
	if s.Paused > 0 {
		text += fmt.Sprintf(" (%d end in a wait for requests)", s.Paused)
	}
	return text
}

// ProfileEvidence says in one sentence what changed in the kind of step that both sides have most of. It is empty where there is
// nothing to compare.
func ProfileEvidence(d profiling.Difference) string {
	if len(d.Kinds) == 0 {
		return ""
	}
	k := d.Kinds[0]
	for _, other := range d.Kinds {
		if other.Decided {
			k = other
			break
		}
	}
	subject := stepName(k.Kind)
	if k.Per == profiling.PerToken {
		subject = "token of a " + subject
	}
	if !k.Decided {
		return fmt.Sprintf("undecided: the %ss are not known to be of equal size (A's takes %s, B's %s)", stepName(k.Kind), span(k.Time.A), span(k.Time.B))
	}
	text := fmt.Sprintf("B's %s takes as long as A's (%s and %s)", subject, span(k.Time.B), span(k.Time.A))
	if differs(k.Time) {
		text = fmt.Sprintf("B's %s is %s %s (%s)", subject, span(k.Time.Delta.Abs()), longer(k.Time.Delta), percent(k.Time.Delta.Seconds()/k.Time.A.Seconds()))
		if cause := mainPart(k); cause != "" {
			text += ", " + cause
		}
	}
	if d.Indicative {
		text += "; indicative: one capture a side does not tell how much captures differ by themselves"
	}
	return text
}

// differs is false below one per cent, and where single captures of the sides overlap.
func differs(c profiling.Change) bool {
	if c.A == 0 || float64(c.Delta.Abs()) < .01*float64(c.A) {
		return false
	}
	return c.Range == nil || c.Range.A[1] < c.Range.B[0] || c.Range.B[1] < c.Range.A[0]
}

func longer(d time.Duration) string {
	if d < 0 {
		return "shorter"
	}
	return "longer"
}

// mainPart names the part that changed most in the direction of the step.
func mainPart(k profiling.StepDifference) string {
	var most profiling.Part
	for _, part := range k.Parts {
		if part.Name != profiling.RestOverlap && part.Delta*sign(k.Time.Delta) > most.Delta*sign(k.Time.Delta) {
			most = part
		}
	}
	where := "in " + most.Name
	switch most.Name {
	case "":
		return ""
	case profiling.RestIdle:
		where = "while the GPU was not busy with it"
	case profiling.RestSpanless:
		where = "outside every marked span"
	case "in no operator":
		where = most.Name
	}
	if most.Delta.Abs() > k.Time.Delta.Abs() { // the others took some of it back
		return fmt.Sprintf("with %s %s %s", span(most.Delta.Abs()), map[bool]string{true: "less", false: "more"}[most.Delta < 0], where)
	}
	return fmt.Sprintf("%s of it %s", span(most.Delta.Abs()), where)
}

func sign(d time.Duration) time.Duration {
	if d < 0 {
		return -1
	}
	return 1
}

func stepName(kind profiling.StepKind) string {
	if kind == profiling.Whole {
		return "step"
	}
	return string(kind) + " step"
}

func (p *printer) profileStepDiff(k profiling.StepDifference, basis profiling.Basis) {
	p.line("")
	per := "per step"
	if k.Per == profiling.PerToken {
		per = "per token"
	}
	if k.Matched {
		per = "per step of equal size"
	}
	if !k.Decided {
		per += ", UNDECIDED"
	}
	p.paragraph(stepName(k.Kind)+"s  ", fmt.Sprintf("%s; A has %s, B %s", per, steadyText(k.A, k.Matched), steadyText(k.B, k.Matched)))
	g := diffGrid(k.Time.Range != nil, "", "A", "B", "B - A", "")
	g.change("from step to step", k.Time, k.Time)
	g.change("CPU, the marked span", k.CPU, k.CPU)
	if k.GPU != nil {
		g.change("GPU busy", *k.GPU, *k.GPU)
		g.change("GPU idle, launched too late", *k.HostGap, *k.HostGap)
		g.add("GPU activities", digits(round(k.Work.A)), digits(round(k.Work.B)), signedDigits(round(k.Work.B-k.Work.A)), "")
	}
	p.grid(g.grid, "  ")
	if len(k.Parts) == 0 {
		return
	}
	p.line("")
	of := "CPU self time"
	if basis == profiling.GPUTime {
		of = "GPU time"
	}
	p.line("  where: %s by category, and what is none (sums up to the step; %% of A's step)", of)
	parts := diffGrid(k.Time.Range != nil, "", "A", "B", "B - A", "of the step")
	for _, part := range k.Parts {
		parts.change(partTitle(part), part.Change, k.Time)
	}
	p.grid(parts.grid, "  ")
	p.profileKernelDiff(k)
}

func partTitle(part profiling.Part) string {
	switch {
	case part.Rest && part.Name == profiling.RestOverlap:
		return "(overlap, counted once)"
	case part.Rest && part.Name == profiling.RestIdle:
		return "(GPU not busy with it)"
	case part.Rest:
		return "(" + part.Name + ")"
	}
	return part.Name
}

func steadyText(s profiling.Steady, matched bool) string {
	text, all := fmt.Sprintf("%d", s.N), ""
	if matched && s.Used < s.N {
		text, all = fmt.Sprintf("%d of %d", s.Used, s.N), " of all"
	}
	if s.Tokens != nil && s.Requests != nil {
		text += fmt.Sprintf(" (requests a step%s: %s, tokens: %s)", all, digits(round(*s.Requests)), digits(round(*s.Tokens)))
	}
	return text
}

func round(v float64) float64 {
	text := fmt.Sprintf("%.1f", v)
	fmt.Sscan(text, &v)
	return v
}

func signedDigits(v float64) string {
	if v > 0 {
		return "+" + digits(v)
	}
	return digits(v)
}

func signedTime(d time.Duration) string {
	if d > 0 {
		return "+" + span(d)
	}
	return span(d)
}

// changes is a table of figures on both sides.
type changes struct{ *grid }

func diffGrid(several bool, head ...string) changes {
	if several {
		head = append(head, "spread of A", "of B")
	}
	g := changes{&grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true}}}
	g.grid.head(head...)
	return g
}

// change adds a line, with the distance from the least to the most of several captures; the percentage is of what A takes of whole.
func (g changes) change(title string, c, whole profiling.Change) {
	of := ""
	if whole.A > 0 {
		of = percent(c.Delta.Seconds() / whole.A.Seconds())
	}
	row := []string{title, span(c.A), span(c.B), signedTime(c.Delta), of}
	if c.Range != nil {
		row = append(row, span(c.Range.A[1]-c.Range.A[0]), span(c.Range.B[1]-c.Range.B[0]))
	}
	g.add(row...)
}

func (p *printer) profileKernelDiff(k profiling.StepDifference) {
	if len(k.Kernels) == 0 && k.Others == nil {
		return
	}
	p.line("")
	p.line("  largest differences by name (new and vanished ones always)")
	g := &grid{right: map[int]bool{0: true, 1: true, 2: true}, free: 5}
	g.head("B - A", "A", "B", "", "category", "name")
	listed := 0
	others := profiling.Leftover{}
	for _, kernel := range k.Kernels {
		if listed == profileLines && kernel.Status == profiling.Kept || listed == 2*profileLines {
			others.Names++
			others.Delta += kernel.Delta
			continue
		}
		listed++
		name := kernelName(kernel.Name)
		status := string(kernel.Status)
		switch kernel.Status {
		case profiling.Kept:
			status = ""
		case profiling.Renamed:
			status, name = "renamed?", name+" (was "+kernelName(kernel.Was)+")"
		}
		g.add(signedTime(kernel.Delta), span(kernel.A), span(kernel.B), status, kernel.Category, name)
	}
	if listed > 0 {
		p.grid(g, "  ")
	}
	if k.Others != nil {
		others.Names += k.Others.Names
		others.Delta += k.Others.Delta
	}
	if others.Names > 0 {
		p.line("  and %d more names: %s", others.Names, signedTime(others.Delta))
	}
}
