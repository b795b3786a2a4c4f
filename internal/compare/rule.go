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
// ("ttft.p99 > +5%"; of a share, such as goodput, percentage points), any other is of B alone ("ttft.p99 > 500ms").
type Rule struct {
	Text   string  // as it was written
	Metric string  // of the catalogue
	Phase  string  // empty: the deciding phase
	Above  bool    // fails above the limit; false: below
	Limit  float64 // of A where OfA, else in the metric's unit

	OfA bool // the limit is relative to A
}

// ParseRule reads a rule, such as "ttft.p99 > +5%", "output_throughput@saturated < -3%" or "e2el.p95 > 2s".
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
	if number, ok := strings.CutSuffix(limit, "%"); ok {
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v <= -100 {
			return bad("%q is no limit in per cent", limit)
		}
		r.Limit, r.OfA = v/100, true
		return r, nil
	}
	v, err := absolute(limit, m.Unit)
	if err != nil {
		return bad("%v", err)
	}
	r.Limit = v
	return r, nil
}

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
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
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
	r.Text = fmt.Sprintf("%s %s %+.4g%%", r.Metric, map[bool]string{true: ">", false: "<"}[r.Above], r.Limit*100)
	return r
}

// Ruling is what became of a rule.
type Ruling struct {
	Rule    string   `json:"rule"`
	Outcome Outcome  `json:"outcome"`
	Seen    float64  `json:"seen"`           // B against A (relative, of shares absolute), or B alone in Unit
	Unit    string   `json:"unit,omitempty"` // of a limit on B alone
	Low     *float64 `json:"low,omitempty"`
	High    *float64 `json:"high,omitempty"`
	Level   float64  `json:"level,omitempty"` // of each of the two bounds, one-sided
	Why     string   `json:"why"`
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

func (r Rule) rule(plan lab.Plan, blocks []block, at []float64) Ruling {
	out := Ruling{Rule: r.Text, Outcome: Undecided, Level: 1 - plan.Alpha}
	phase := r.phase(plan)
	m, _ := metric.Find(r.Metric)
	if !r.OfA {
		out.Unit = m.Unit
	}
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
	out.Seen = scale(estimate)
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
	limit, least := harm*r.Limit, harm*out.Seen
	worst, best := max(harm*low, harm*high), min(harm*low, harm*high)
	switch {
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
