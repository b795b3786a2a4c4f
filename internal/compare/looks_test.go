package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func TestTheOtherTestsReproduceTheWorkedExample(t *testing.T) {
	s := sample{}
	for i, v := range example {
		s.y, s.arm = append(s.y, math.Log(v)), append(s.arm, map[byte]float64{'A': 0, 'B': 1}["ABBAABBA"[i]])
		s.at = append(s.at, float64(i))
	}
	for i, want := range []float64{.041141943, .030290542, .044754550, .034988992} {
		near(t, "difference within a block", s.differences()[i], want, 5e-10)
	}
	paired, _ := pairedT(s.differences())
	near(t, "paired delta", paired.delta, .037794007, 5e-10)
	near(t, "paired se", paired.se, .003212319, 5e-10)
	near(t, "paired T", paired.delta/paired.se, 11.765334, 5e-7)
	near(t, "paired p", paired.p(), .001319705, 5e-10)
	welch, _ := welchT(s.of(0), s.of(1))
	near(t, "Welch T", welch.delta/welch.se, 10.951838, 5e-7)
	near(t, "Welch df", welch.df, 5.955816, 5e-7)
	near(t, "Welch p", welch.p(), 3.6158e-5, 5e-10)
}

func TestManyTestsAreCorrectedForTheirNumber(t *testing.T) {
	p := []float64{.03, .001, .2, .011, .02}
	if d := cmp.Diff([]float64{.06, .005, .2, .044, .06}, holm(p), cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]bool{true, true, false, true, true}, discoveries(p, .05)); d != "" {
		t.Error(d)
	}
	if len(holm(nil)) != 0 || len(discoveries(nil, .05)) != 0 {
		t.Error("no tests, no result")
	}
}

// looking is an A/B with the looks of the standard plan.
func looking(values []float64) (lab.Plan, []lab.Sealed) {
	plan, runs := experiment("ABBAABBAABBAABBA"[:len(values)], values)
	plan.Pairs, plan.Looks, plan.Order, plan.Alpha = 8, []int{4, 6, 8}, "ABBAABBAABBAABBA", .0224
	return plan, runs
}

func TestBetweenTheLooksNothingIsEstimated(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	plan, all := looking(draw(random, "ABBAABBAABBAABBA", .10))
	for n := range len(all) {
		v := Judge(plan, all[:n])
		if reached := n >= 8; (v.Look.Number > 0) != reached || (v.Primary.Low != nil) != reached || len(v.Rows) > 0 && !reached {
			t.Errorf("%d runs: look %+v, row %+v", n, v.Look, v.Primary)
		}
		judged := 0
		for _, r := range v.Runs {
			if r.Judged {
				judged++
			}
		}
		if judged != 2*v.Look.Pairs {
			t.Errorf("%d runs: %d are judged at %+v", n, judged, v.Look)
		}
	}
	if v := Judge(plan, all); v.Call != lab.Worse || v.Look != (lab.Look{Number: 1, Of: 3, Pairs: 4, Final: true}) || v.Primary.N != 4 {
		t.Errorf("a clear difference ends the plan at its first look: %s %+v", v.Call, v.Look)
	}
	if _, more := Next(plan, all[:8]); more {
		t.Error("a plan that is judged goes on")
	}
}

func TestAPlanGoesOnFromWhatIsStored(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	plan, whole := looking(draw(random, "ABBAABBAABBAABBA", .02))
	plan.Looks, plan.Pairs = []int{8}, 8
	next := func(runs []lab.Sealed) Step {
		s, ok := Next(plan, runs)
		if !ok {
			t.Fatal("nothing to make")
		}
		return s
	}
	if got := next(nil); got != (Step{Block: 1, Arms: "AB"}) {
		t.Errorf("first: %+v", got)
	}
	if got := next(whole[:4]); got != (Step{Block: 3, Arms: "AB"}) {
		t.Errorf("third: %+v", got)
	}
	broken := slices.Clone(whole[:4])
	broken[3].Run.Outcome = lab.Interrupted
	if got := next(broken); got != (Step{Block: 2, Try: 1, Arms: "BA"}) {
		t.Errorf("a broken block: %+v", got)
	}
	// A block that is invalid three times says that the plan is beyond repair.
	spoil := func(n int) []lab.Sealed {
		runs := slices.Clone(whole[:2])
		for try := range n {
			for _, r := range whole[2:4] {
				r.Run.Try = try
				r.Run.Findings = []lab.Finding{{Code: "client-lag", Level: lab.Invalid}}
				runs = append(runs, r)
			}
		}
		return runs
	}
	if got := next(spoil(2)); got != (Step{Block: 2, Try: 2, Arms: "BA"}) {
		t.Errorf("after two invalid tries: %+v", got)
	}
	if _, more := Next(plan, spoil(3)); more {
		t.Error("a plan beyond repair goes on")
	}
	// Neither do the pairs before it make a look of their own: the plan had none there.
	early, _ := looking(nil)
	three := slices.Clone(whole[:6])
	for try := range 3 {
		for _, r := range whole[6:8] {
			r.Run.Try = try
			r.Run.Findings = []lab.Finding{{Code: "client-lag", Level: lab.Invalid}}
			three = append(three, r)
		}
	}
	early.Order = plan.Order
	if v := Judge(early, three); v.Call != lab.InvalidCall || !v.Look.Final || v.Primary.Low != nil || !strings.Contains(v.Primary.Reason, "pair 4 was invalid each of 3 times (client-lag)") {
		t.Errorf("beyond repair after three pairs: %s, %q", v.Call, v.Primary.Reason)
	}
	if v := Judge(plan, spoil(3)); v.Call != lab.InvalidCall || !v.Look.Final {
		t.Errorf("beyond repair: %s %+v", v.Call, v.Look)
	}
	plan.Cut = 3
	if _, more := Next(plan, whole[:6]); more {
		t.Error("a plan that its time limit ended goes on")
	}
	if v := Judge(plan, whole[:6]); v.Primary.N != 3 || !v.Look.Final {
		t.Errorf("a plan that its time limit ended is judged by what it has: %+v", v.Look)
	}
}

func TestARepeatedBlockCountsOnceAndAtTheTimeWhenItWasMade(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	plan.Looks = []int{4}
	for i := range runs {
		runs[i].Run.Epoch.Wall, runs[i].Run.Ended = time.Unix(int64(60*i), 0), time.Minute
	}
	want := Judge(plan, runs)
	again := slices.Clone(runs)
	for i := 2; i < 4; i++ { // the second block was spoilt and made again at the end
		r := runs[i]
		r.Run.ID, r.Run.Try, r.Run.Slot, r.Run.Epoch.Wall = "z"+r.Run.ID, 1, 6+i, time.Unix(int64(60*(6+i)), 0)
		again = append(again, r)
	}
	again[2].Run.Findings = []lab.Finding{{Code: "thermal-slowdown", Level: lab.Invalid, Detail: "x"}}
	got := Judge(plan, again)
	if got.Primary.N != 4 || got.Call != lab.Worse || len(got.Runs) != 10 {
		t.Fatalf("n %d, call %s", got.Primary.N, got.Call)
	}
	near(t, "difference", got.Primary.Delta, want.Primary.Delta, 2e-3) // the drift is taken out at other moments
	if *got.Primary.Drift == *want.Primary.Drift || !slices.ContainsFunc(got.Warnings, func(f lab.Finding) bool { return f.Code == "repeated" }) {
		t.Errorf("delta %g, warnings %v", got.Primary.Delta, got.Warnings)
	}
}

// with adds a second metric to the runs, drawn for itself.
func with(runs []lab.Sealed, name string, values []float64) {
	for i := range runs {
		runs[i].Summary.Figures = append(slices.Clone(runs[i].Summary.Figures), lab.Figure{Phase: "load", Metric: name, Value: values[i], Unit: "s"})
	}
}

func TestABetterPrimaryWithAWorseGuardrailIsATradeOff(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	order := "ABBAABBA"
	plan, runs := experiment(order, draw(random, order, -.08))
	with(runs, "ttft.p95", draw(random, order, .15))
	with(runs, "e2el.mean", draw(random, order, .15))
	plan.Guardrails = []lab.Guardrail{{Phase: "load", Metric: "ttft.p95", Margin: .03}}
	v := Judge(plan, runs)
	if v.Call != lab.TradeOff || len(v.Guardrails) != 1 || v.Guardrails[0].Call != lab.Worse || *v.Guardrails[0].Harm > .05 {
		t.Errorf("call %s, guardrails %+v", v.Call, v.Guardrails)
	}
	if len(v.Rows) != 1 || !v.Rows[0].Flagged {
		t.Errorf("exploratory: %+v", v.Rows)
	}
	plan.Guardrails[0].Margin = .5 // a harm that certainly is smaller than the margin is none
	if v := Judge(plan, runs); v.Call != lab.Better || v.Guardrails[0].Call != lab.NoDifference {
		t.Errorf("call %s, guardrails %+v", v.Call, v.Guardrails)
	}
}

func TestAGuardrailWithoutFiguresIsSaidToGuardNothing(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	plan.Guardrails = []lab.Guardrail{{Phase: "load", Metric: "energy_per_token", Margin: .03}, {Metric: "startup", Margin: .03}}
	for i := range runs {
		runs[i].Summary.Figures = append(slices.Clone(runs[i].Summary.Figures), lab.Figure{Metric: "startup", Value: 60 + float64(i%3), Unit: "s"})
	}
	v := Judge(plan, runs)
	if len(v.Guardrails) != 1 || v.Guardrails[0].Metric != "startup" {
		t.Errorf("guardrails %+v", v.Guardrails)
	}
	if len(v.Warnings) != 1 || v.Warnings[0].Code != "unguarded" || !strings.Contains(v.Warnings[0].Detail, "energy_per_token") {
		t.Errorf("warnings %+v", v.Warnings)
	}
}

func TestADifferenceThatHangsOnOnePairIsFragile(t *testing.T) {
	order := "ABBAABBA"
	values := []float64{1, 1.06, 1.05, 1.005, 1, 1.04, 1.0, 1.02}
	plan, runs := experiment(order, values)
	v := Judge(plan, runs)
	if v.Call != lab.Worse && v.Call != lab.Inconclusive {
		t.Fatalf("call %s", v.Call)
	}
	if v.Sensitivity == nil || v.Sensitivity.Paired == nil || v.Sensitivity.Welch == nil || v.Sensitivity.LeaveOneOut == nil {
		t.Fatalf("sensitivity %+v", v.Sensitivity)
	}
	if (v.Call == lab.Worse) != v.Fragile {
		t.Errorf("call %s, fragile %t, sensitivity %+v", v.Call, v.Fragile, *v.Sensitivity.LeaveOneOut)
	}
	plan.Strict = true
	if v := Judge(plan, runs); v.Call != lab.Inconclusive {
		t.Errorf("a strict plan calls a fragile difference %s", v.Call)
	}
	_, clear := experiment(order, example)
	if v := Judge(plan, clear); v.Call != lab.Worse || v.Fragile {
		t.Errorf("the worked example: %s, fragile %t", v.Call, v.Fragile)
	}
}

func TestAP99OfFewIndependentRequestsIsNotCompared(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	order := "ABBAABBA"
	plan, runs := experiment(order, draw(random, order, 0))
	with(runs, "ttft.p99", draw(random, order, .3))
	for i := range runs {
		runs[i].Summary.Figures[1].NEff = 1400
	}
	v := Judge(plan, runs)
	if row := v.Rows[0]; row.Call != "" || row.Reason == "" || row.Flagged || row.Low == nil {
		t.Errorf("row %+v", row)
	}
	rule, err := ParseRule("ttft.p99 > +5%")
	if err != nil {
		t.Fatal(err)
	}
	if got := Rules(plan, runs, []Rule{rule})[0]; got.Outcome != Undecided || got.Why != v.Rows[0].Reason {
		t.Errorf("a rule on it: %+v", got)
	}
	for i := range runs {
		runs[i].Summary.Figures[1].NEff = 4000
	}
	if got := Rules(plan, runs, []Rule{rule})[0]; got.Outcome != Broken {
		t.Errorf("a rule on it: %+v", got)
	}
	if row := Judge(plan, runs).Rows[0]; row.Call != lab.Worse || !row.Flagged {
		t.Errorf("row %+v", row)
	}
}

func TestThePlansHashIsOfWhatWasLaidDown(t *testing.T) {
	plan, _ := experiment("ABBA", nil)
	hash := plan.Hash()
	plan.ID, plan.Made, plan.Cut = "x", time.Now(), 1
	if plan.Hash() != hash {
		t.Error("the hash changes with what comes later")
	}
	plan.Margin = .05
	if plan.Hash() == hash {
		t.Error("the hash does not see the margin")
	}
}
