package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/metric"
)

// Rulings prints what became of the rules of a gate.
func Rulings(w io.Writer, all []compare.Ruling, o Options) error {
	p := &printer{w: w, o: o}
	p.rulings(all)
	return p.err
}

func (p *printer) rulings(all []compare.Ruling) {
	if len(all) > 0 {
		p.line("")
	}
	for _, r := range all {
		p.paragraph(fmt.Sprintf("%-9s  ", strings.ToUpper(string(r.Outcome))), ruling(r))
	}
}

// ruling says in a sentence what became of a rule.
func ruling(r compare.Ruling) string {
	return fmt.Sprintf("fails if %s: %s%s", r.Rule, r.Why, seen(r))
}

// seen gives the figures that a ruling rests on.
func seen(r compare.Ruling) string {
	switch {
	case r.Seen == nil, r.Low == nil && r.Outcome == compare.Undecided:
		return ""
	case r.Low == nil: // of stored numbers, whose bounds would mean nothing
		return " (" + besideLimit(r, *r.Seen) + ")"
	}
	return fmt.Sprintf(" (%s, one-sided %.4g %% bounds %s and %s)", besideLimit(r, *r.Seen), r.Level*100, besideLimit(r, *r.Low), besideLimit(r, *r.High))
}

// besideLimit writes a figure of a ruling so that it does not look like the limit where it is not.
func besideLimit(r compare.Ruling, v float64) string {
	scale, unit := 100.0, "%"
	switch {
	case r.Absolute && r.Unit == "%":
		scale, unit = 1, "pp"
	case r.Absolute:
		unit = "pp"
	case r.Unit == "share":
	case r.Unit != "":
		text := value(v, r.Unit)
		if text == value(r.Limit, r.Unit) && v != r.Limit {
			return fmt.Sprintf("%.9g %s", v, r.Unit)
		}
		return text
	}
	text, _ := lab.Apart(v*scale, r.Limit*scale, 2)
	if v > 0 && !(r.Unit == "share" && !r.Absolute) { // a difference has its sign
		text = "+" + text
	}
	return text + " " + unit
}

// Gate is a verdict with the rules that were tested on it.
type Gate struct {
	Verdict  lab.Verdict
	Rulings  []compare.Ruling
	Hardware []correlate.Difference // of the arms, beside the verdict
	Profiles *ArmProfiles           // nil: no arm was profiled
}

// JUnit writes a gate as a test suite of JUnit's XML: the verdict is a case, and so is each guardrail and each rule.
// What is undecided is a skipped case with its reason.
func JUnit(w io.Writer, g Gate) error {
	v := g.Verdict
	s := suite{Name: suiteName(v.Plan), ID: v.Plan.ID, Timestamp: v.Plan.Made.UTC().Format("2006-01-02T15:04:05")}
	verdict := testCase{Class: "verdict", Name: title(v.Plan.Primary), Out: sentence(v)}
	switch v.Call {
	case lab.Worse, lab.TradeOff, lab.InvalidCall:
		verdict.Failure = &message{string(v.Call), sentence(v)}
	case lab.Inconclusive, lab.Historical:
		verdict.Skipped = &message{string(v.Call), sentence(v)}
	}
	s.add(verdict)
	for _, r := range v.Guardrails {
		c := testCase{Class: "guardrail", Name: title(r.Metric) + ", " + phaseName(r.Phase), Out: against(r)}
		switch r.Call {
		case lab.Worse:
			c.Failure = &message{"worse", against(r)}
		case lab.Inconclusive:
			c.Skipped = &message{"inconclusive", against(r)}
		}
		s.add(c)
	}
	for _, r := range g.Rulings {
		c := testCase{Class: "rule", Name: r.Rule, Out: ruling(r)}
		switch r.Outcome {
		case compare.Broken:
			c.Failure = &message{"fail", ruling(r)}
		case compare.Undecided:
			c.Skipped = &message{"undecided", ruling(r)}
		}
		s.add(c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(struct {
		XMLName xml.Name `xml:"testsuites"`
		Suites  []suite  `xml:"testsuite"`
	}{Suites: []suite{s}}); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// suiteName is the command that a result is of.
func suiteName(plan lab.Plan) string {
	if plan.Baseline != "" {
		return "lab baseline check " + plan.Baseline + " " + plan.B.Name
	}
	return "lab ab " + plan.A.Name + " " + plan.B.Name
}

type suite struct {
	Name      string     `xml:"name,attr"`
	ID        string     `xml:"id,attr"`
	Timestamp string     `xml:"timestamp,attr"`
	Tests     int        `xml:"tests,attr"`
	Failures  int        `xml:"failures,attr"`
	Skips     int        `xml:"skipped,attr"`
	Cases     []testCase `xml:"testcase"`
}

func (s *suite) add(c testCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skips++
	}
	s.Cases = append(s.Cases, c)
}

type testCase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Failure *message `xml:"failure,omitempty"`
	Skipped *message `xml:"skipped,omitempty"`
	Out     string   `xml:"system-out,omitempty"`
}

type message struct {
	Text   string `xml:"message,attr"`
	Detail string `xml:",chardata"`
}

// Markdown writes a gate as GitHub shows it in a comment.
func Markdown(w io.Writer, g Gate) error {
	p := &printer{w: w}
	v := g.Verdict
	p.line("### %s: %s", inTable(v.Plan.A.Name+" → "+v.Plan.B.Name), headlineOf(v))
	p.line("")
	p.line("%s", inTable(sentence(v)))
	p.line("")
	if v.Primary.N > 0 {
		p.figures(v)
	}
	for _, r := range g.Rulings {
		p.line("")
		p.line("- **%s** %s", r.Outcome, inTable(ruling(r)))
	}
	p.line("")
	p.line("%s; %s", inTable(p.runs(v)), madeBy(v))
	for _, text := range notesOf(v) {
		p.line("")
		p.line("> %s", inTable(text))
	}
	return p.err
}

// figures is a table of what was compared.
func (p *printer) figures(v lab.Verdict) {
	p.line("| | A | B | B vs A | %.4g %% interval | |", v.Primary.Level*100)
	p.line("|---|---:|---:|---:|---|---|")
	p.tableRow("**"+title(v.Plan.Primary)+"**", v.Primary)
	for _, r := range v.Guardrails {
		p.tableRow(title(r.Metric)+elsewhere(r, v)+" (guard)", r)
	}
	for _, r := range v.Rows {
		if m, _ := metric.Find(r.Metric); !detail(r.Metric) && m.Sense != metric.Neither {
			p.tableRow(title(r.Metric)+elsewhere(r, v), r)
		}
	}
}

// elsewhere names the phase of a figure where it is not the one that decides.
func elsewhere(r lab.Row, v lab.Verdict) string {
	if r.Phase == v.Plan.Phase || r.Phase == metric.WholeRun {
		return ""
	}
	return ", " + r.Phase
}

// madeBy names what fixed how the runs were made.
func madeBy(v lab.Verdict) string {
	if stored(v) {
		return "baseline " + v.Plan.Baseline
	}
	return fmt.Sprintf("plan %s (%s)", v.Plan.ID, v.Hash)
}

func headlineOf(v lab.Verdict) string {
	text := strings.ToUpper(string(v.Call))
	if v.Qualifier != "" {
		text += ", " + v.Qualifier
	}
	if v.Fragile {
		text += " (fragile)"
	}
	return text
}

func (p *printer) tableRow(name string, r lab.Row) {
	p.line("| %s | %s | %s | %s | %s | %s |", name, value(r.A, r.Unit), value(r.B, r.Unit), change(r.Delta, r), bounds(r), mark(r))
}

// inTable keeps text from breaking out of its place in a table.
func inTable(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(text)
}
