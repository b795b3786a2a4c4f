package compare

import (
	"math/rand/v2"
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestARuleIsReadOrRefusedWithWhatToWrite(t *testing.T) {
	for text, want := range map[string]Rule{
		"ttft.p99 > +5%":                  {Metric: "ttft.p99", Above: true, Limit: .05, OfA: true},
		"output_throughput@saturated<-3%": {Metric: "output_throughput", Phase: "saturated", Limit: -.03, OfA: true},
		" e2el.p95 > 1500ms":              {Metric: "e2el.p95", Above: true, Limit: 1.5},
		"energy_per_token > 0.25":         {Metric: "energy_per_token", Above: true, Limit: .25},
		"goodput < -2pp":                  {Metric: "goodput", Limit: -.02, OfA: true},
		"goodput@load<-2 %":               {Metric: "goodput", Phase: "load", Limit: -.02, OfA: true},
		"error_share > 1.5 pp":            {Metric: "error_share", Above: true, Limit: .015, OfA: true},
		"gpu_util.mean < -5pp":            {Metric: "gpu_util.mean", Limit: -5, OfA: true},
		"goodput < 0.95":                  {Metric: "goodput", Limit: .95},
	} {
		got, err := ParseRule(text)
		want.Text = got.Text
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := ParseRule(got.Text); err != nil || again != got {
			t.Errorf("%q is told as %q, which reads as %+v, %v", text, got.Text, again, err)
		}
	}
	for text, want := range map[string]string{
		"goodput < 95%": "write 0.95 for the figure of B alone, or points for a difference to A, such as -2pp", "goodput < 95": "a share from 0 to 1",
		"ttft.p99 > 5pp": "write per cent", "goodput < xpp": "such as -2pp", "goodput < %": "such as -2pp", "error_share > 101pp": "such as -2pp",
	} {
		if r, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q was read as %+v, %v; want …%s…", text, r, err, want)
		}
	}
	for _, text := range []string{"", "ttft.p99", "ttft.p98 > 5%", "ttft.p99 > 5", "ttft.p99 > x%", "goodput < NaN", "ttft.p99 > -100%"} {
		if r, err := ParseRule(text); err == nil {
			t.Errorf("%q was read as %+v", text, r)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add("ttft.p99 > +5%")
	f.Add("goodput@x < 0.9")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err == nil && (r.Metric == "" || r.Limit != r.Limit) {
			t.Errorf("%q: %+v", text, r)
		}
	})
}

// The published shares of the gate at five pairs, noise 1.2 %, margin 3 %: pass 97 % at no harm, 5 % at a harm of the
// margin; fail 93 % there and 100 % at 5 %.
func TestTheNonInferiorityGateErrsAsOftenAsPublished(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 32))
	rule, err := ParseRule("tpot.mean > +3%")
	if err != nil {
		t.Fatal(err)
	}
	count := func(effect float64) map[Outcome]int {
		n := map[Outcome]int{}
		for range 400 {
			order := Order(5, random.Uint64())
			plan, runs := experiment(order, draw(random, order, effect))
			n[Rules(plan, runs, []Rule{rule})[0].Outcome]++
		}
		return n
	}
	if n := count(0); n[Passed] < 372 || n[Broken] > 14 {
		t.Errorf("no harm: %v", n)
	}
	if n := count(.03); n[Passed] > 36 || n[Broken] < 350 {
		t.Errorf("a harm of the margin: %v", n)
	}
	if n := count(.05); n[Broken] < 395 {
		t.Errorf("a harm of 5 %%: %v", n)
	}
}

func TestTheRuleOfAShareIsToldInPointsOfIt(t *testing.T) {
	plan, runs := experiment("ABBAABBA", []float64{.970, .910, .912, .968, .972, .908, .911, .969})
	relabel(&plan, runs, "goodput")
	harm := Harm(plan)
	if harm.Text != "goodput < -3 pp" || harm.Limit != -.03 {
		t.Errorf("the rule of a check: %+v", harm)
	}
	got := Rules(plan, runs, []Rule{harm})[0]
	if got.Outcome != Broken || !got.Absolute || got.Unit != "share" || got.Limit != -.03 || got.Seen == nil {
		t.Errorf("%+v", got)
	}
	near(t, "seen", *got.Seen, .91025-.96975, 1e-12)
	plan.Primary = "tpot.mean"
	if text := Harm(plan).Text; text != "tpot.mean > +3%" {
		t.Errorf("the rule of a latency: %q", text)
	}
}

func TestALimitOfItsOwnIsHeldByBAlone(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example) // B near 10.4
	for text, want := range map[string]Outcome{"tpot.mean > 11s": Passed, "tpot.mean > 10s": Broken, "tpot.mean > 10400ms": Undecided, "tpot.mean@other > 1s": Undecided} {
		rule, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Rules(plan, runs, []Rule{rule})[0]; got.Outcome != want || got.Why == "" {
			t.Errorf("%s: %+v", text, got)
		}
	}
	for i := range runs {
		runs[i].Summary.Figures = append(runs[i].Summary.Figures, lab.Figure{Metric: "startup", Value: 60 + float64(i%3), Unit: "s"})
	}
	if got := Rules(plan, runs, []Rule{{Metric: "startup", Above: true, Limit: .5, OfA: true}})[0]; got.Outcome != Passed {
		t.Errorf("start-up, which is of no phase: %+v", got)
	}
	if got := Rules(plan, nil, []Rule{{Metric: "tpot.mean"}})[0]; got.Outcome != Undecided {
		t.Errorf("no runs: %+v", got)
	}
}

func TestARuleThatCouldNeverBeDecidedIsRefusedBeforehand(t *testing.T) {
	plan, _ := experiment("ABBA", nil)
	limited := plan.B
	limited.SLO = []lab.SLO{{Metric: "ttft"}}
	for text, fits := range map[string]bool{
		"tpot.mean > +5%": true, "tpot.mean@load > +5%": true, "startup > +5%": true,
		"tpot.mean@other > +5%": false, "goodput < -1%": false,
	} {
		rule, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := rule.Fits(plan.A, limited); (err == nil) != fits {
			t.Errorf("%s: %v", text, err)
		}
		if err := rule.Fits(limited, limited); rule.Metric == "goodput" && err != nil {
			t.Errorf("%s with limits: %v", text, err)
		}
	}
}
