package profiling

import (
	"fmt"
	"slices"
)

// side is one side of a comparison: the steady steps of all its captures.
type side struct {
	Side
	basis    Basis
	steps    []steadyStep
	problems []string
}

// steadyStep is a step that can be compared.
type steadyStep struct {
	stepDetail
	capture int
}

// steadySize is what both sides have to agree on for steps to be of equal size.
type steadySize struct{ prefills, prompt, decodes, produced int64 }

func (s *steadyStep) size() steadySize {
	return steadySize{s.prefills, s.prompt, s.decodes, s.produced}
}

// tokens are those that a step computed.
func (s *steadyStep) tokens() float64 { return float64(s.prompt + s.produced) }

// itemTable numbers the items of all captures alike.
type itemTable struct {
	all []item
	at  map[item]int32
}

func (t *itemTable) number(i item) int32 {
	n, known := t.at[i]
	if !known {
		n = int32(len(t.all))
		t.at[i] = n
		t.all = append(t.all, i)
	}
	return n
}

// newSide gathers the steps. The k-th trace of each rank belongs to the k-th capture.
func newSide(name string, from []*Summary, items *itemTable) *side {
	s := &side{}
	ofRank := map[int64]int{}
	for _, sum := range from {
		s.Files = append(s.Files, sum.File)
		if s.VLLM == "" {
			s.VLLM = sum.Source.VLLM
		}
		if sum.detail == nil || len(sum.detail.steps) == 0 {
			continue // the API server's trace has none, and says nothing of the engine
		}
		rank := int64(-1)
		if sum.Source.Rank != nil {
			rank = *sum.Source.Rank
		}
		capture := ofRank[rank]
		ofRank[rank]++
		s.Captures = max(s.Captures, capture+1)
		if s.basis == "" {
			s.basis = sum.Basis
		} else if s.basis != sum.Basis {
			s.problems = append(s.problems, fmt.Sprintf("the traces of %s differ in kind: some have work on a GPU, some none", name))
			s.basis = ""
		}
		s.doubts(name, sum)
		s.add(sum.detail, capture, items)
	}
	if s.Steps == 0 {
		s.problems = append(s.problems, fmt.Sprintf("no step is marked in %s, so there is nothing to compare; the steps are in the workers' traces", name))
	}
	return s
}

func (s *side) doubts(name string, sum *Summary) {
	add := func(when bool, format string, args ...any) {
		if note := fmt.Sprintf(format, args...); when && !slices.Contains(s.problems, note) {
			s.problems = append(s.problems, note)
		}
	}
	add(!sum.Complete, "a trace of %s is incomplete: %s", name, sum.Damage)
	add(sum.Source.Stacks, "%s was recorded with Python stacks: taking them makes every step longer", name)
	add(sum.Unordered > 0 && len(sum.GPUs) == 0, "events of the CPU are out of order in %s: no self times of operators", name)
	add(sum.Steps != nil && sum.Steps.Coverage != nil && *sum.Steps.Coverage < .95, "less than 95 %% of the GPU's busy time in %s was launched by marked steps", name)
}

// add takes the steady steps of a trace: from the first to the last with at least half as many requests as the median step,
// without the last one of all, which has no end, and without those that end in a wait for requests.
func (s *side) add(d *detail, capture int, items *itemTable) {
	s.Steps += len(d.steps)
	renumber := make([]int32, len(d.items))
	for i, it := range d.items {
		renumber[i] = items.number(it)
	}
	steps := steady(d.steps)
	usual := medianPeriod(steps)
	for _, st := range steps {
		if st.waits(usual) {
			s.Paused++
			continue
		}
		own := make([]part, len(st.parts))
		for i, p := range st.parts {
			p.item = renumber[p.item]
			own[i] = p
		}
		st.parts = own
		s.steps = append(s.steps, steadyStep{st, capture})
		s.Steady++
	}
}

func steady(steps []stepDetail) []stepDetail {
	var busy []stepDetail
	requests := []int64{}
	for _, s := range steps {
		if s.kind != kindIndex(Empty) {
			busy = append(busy, s)
			requests = append(requests, s.prefills+s.decodes)
		}
	}
	if len(busy) == 0 {
		return nil
	}
	slices.Sort(requests)
	half := requests[len(requests)/2]
	ramp := func(s stepDetail) bool { return 2*(s.prefills+s.decodes) < half }
	for ramp(busy[0]) {
		busy = busy[1:]
	}
	for ramp(busy[len(busy)-1]) {
		busy = busy[:len(busy)-1]
	}
	if busy[len(busy)-1].last {
		busy = busy[:len(busy)-1]
	}
	return busy
}

func medianPeriod(steps []stepDetail) int64 {
	if len(steps) == 0 {
		return 0
	}
	periods := make([]int64, len(steps))
	for i, s := range steps {
		periods[i] = s.period
	}
	slices.Sort(periods)
	return int64(percentile(periods, 50))
}

// waits says that a step is followed by a stretch without work that is longer than two usual steps.
func (s *stepDetail) waits(usual int64) bool {
	return s.period-max(s.end-s.start, s.busy) > 2*usual
}
