package compare

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Rule is a condition under which a gate fails: a metric of B above or below a limit. A limit in per cent is of A
// ("ttft.p99 > +5%"), and so is one in percentage points of a share ("goodput < -2pp"); any other is of B alone
// ("ttft.p99 > 500ms", "goodput < 0.95").
type Rule struct {
	Text   string  // as it was written; points as points
	Metric string  // of the catalogue
	Phase  string  // empty: the deciding phase
	Above  bool    // fails above the limit; false: below
	Limit  float64 // of A where OfA, of shares as a difference in the metric's unit; else in the metric's unit

	OfA bool // the limit is of the difference to A
}

// ParseRule reads a rule, such as "ttft.p99 > +5%", "output_throughput@saturated < -3%", "goodput < -2pp" or
// "e2el.p95 > 2s".
func ParseRule(text string) (Rule, error) {
	r := Rule{Text: strings.TrimSpace(text)}
	bad := func(format string, args ...any) (Rule, error) {
		return Rule{}, fmt.Errorf("rule %q: %s", text, fmt.Sprintf(format, args...))
	}
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return bad("write a metric, > or <, and a limit, such as 'ttft.p99 > +5%%'")
	}
	r.Above = text[at] == '>'
	name, phase, _ := strings.Cut(strings.TrimSpace(text[:at]), "@")
	r.Metric, r.Phase = name, phase
	m, known := metric.Find(name)
	if !known {
		if near := metric.Suggest(name); near != "" {
			return bad("unknown metric %q (did you mean %q?)", name, near)
		}
		return bad("unknown metric %q; docs/metrics.md lists them", name)
	}
	limit := strings.TrimSpace(text[at+1:])
	read := absolute
	if strings.HasSuffix(limit, "%") || strings.HasSuffix(limit, "pp") {
		read, r.OfA = relative, true
		if m.Share {
			read = points
		}
	}
	var err error
	if r.Limit, err = read(limit, m.Unit); err != nil {
		return bad("%v", err)
	}
	if r.OfA && m.Share {
		r.Text = fmt.Sprintf("%s %c %s", strings.TrimSpace(text[:at]), text[at], inPoints(r.Limit, m.Unit))
	}
	return r, nil
}

// relative reads a limit of A in per cent.
func relative(text, _ string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case !ok:
		return 0, fmt.Errorf("%q: points (pp) are for shares, such as goodput; write per cent", text)
	case err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v <= -100:
		return 0, fmt.Errorf("%q is no limit in per cent", text)
	}
	return v / 100, nil
}

// points reads the limit of a difference of shares, in percentage points. With "%" it needs its sign: "95%" could as well
// be meant of B alone.
func points(text, unit string) (float64, error) {
	number, pp := strings.CutSuffix(text, "pp")
	number = strings.TrimSpace(strings.TrimSuffix(number, "%"))
	v, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || !(math.Abs(v) <= 100):
		return 0, fmt.Errorf("%q is no limit in percentage points, such as -2pp", text)
	case !pp && number[0] != '+' && number[0] != '-':
		return 0, fmt.Errorf("%q can mean two things: write %g for the figure of B alone, or points for a difference to A, such as -2pp", text, v/pointsIn(unit))
	}
	return v / pointsIn(unit), nil
}

// pointsIn are the percentage points in one of a share's unit.
func pointsIn(unit string) float64 {
	if unit == "%" {
		return 1
	}
	return 100
}

func inPoints(v float64, unit string) string { return fmt.Sprintf("%+.4g pp", v*pointsIn(unit)) }

// absolute reads a limit in the metric's unit: a duration where that is seconds, else a number.
func absolute(text, unit string) (float64, error) {
	if unit == "s" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is neither per cent nor a duration such as 500ms", text)
		}
		return d.Seconds(), nil
	}
	v, err := strconv.ParseFloat(text, 64)
	switch wrong := err != nil || math.IsNaN(v) || math.IsInf(v, 0); {
	case unit == "share" && (wrong || v < 0 || v > 1):
		return 0, fmt.Errorf("%q is neither a share from 0 to 1 nor points of a difference, such as -2pp", text)
	case wrong:
		return 0, fmt.Errorf("%q is neither per cent nor a number of %s", text, unit)
	}
	return v, nil
}

// phase is where the rule's figures are.
func (r Rule) phase(plan lab.Plan) string {
	if r.Phase == "" {
		return metric.In(plan.Phase, r.Metric)
	}
	return metric.In(r.Phase, r.Metric)
}

// Fits says what keeps a rule from ever being decided for two experiments, so that nobody measures in vain.
func (r Rule) Fits(a, b lab.Experiment) error {
	for _, e := range []lab.Experiment{a, b} {
		if phases := judged(e); r.Phase != "" && !slices.Contains(phases, r.Phase) {
			return fmt.Errorf("rule %q: %s has no judged phase %q; it has %s", r.Text, e.Name, r.Phase, strings.Join(phases[:len(phases)-1], ", "))
		}
		if r.Metric == "goodput" && len(e.SLO) == 0 {
			return fmt.Errorf("rule %q: %s has no limits (slo:), without which there is no goodput", r.Text, e.Name)
		}
	}
	return nil
}

// Harm is the rule of a check: a harm to the deciding metric as large as the margin.
func Harm(plan lab.Plan) Rule {
	m, _ := metric.Find(plan.Primary)
	r := Rule{Metric: plan.Primary, OfA: true, Above: m.Sense != metric.Higher, Limit: plan.Margin}
	if !r.Above {
		r.Limit = -plan.Margin
	}
	limit := fmt.Sprintf("%+.4g%%", r.Limit*100)
	if m.Share {
		limit = inPoints(r.Limit, m.Unit)
	}
	r.Text = fmt.Sprintf("%s %s %s", r.Metric, map[bool]string{true: ">", false: "<"}[r.Above], limit)
	return r
}

// Ruling is what became of a rule.
type Ruling struct {
	Rule     string   `json:"rule"`
	Outcome  Outcome  `json:"outcome"`
	Limit    float64  `json:"limit"`              // of Seen
	Seen     *float64 `json:"seen,omitempty"`     // B against A, relative unless Absolute; or B alone
	Unit     string   `json:"unit,omitempty"`     // of B alone, and of a difference that is Absolute
	Absolute bool     `json:"absolute,omitempty"` // a difference of shares, in their own unit
	Low      *float64 `json:"low,omitempty"`
	High     *float64 `json:"high,omitempty"`
	Level    float64  `json:"level,omitempty"` // of each of the two bounds, one-sided
	Why      string   `json:"why"`
}

// Outcome of a rule.
type Outcome string

// The outcomes.
const (
	Passed    Outcome = "pass"
	Broken    Outcome = "fail"
	Undecided Outcome = "undecided"
)

// Rules tests each rule on the pairs that the verdict rests on (non-inferiority): it passes where a harm as large as the
// limit can be ruled out, fails where some harm is certain and one as large as the limit cannot be ruled out, and is
// undecided else.
func Rules(plan lab.Plan, runs []lab.Sealed, rules []Rule) []Ruling {
	r := read(plan, runs)
	v := judgeAt(plan, runs, r)
	blocks := r.blocks[:v.Look.Pairs]
	var all []Ruling
	for _, rule := range rules {
		all = append(all, rule.rule(plan, blocks, moments(blocks, r.slots)))
	}
	return all
}

// undecided is a ruling before anything was looked at.
func (r Rule) undecided(m metric.Metric) Ruling {
	out := Ruling{Rule: r.Text, Outcome: Undecided, Limit: r.Limit, Absolute: r.OfA && m.Share}
	if !r.OfA || m.Share {
		out.Unit = m.Unit
	}
	return out
}

func (r Rule) rule(plan lab.Plan, blocks []block, at []float64) Ruling {
	m, _ := metric.Find(r.Metric)
	out := r.undecided(m)
	out.Level = 1 - plan.Alpha
	phase := r.phase(plan)
	if len(blocks) == 0 {
		out.Why = fmt.Sprintf("the %d valid pairs of the first look are not there, and before it nothing is estimated", plan.LookAt()[0])
		return out
	}
	row, s, ok := compareRow(plan, phase, m, blocks, at)
	if !ok {
		out.Why = fmt.Sprintf("not every run has %s%s", r.Metric, inPhase(phase))
		return out
	}
	estimate, half, ok := r.estimate(s, m, plan.Alpha)
	harm := 1.0
	if !r.Above {
		harm = -1
	}
	scale := r.scale(m)
	seen := scale(estimate)
	out.Seen = &seen
	if !ok {
		out.Why = "too few runs, or too much noise, for bounds"
		return out
	}
	low, high := scale(estimate-half), scale(estimate+half)
	out.Low, out.High = &low, &high
	if r.OfA && incomparable(row, m) {
		out.Why = row.Reason
		return out
	}
	limit, least := harm*r.Limit, harm*seen
	worst, best := max(harm*low, harm*high), min(harm*low, harm*high)
	switch {
	case worst < limit && s.constant():
		out.Outcome, out.Why = Passed, "every run has the same figure"
	case worst < limit:
		out.Outcome, out.Why = Passed, "a harm as large as the limit can be ruled out"
	case best > limit, r.OfA && limit > 0 && best > 0:
		out.Outcome, out.Why = Broken, "there is a harm for certain, and one as large as the limit cannot be ruled out"
	case least > limit:
		out.Why = "beyond the limit as seen, but the runs vary too much to be certain"
	default:
		out.Why = "within the limit as seen, but the runs vary too much to be certain"
	}
	return out
}

// estimate is what the rule looks at, on the scale of the fit, with the half width of its one-sided bounds.
func (r Rule) estimate(s sample, m metric.Metric, alpha float64) (v, half float64, ok bool) {
	if r.OfA {
		f, ok := leastSquares(s.y, s.arm, s.at)
		if !ok || f.se == 0 {
			return average(s.of(1)) - average(s.of(0)), 0, s.constant()
		}
		return f.delta, quantile(1-alpha, f.df) * f.se, true
	}
	b := s.of(1)
	if len(b) < 2 {
		return average(b), 0, false
	}
	return average(b), quantile(1-alpha, float64(len(b)-1)) * math.Sqrt(variance(b)/float64(len(b))), true
}

// scale turns a value on the scale of the fit into one of the rule's.
func (r Rule) scale(m metric.Metric) func(float64) float64 {
	switch {
	case m.Share:
		return func(v float64) float64 { return v }
	case r.OfA:
		return math.Expm1
	}
	return math.Exp
}
