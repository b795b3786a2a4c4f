package compare

import (
	"math"
	"math/rand/v2"
	"testing"

	"lab/internal/lab"
	"lab/internal/metric"
)

// near compares to the digits that the published value has.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: got %.12g, want %.12g", what, got, want)
	}
}

func TestQuantilesOfStudentsTAgreeWithTheTables(t *testing.T) {
	for _, tc := range []struct{ p, df, want float64 }{
		{.975, 1, 12.706204736175}, {.975, 2, 4.302652729749}, {.975, 2.37, 3.718920839797}, {.975, 3, 3.182446305284},
		{.975, 4, 2.776445105198}, {.975, 7, 2.364624251593}, {.975, 13, 2.160368656463}, {.975, 30, 2.042272456301},
		{.95, 1, 6.313751514675}, {.95, 2, 2.919985580354}, {.95, 2.37, 2.631661501379}, {.95, 3, 2.353363434802},
		{.95, 4, 2.131846786327}, {.95, 7, 1.894578605090}, {.95, 13, 1.770933395987}, {.95, 30, 1.697260886594},
	} {
		near(t, "quantile", quantile(tc.p, tc.df), tc.want, 1e-9)
	}
}

// The worked example: four pairs, values in ms by slot.
var example = []float64{10.00, 10.42, 10.39, 10.08, 10.05, 10.51, 10.47, 10.11}

func fitOf(values []float64, order string) (fit, bool) {
	var y, arm, slot []float64
	for i, v := range values {
		y = append(y, math.Log(v))
		arm = append(arm, map[byte]float64{'A': 0, 'B': 1}[order[i]])
		slot = append(slot, float64(i))
	}
	return leastSquares(y, arm, slot)
}

func TestTheFitReproducesTheWorkedExample(t *testing.T) {
	f, ok := fitOf(example, "ABBAABBA")
	if !ok {
		t.Fatal("no fit")
	}
	near(t, "delta", f.delta, .037794007, 5e-10)
	near(t, "se", f.se, .001980345, 5e-10)
	near(t, "df", f.df, 5, 0)
	near(t, "T", f.delta/f.se, 19.084553, 5e-7)
	near(t, "p", twoSided(f.delta/f.se, f.df), 7.281e-6, 5e-10)
	near(t, "slope", f.slope, .001571239, 5e-10)
	half := quantile(.975, f.df) * f.se
	near(t, "low", f.delta-half, .032703367, 5e-10)
	near(t, "high", f.delta+half, .042884647, 5e-10)
	half = quantile(1-.0224/2, f.df) * f.se
	near(t, "low 97.76", f.delta-half, .031334440, 5e-10)
	near(t, "high 97.76", f.delta+half, .044253574, 5e-10)
	if got := call(f, half, .0224, math.Log(1.03), metric.Lower); got != lab.Worse {
		t.Errorf("call %s, want worse", got)
	}
	f, _ = fitOf(example[:6], "ABBAAB")
	near(t, "delta of three pairs", f.delta, .038044130, 5e-10)
	near(t, "se of three pairs", f.se, .002621237, 5e-10)
	near(t, "p of three pairs", twoSided(f.delta/f.se, f.df), 7.0918e-4, 5e-9)
}

func TestTheOrderIsBlocksInTurnWithAFlippedStart(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(1000) {
		seen[Order(3, seed)]++
	}
	if len(seen) != 2 || seen["ABBAAB"] < 400 || seen["BAABBA"] < 400 {
		t.Errorf("orders: %v", seen)
	}
}

func TestWhatAPlanCanSeeFollowsFromNoiseAndPairs(t *testing.T) {
	near(t, "MDE", MDE(.012, 3, .05), .041, 5e-4) // three pairs at 1.2 %: 4.1 %
	if n := PairsNeeded(.012, .03, .05); n != 4 && n != 5 {
		t.Errorf("%d pairs for 3 %% at a CV of 1.2 %%", n)
	}
}

// experiment makes the sealed runs of an A/B out of values of one latency metric.
func experiment(order string, values []float64) (lab.Plan, []lab.Sealed) {
	e := lab.Experiment{Phases: []lab.Phase{{Name: "load", Judged: true}}}
	plan := lab.Plan{Pairs: len(order) / 2, Order: order, Phase: "load", Primary: "tpot.mean", Margin: .03, Alpha: .05, Fresh: true, A: e, B: e}
	var runs []lab.Sealed
	for i, v := range values {
		runs = append(runs, lab.Sealed{
			Run:     lab.Run{ID: string(rune('a' + i)), Arm: order[i : i+1], Block: i/2 + 1, Slot: i, Outcome: lab.Complete},
			Summary: lab.Summary{Figures: []lab.Figure{{Phase: "load", Metric: "tpot.mean", Value: v, Unit: "s", N: 100}}},
		})
	}
	return plan, runs
}

// draw makes run values as they come on a real box: lognormal noise from run to run, and a drift over the plan.
func draw(random *rand.Rand, order string, effect float64) []float64 {
	const cv, drift = .012, .02
	values := make([]float64, len(order))
	for i := range values {
		log := math.Log(.010) + cv*random.NormFloat64() + drift*float64(i)/float64(len(order)-1)
		if order[i] == 'B' {
			log += math.Log1p(effect)
		}
		values[i] = math.Exp(log)
	}
	return values
}

func count(effect float64) map[lab.Call]int {
	random := rand.New(rand.NewPCG(20, 26))
	calls := map[lab.Call]int{}
	for range 2000 {
		order := Order(4, random.Uint64())
		plan, runs := experiment(order, draw(random, order, effect))
		calls[Judge(plan, runs).Call]++
	}
	return calls
}

func TestTwoEqualArmsAreRarelyToldApartAndASlowdownOfFivePercentIsFound(t *testing.T) {
	same := count(0)
	if wrong := same[lab.Better] + same[lab.Worse]; wrong > 140 {
		t.Errorf("%d of 2000 experiments with equal arms were called better or worse, want at most 140: %v", wrong, same)
	}
	slower := count(.05)
	if slower[lab.Worse] < 1900 || slower[lab.Better] > 0 {
		t.Errorf("a slowdown of 5 %% was found in %d of 2000 experiments, want at least 1900: %v", slower[lab.Worse], slower)
	}
}

func TestSwappingTheArmsSwapsTheWord(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	mirror := map[lab.Call]lab.Call{lab.Better: lab.Worse, lab.Worse: lab.Better, lab.Inconclusive: lab.Inconclusive, lab.NoDifference: lab.NoDifference}
	for range 200 {
		order := Order(4, random.Uint64())
		plan, runs := experiment(order, draw(random, order, .03))
		first := Judge(plan, runs).Call
		for i := range runs {
			runs[i].Run.Arm = map[string]string{"A": "B", "B": "A"}[runs[i].Run.Arm]
		}
		if second := Judge(plan, runs).Call; second != mirror[first] {
			t.Fatalf("%s became %s", first, second)
		}
	}
}

func TestADifferenceWithinTheMarginIsNoDifferenceEvenWhereItIsReal(t *testing.T) {
	plan, runs := experiment("ABBAABBA", []float64{1, 1.0101, 1.0099, 1.0001, .9999, 1.0100, 1.0100, 1})
	v := Judge(plan, runs)
	if v.Call != lab.NoDifference || *v.Primary.P > .001 {
		t.Errorf("call %s, p %g: want no-difference with a small p", v.Call, *v.Primary.P)
	}
}

func TestAnInvalidRunTakesItsBlockOut(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	runs[2].Run.Findings = []lab.Finding{{Code: "client-lag", Level: lab.Invalid, Detail: "x"}}
	v := Judge(plan, runs)
	if v.Primary.N != 3 || v.Call != lab.Worse || v.Runs[2].Valid || v.Runs[2].Why == "" {
		t.Errorf("n %d, call %s, run %+v", v.Primary.N, v.Call, v.Runs[2])
	}
	for i := range runs[:6] {
		runs[i].Run.Outcome = lab.Failed
	}
	if v := Judge(plan, runs); v.Call != lab.InvalidCall {
		t.Errorf("one pair left: call %s, want invalid", v.Call)
	}
}

func TestRunsOnOneServerGetNoVerdict(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	plan.Fresh = false
	if v := Judge(plan, runs); v.Call != lab.Historical || len(v.Warnings) == 0 {
		t.Errorf("call %s, warnings %v", v.Call, v.Warnings)
	}
}

func TestRunsWithoutAnyNoiseGetNoVerdict(t *testing.T) {
	plan, runs := experiment("ABBA", []float64{1, 2, 2, 1})
	if v := Judge(plan, runs); v.Call != lab.Inconclusive || v.Primary.Reason == "" || v.Primary.P != nil {
		t.Errorf("call %s, row %+v", v.Call, v.Primary)
	}
}

func TestTheFiguresOfTheArmsDifferByTheDifferenceThatIsTold(t *testing.T) {
	random := rand.New(rand.NewPCG(51, 52))
	for _, pairs := range []int{2, 3, 4, 5} {
		order := Order(pairs, random.Uint64())
		plan, runs := experiment(order, draw(random, order, .04))
		for i := range runs { // a steep drift
			runs[i].Summary.Figures[0].Value *= 1 + .1*float64(i)
		}
		row := Judge(plan, runs).Primary
		near(t, "B against A", row.B/row.A-1, row.Delta, 1e-12)
		near(t, "their middle", math.Sqrt(row.A*row.B), geometric(runs), 1e-12)
	}
	plan, runs := experiment("ABBAAB", []float64{0, 0, 0, 0, 0, .1})
	relabel(&plan, runs, "error_share")
	if row := Judge(plan, runs).Primary; row.A < 0 || row.B < 0 {
		t.Errorf("a share below zero: %+v", row)
	}
}

func geometric(runs []lab.Sealed) float64 {
	sum := 0.0
	for _, r := range runs {
		sum += math.Log(r.Summary.Figures[0].Value)
	}
	return math.Exp(sum / float64(len(runs)))
}
