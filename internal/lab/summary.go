package lab

import "time"

// Summary is a run in numbers: computed once from its records when it is sealed, stored with it, and all that a verdict
// reads. Figures that could not be computed are not in it.
type Summary struct {
	Definitions int      `json:"definitions"` // version of the formulas in docs/metrics.md
	Figures     []Figure `json:"figures"`
	Phases      []Tally  `json:"phases"`

	VLLM *FigureSet `json:"vllm,omitempty"` // the same run by the definitions of vllm bench serve
}

// FigureSet are figures by somebody else's definitions, which the name says with their version.
type FigureSet struct {
	Definition string   `json:"definition"`
	Figures    []Figure `json:"figures"`
}

// Tables are the records of a run.
type Tables struct {
	Requests []RequestRecord // in the order in which they ended
	Samples  []Sample
	Events   []Event
	Log      []LogLine
}

// Sealed is a finished run with its numbers.
type Sealed struct {
	Run     Run     `json:"run"`
	Summary Summary `json:"summary"`
}

// Figure is one number with its unit and the count it rests on.
type Figure struct {
	Phase  string  `json:"phase"`
	Metric string  `json:"metric"` // name in the catalogue, such as "ttft.p95"
	Value  float64 `json:"value"`  // in Unit
	Unit   string  `json:"unit"`
	N      int     `json:"n"` // requests, gaps, samples … that went in

	// How precisely this one run tells it: a 95 % interval that allows for neighbouring requests being alike. It says
	// nothing about other runs. NEff is the count of independent ones that the N are worth.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	NEff float64  `json:"n_eff,omitempty"`
}

// Tally counts what happened in one phase.
type Tally struct {
	Phase   string         `json:"phase"`
	Judged  bool           `json:"judged"`
	Open    bool           `json:"open"`
	Start   time.Duration  `json:"start"` // since Epoch
	End     time.Duration  `json:"end"`
	Offered int            `json:"offered"`
	OK      int            `json:"ok"`
	Errors  map[string]int `json:"errors,omitempty"` // by class
	Input   int            `json:"input_tokens"`
	Output  int            `json:"output_tokens"`
}

// Figure finds a figure by phase and metric.
func (s Summary) Figure(phase, metric string) (Figure, bool) {
	for _, f := range s.Figures {
		if f.Phase == phase && f.Metric == metric {
			return f, true
		}
	}
	return Figure{}, false
}
