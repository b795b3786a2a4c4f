package compare

import (
	"math/rand/v2"
	"testing"

	"lab/internal/lab"
)

// answering makes the runs of an A/B over so many requests: of noisy ones each run draws its answer anew, and arm B
// gives other answers to the share of changed ones. A run that is odd gives answers of its own throughout.
func answering(rng *rand.Rand, order string, requests int, noisy, changed, odd float64) []Said {
	plan := greedyPlan()
	var all []Said
	for _, arm := range order {
		own := uint64(0)
		if rng.Float64() < odd {
			own = rng.Uint64()
		}
		var records []lab.RequestRecord
		for seq := range requests {
			r := lab.RequestRecord{Seq: seq, Phase: "load", Prompt: uint64(seq), Answer: 1 + own, Usage: &lab.Usage{Output: 8}}
			if float64(seq) < changed*float64(requests) && arm == 'B' {
				r.Answer, r.Usage = 2+own, &lab.Usage{Output: 8 + seq%2}
			}
			if float64(seq) >= (1-noisy)*float64(requests) {
				r.Answer = 3 + rng.Uint64N(2)
			}
			records = append(records, r)
		}
		all = append(all, Answered(lab.Run{Arm: string(arm), Experiment: plan.A}, records))
	}
	return all
}

func greedyPlan() lab.Plan {
	e := lab.Experiment{Phases: []lab.Phase{{Name: "load", Judged: true}}}
	return lab.Plan{A: e, B: e}
}

func TestAnswersAreFlaggedOnlyWhereTheArmsDisagreeMoreThanRunsOfOneArm(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, tc := range []struct {
		what                string
		order               string
		noisy, changed, odd float64
		least, most         float64 // share of A/Bs that are flagged
	}{
		{"the same answers", "ABBAAB", 0, 0, 0, 0, 0},
		{"batching changes a third of the answers in every run", "ABBAAB", .33, 0, 0, 0, .01},
		{"the same over ten pairs", "ABBAABBAABBAABBAABBA", .33, 0, 0, 0, .01},
		{"one start in five answers otherwise throughout", "ABBAABBA", 0, 0, .2, 0, .1},
		{"B answers 2 % otherwise", "ABBAAB", 0, .02, 0, 1, 1},
		{"B answers 30 % otherwise beside batching", "ABBAAB", .2, .3, 0, .98, 1},
		{"two runs an arm show too little", "ABBA", 0, .3, 0, 0, 0},
	} {
		flagged := 0
		const times = 200
		for range times {
			a, ok := Answers(greedyPlan(), answering(rng, tc.order, 200, tc.noisy, tc.changed, tc.odd))
			if !ok {
				t.Fatalf("%s: not comparable", tc.what)
			}
			if _, apart := AnswersWarning(a); apart {
				flagged++
			}
		}
		if share := float64(flagged) / times; share < tc.least || share > tc.most {
			t.Errorf("%s: %.3f of the A/Bs are flagged, want %g to %g", tc.what, share, tc.least, tc.most)
		}
	}
}

func TestTheSharesOfDifferentAnswersAreThoseThatWerePlanted(t *testing.T) {
	a, _ := Answers(greedyPlan(), answering(rand.New(rand.NewPCG(1, 1)), "ABBAAB", 200, 0, .3, 0))
	near(t, "between", a.Between, .3, 1e-12)
	near(t, "lengths", a.Lengths, .15, 1e-12)
	near(t, "within", a.Within, 0, 0)
	near(t, "p", a.P, 2.0/20, 1e-12)
	if a.RunsA != 3 || a.RunsB != 3 || a.Requests != 200 {
		t.Errorf("n = %d and %d runs, %d requests", a.RunsA, a.RunsB, a.Requests)
	}
}

func TestAnswersThatAreNotToBeAlikeAreNotCompared(t *testing.T) {
	half := 0.5
	for what, change := range map[string]func(*lab.Plan){
		"a temperature": func(p *lab.Plan) {
			p.A.Phases = []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Temperature: &half}}}
			p.B.Phases = p.A.Phases
		},
		"the server's own sampling": func(p *lab.Plan) {
			p.A.Phases = []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{ServerSampling: true}}}
			p.B.Phases = p.A.Phases
		},
		"a temperature in the body": func(p *lab.Plan) {
			p.A.Phases = []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Body: map[string]any{"temperature": 1}}}}
			p.B.Phases = p.A.Phases
		},
		"other phases": func(p *lab.Plan) {
			p.B.Phases = []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Seed: 2}}}
		},
	} {
		plan := greedyPlan()
		change(&plan)
		if _, ok := Answers(plan, answering(rand.New(rand.NewPCG(1, 1)), "ABBAAB", 20, 0, .3, 0)); ok {
			t.Errorf("%s: compared", what)
		}
	}
	if _, ok := Answers(greedyPlan(), answering(rand.New(rand.NewPCG(1, 1)), "ABB", 20, 0, .3, 0)); ok {
		t.Error("one run of an arm says nothing of its own noise")
	}
}
