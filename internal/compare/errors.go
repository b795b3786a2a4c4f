package compare

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"lab/internal/lab"
)

// ErrorCounts is how often verdicts err, counted over simulated A/Bs that went through the same code as real ones.
type ErrorCounts struct {
	Trials int         `json:"trials"` // A/Bs a cell
	Seed   uint64      `json:"seed"`
	Cells  []ErrorCell `json:"cells"`
	Passed bool        `json:"passed"`
}

// ErrorCell is one kind of A/B.
type ErrorCell struct {
	What    string  `json:"what"`   // "equal arms", "B 3 % slower", "pooled requests, equal arms"
	Noise   string  `json:"noise"`  // beyond chance, see docs/statistics.md
	Looks   []int   `json:"looks"`  // pairs
	Level   float64 `json:"level"`  // nominal, two-sided, of each look
	Margin  float64 `json:"margin"` // 0: the test of a difference alone
	Told    float64 `json:"told"`   // share called better or worse; of slower arms called worse, or alike where What says so; of pooled requests: share with p < level
	Better  float64 `json:"better"`
	Worse   float64 `json:"worse"`
	Same    float64 `json:"no_difference"`
	Unclear float64 `json:"inconclusive"`
	Pairs   float64 `json:"pairs"` // made on average
	Least   float64 `json:"least"` // Told must lie between Least and Most
	Most    float64 `json:"most"`
	OK      bool    `json:"ok"`
}

// The plans whose errors are counted.
var (
	standardLooks = []int{4, 6, 8}
	standardLevel = 0.0224
	trialMargin   = 0.03
)

// CountErrors counts over so many A/Bs a cell; the same seed gives the same counts.
func CountErrors(trials int, seed uint64) ErrorCounts {
	var cells []ErrorCell
	for _, noise := range noises {
		least, most := 0.01, 0.07
		if noise == "none" { // the test's own assumptions hold: its level is exact
			least, most = 0.035, 0.065
		}
		for _, pairs := range []int{4, 6, 8} {
			cells = append(cells, ErrorCell{What: "equal arms", Noise: noise, Looks: []int{pairs}, Level: 0.05, Least: least, Most: most})
		}
	}
	for _, noise := range noises {
		cells = append(cells, ErrorCell{What: "equal arms", Noise: noise, Looks: standardLooks, Level: standardLevel, Most: 0.06})
	}
	for _, noise := range noises {
		cells = append(cells, ErrorCell{What: "equal arms", Noise: noise, Looks: standardLooks, Level: standardLevel, Margin: trialMargin, Most: 0.05})
	}
	cells = append(cells,
		ErrorCell{What: "B 3 % slower", Noise: "none", Looks: []int{5}, Level: 0.05, Least: 0.85, Most: 1},
		ErrorCell{What: "B 5 % slower", Noise: "none", Looks: []int{5}, Level: 0.05, Least: 0.99, Most: 1},
		ErrorCell{What: "B 5 % slower", Noise: "none", Looks: standardLooks, Level: standardLevel, Margin: trialMargin, Least: 0.99, Most: 1},
		ErrorCell{What: "B 5 % slower", Noise: "linear", Looks: standardLooks, Level: standardLevel, Margin: trialMargin, Least: 0.99, Most: 1},
		ErrorCell{What: "B 3 % slower", Noise: "none", Looks: standardLooks, Level: standardLevel, Margin: trialMargin, Least: 0.90, Most: 1},
		ErrorCell{What: takenForAlike, Noise: "none", Looks: []int{5}, Level: 0.05, Margin: trialMargin, Most: 0.06},
		ErrorCell{What: takenForAlike, Noise: "none", Looks: standardLooks, Level: standardLevel, Margin: trialMargin, Most: 0.06},
		ErrorCell{What: pooledRequests, Noise: "none", Looks: []int{5}, Level: 0.05, Least: 0.30, Most: 1},
	)
	s := ErrorCounts{Trials: trials, Seed: seed, Cells: cells, Passed: true}
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range s.Cells {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s.Cells[i].count(trials, rand.New(rand.NewPCG(seed, uint64(i)+1)))
		})
	}
	all.Wait()
	for _, c := range s.Cells {
		s.Passed = s.Passed && c.OK
	}
	return s
}

// pooledRequests is the negative control: the test that lab does not use, because it takes requests for independent.
const pooledRequests = "pooled requests, equal arms"

// takenForAlike is the other error: a difference as large as the margin that is called none.
const takenForAlike = "B 3 % slower, called alike"

var effects = map[string]float64{"B 3 % slower": 0.03, "B 5 % slower": 0.05, takenForAlike: 0.03}

func (c *ErrorCell) count(trials int, random *rand.Rand) {
	part := 1 / float64(trials)
	for range trials {
		p := trialPlan(random, c.Looks, c.Level, c.Margin)
		if c.What == pooledRequests {
			if pooled(random, p.Order) < c.Level {
				c.Told += part
			}
			continue
		}
		var v lab.Verdict
		lookUp(&v, p, pairsOf(p, noisyRuns(random, c.Noise, p.Order, effects[c.What])), true)
		c.Pairs += part * float64(v.Look.Pairs)
		switch v.Call {
		case lab.Better:
			c.Better += part
		case lab.Worse:
			c.Worse += part
		case lab.NoDifference:
			c.Same += part
		default:
			c.Unclear += part
		}
	}
	c.Told += c.Better + c.Worse
	switch {
	case c.What == takenForAlike:
		c.Told = c.Same
	case effects[c.What] > 0:
		c.Told = c.Worse
	}
	c.OK = c.Told >= c.Least && c.Told <= c.Most
}

// pooled is the p-value of Welch's test on all requests of the arms, taken as if they were independent: requests of a run
// share the noise of its server and follow one another.
func pooled(random *rand.Rand, order string) float64 {
	const requests = 600
	var sum, squares, n [2]float64
	for t := range order {
		arm := 0
		if order[t] == 'B' {
			arm = 1
		}
		start, own := 0.010*random.NormFloat64(), newAR(random, 0.8, 0.05)
		for range requests {
			y := math.Exp(start + 0.064*random.NormFloat64() + own())
			sum[arm] += y
			squares[arm] += y * y
			n[arm]++
		}
	}
	var mean, variance [2]float64
	for i := range mean {
		mean[i] = sum[i] / n[i]
		variance[i] = (squares[i] - n[i]*mean[i]*mean[i]) / (n[i] - 1) / n[i]
	}
	z := math.Abs(mean[1]-mean[0]) / math.Sqrt(variance[0]+variance[1])
	return math.Erfc(z / math.Sqrt2)
}
