package compare

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"

	"lab/internal/lab"
)

// Said is what a server answered to the requests of one run's judged phases.
type Said struct {
	arm     string
	answers map[asked]told
}

// asked is the place of a request in the load, with its prompt: the same in every run of a plan.
type asked struct {
	phase  string
	seq    int
	prompt uint64
}

type told struct {
	hash   uint64
	tokens int
}

// Answered gathers what was answered in a run. Requests that failed have no answer.
func Answered(run lab.Run, requests []lab.RequestRecord) Said {
	judged := map[string]bool{}
	for _, p := range run.Experiment.Phases {
		judged[p.Name] = p.Judged
	}
	s := Said{arm: run.Arm, answers: map[asked]told{}}
	for _, r := range requests {
		if judged[r.Phase] && r.Answer != 0 {
			tokens, _ := r.Output()
			s.answers[asked{r.Phase, r.Seq, r.Prompt}] = told{r.Answer, tokens}
		}
	}
	return s
}

// AnswersAlike says whether the arms of a plan are to give the same answers: they are asked the same, and the most likely
// token is always taken.
func AnswersAlike(plan lab.Plan) bool {
	for _, e := range []lab.Experiment{plan.A, plan.B} {
		for _, p := range e.Phases {
			if p.Judged && !greedy(p.Load) {
				return false
			}
		}
	}
	return reflect.DeepEqual(plan.A.Phases, plan.B.Phases)
}

func greedy(l lab.Load) bool {
	_, set := l.Body["temperature"]
	return !set && !l.ServerSampling && (l.Temperature == nil || *l.Temperature == 0)
}

// Answers compares what was answered, every run with every other: how often runs of different arms disagree, how often
// runs of one arm do, and how probable it is that the arms come out so far apart by chance. It needs two runs of each
// arm that answered the same requests.
func Answers(plan lab.Plan, runs []Said) (lab.Answers, bool) {
	a := lab.Answers{Requests: math.MaxInt}
	arm := 0 // bit set: the runs of arm A
	for i, r := range runs {
		switch r.arm {
		case "A":
			a.RunsA++
			arm |= 1 << i
		case "B":
			a.RunsB++
		}
	}
	if a.RunsA < 2 || a.RunsB < 2 || len(runs) >= bits.UintSize-1 || !AnswersAlike(plan) {
		return lab.Answers{}, false
	}
	apart := make([][]float64, len(runs))
	for i := range runs {
		apart[i] = make([]float64, len(runs))
		for j := range i {
			common, other, longer := disagree(runs[i], runs[j])
			if common == 0 {
				return lab.Answers{}, false
			}
			a.Requests = min(a.Requests, common)
			apart[i][j] = float64(other) / float64(common)
			if arm>>i&1 != arm>>j&1 {
				a.Lengths += float64(longer) / float64(common) / float64(a.RunsA*a.RunsB)
			}
		}
	}
	a.Between, a.Within = partition(apart, arm)
	a.P = byChance(apart, arm, a.RunsA, plan.Seed)
	return a, true
}

// disagree counts the requests that both runs answered, those of them answered otherwise, and those answered at another
// length.
func disagree(a, b Said) (common, other, length int) {
	for q, one := range a.answers {
		two, both := b.answers[q]
		if !both {
			continue
		}
		common++
		if one != two {
			other++
		}
		if one.tokens != two.tokens {
			length++
		}
	}
	return common, other, length
}

// partition gives the mean disagreement of two runs of different groups and of one group, where the bits of group say which
// runs are of the first.
func partition(apart [][]float64, group int) (between, within float64) {
	var nBetween, nWithin float64
	for i := range apart {
		for j := range i {
			if group>>i&1 != group>>j&1 {
				between += apart[i][j]
				nBetween++
			} else {
				within += apart[i][j]
				nWithin++
			}
		}
	}
	return between / nBetween, within / nWithin
}

// Up to so many ways to part the runs all are looked at, beyond so many are drawn.
const (
	mostWays  = 20_000
	drawnWays = 20_000
)

// byChance is the exact permutation test over runs: of all ways to part them into two groups of these sizes, the share
// in which the groups disagree with each other, beyond what they do within, at least as much as the arms.
func byChance(apart [][]float64, arm, size int, seed uint64) float64 {
	seen := excess(apart, arm) - 1e-12
	as, ways := 0, 0
	count := func(group int) {
		ways++
		if excess(apart, group) >= seen {
			as++
		}
	}
	n := len(apart)
	if choose(n, size) <= mostWays {
		for group := 1<<size - 1; group < 1<<n; group = nextOfSize(group) {
			count(group)
		}
		return float64(as) / float64(ways)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	count(arm)
	for ways < drawnWays {
		group := 0
		for _, i := range rng.Perm(n)[:size] {
			group |= 1 << i
		}
		count(group)
	}
	return float64(as) / float64(ways)
}

func excess(apart [][]float64, group int) float64 {
	between, within := partition(apart, group)
	return between - within
}

// choose is the number of ways to take k of n.
func choose(n, k int) float64 {
	ways := 1.0
	for i := range k {
		ways *= float64(n-i) / float64(i+1)
	}
	return ways
}

// nextOfSize is the next larger number with as many bits set (Gosper).
func nextOfSize(v int) int {
	low := v & -v
	ripple := v + low
	return (v^ripple)>>2/low | ripple
}

// Answers are called other ones where no other way to part the runs sets them further apart, or few do, and where the
// arms disagree beyond runs of one arm by more than so many standard errors of a share of so many requests: three runs
// an arm cannot bring the permutation test below 0.1, and one A/B in ten would be flagged by it alone.
const (
	answersLevel  = 0.1
	answersErrors = 3
)

// AnswersWarning says where the arms answer more unlike each other than runs of one arm do.
func AnswersWarning(a lab.Answers) (lab.Finding, bool) {
	noise := math.Sqrt(a.Within * (1 - a.Within) / float64(a.Requests))
	if a.Between <= a.Within+answersErrors*noise || a.P > answersLevel+1e-12 {
		return lab.Finding{}, false
	}
	return lab.Finding{Code: "answers", Level: lab.Warning, Detail: fmt.Sprintf(
		"the arms answer differently: a run of A and one of B gave %.1f %% of the same requests other answers (%.1f %% at another length), two runs of one arm %.1f %%, and by chance they come so far apart with p = %.2g (n = %d and %d runs, at least %d requests each). Faster is no better where the output is another",
		100*a.Between, 100*a.Lengths, 100*a.Within, a.P, a.RunsA, a.RunsB, a.Requests)}, true
}
