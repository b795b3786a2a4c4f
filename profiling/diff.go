package profiling

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Difference says what changed from a step of A to a step of the same kind of B.
type Difference struct {
	A          Side             `json:"a"`
	B          Side             `json:"b"`
	Basis      Basis            `json:"category_basis,omitempty"`
	Indicative bool             `json:"indicative"` // one capture on a side: how much captures differ by themselves is not known
	Kinds      []StepDifference `json:"kinds"`      // those that both sides have, the one with most steps first
	Notes      []string         `json:"notes"`      // what the reader must know before believing the numbers
}

// Side is what was compared of one side.
type Side struct {
	Files    []string `json:"files"`
	Captures int      `json:"captures"` // traces of several ranks are one
	VLLM     string   `json:"vllm_version,omitempty"`
	Steps    int      `json:"steps"`        // marked ones
	Steady   int      `json:"steady_steps"` // those compared: without ramps, pauses and the last
	Paused   int      `json:"paused_steps"` // left out, since they end in a wait for requests
}

// Unit is for what the figures of a comparison are.
type Unit string

const (
	PerStep  Unit = "step"
	PerToken Unit = "token" // prompt and generated tokens that the steps computed
)

// StepDifference compares the steps of one kind.
type StepDifference struct {
	Kind    StepKind `json:"kind"`
	Per     Unit     `json:"per"`
	Matched bool     `json:"equal_sizes"` // the figures are of steps of equal size, as many of each size on both sides
	Decided bool     `json:"comparable"`  // false: the steps' sizes differ too much, or are not known
	A       Steady   `json:"a"`
	B       Steady   `json:"b"`
	Time    Change   `json:"time"` // from a step's start to the next one's
	CPU     Change   `json:"cpu"`  // the marked span
	GPU     *Change  `json:"gpu_busy,omitempty"`
	HostGap *Change  `json:"host_gap,omitempty"`
	Work    *Ratio   `json:"gpu_activities,omitempty"`
	// Parts sum up to Time, in each of their three figures.
	Parts   []Part         `json:"parts,omitempty"`
	Kernels []KernelChange `json:"kernels,omitempty"`       // or operators; largest difference first, at most 50
	Others  *Leftover      `json:"other_kernels,omitempty"` // those that Kernels leaves out
}

// Steady are the steps of one side that were compared.
type Steady struct {
	N        int           `json:"n"`
	Used     int           `json:"used"`                        // have a counterpart of equal size, where sizes are matched
	Tokens   *float64      `json:"tokens_per_step,omitempty"`   // of all n
	Requests *float64      `json:"requests_per_step,omitempty"` // of all n
	P50      time.Duration `json:"time_p50_ns"`                 // of the n steps, whatever their size
	P99      time.Duration `json:"time_p99_ns"`                 //
}

// Change is a time on both sides.
type Change struct {
	A     time.Duration  `json:"a_ns"`
	B     time.Duration  `json:"b_ns"`
	Delta time.Duration  `json:"delta_ns"`
	Range *CaptureRanges `json:"captures,omitempty"` // where a side has several
}

// CaptureRanges are the least and the most that single captures gave.
type CaptureRanges struct {
	A     [2]time.Duration `json:"a_ns"`
	B     [2]time.Duration `json:"b_ns"`
	Apart bool             `json:"apart"` // each capture of one side is above each of the other, and both have several
}

// Ratio is a count a step on both sides.
type Ratio struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
}

// Part is one category, or what categories do not cover.
type Part struct {
	Name string `json:"name"`
	Change
	Rest bool `json:"rest,omitempty"` // no category: one of the names below
}

// The names of parts that are no category.
const (
	RestOverlap  = "overlap"    // activities at the same time count in each category, and once here with the opposite sign
	RestIdle     = "not busy"   // the GPU did not run work of the step
	RestSpanless = "in no span" // the CPU was in no operator, function or marked span
)

// Status says on which side a kernel occurs.
type Status string

const (
	Kept     Status = "kept"
	New      Status = "new"
	Vanished Status = "vanished"
	Renamed  Status = "renamed" // one that vanished and one that is new differ in template arguments or numbers alone
)

// KernelChange is one kernel, or one operator where no GPU worked.
type KernelChange struct {
	Name     string `json:"name"`
	Was      string `json:"was,omitempty"`
	Category string `json:"category"`
	Status   Status `json:"status"`
	Calls    Ratio  `json:"calls"`
	Change
}

// Leftover sums up what a list leaves out.
type Leftover struct {
	Names int `json:"names"`
	Change
}

const (
	kernelsListed = 50
	// tokensApart is how much the tokens of a step may differ where sizes are not matched.
	tokensApart = .10
	// negligible is the share of a step below which a kernel's difference is not listed.
	negligible = .005
)

// Diff compares traces step by step: those of A with those of B, each of one capture or of several of the same configuration.
func Diff(a, b []*Summary) Difference {
	items := &itemTable{at: map[item]int32{}}
	left, right := newSide("A", a, items), newSide("B", b, items)
	d := Difference{A: left.Side, B: right.Side, Kinds: []StepDifference{}, Notes: append(append([]string{}, left.problems...), right.problems...)}
	d.Indicative = left.Captures < 2 || right.Captures < 2
	if left.basis == right.basis {
		d.Basis = left.basis
	} else if left.basis != "" && right.basis != "" {
		d.note("one side has work on a GPU and the other has none: only the time of steps is compared")
	}
	for kind, name := range stepKinds {
		of, with := left.kind(kind), right.kind(kind)
		switch {
		case len(of) > 0 && len(with) > 0:
			d.Kinds = append(d.Kinds, d.compare(name, of, with, items.all))
		case len(of) > 0:
			d.note("B has no steady %s; A has %d", plural(name), len(of))
		case len(with) > 0:
			d.note("A has no steady %s; B has %d", plural(name), len(with))
		}
	}
	slices.SortStableFunc(d.Kinds, func(x, y StepDifference) int { return cmp.Compare(min(y.A.N, y.B.N), min(x.A.N, x.B.N)) })
	return d
}

func (d *Difference) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// noteFew says of a side that most of its steps are not in the figures: what is compared is true of the others' sizes only.
func (d *Difference) noteFew(name, other string, kind StepKind, s Steady) {
	if 2*s.Used < s.N {
		d.note("only %d of the %d %s of %s have one of equal size in %s: what the others take is not in the figures", s.Used, s.N, plural(kind), name, other)
	}
}

func plural(kind StepKind) string {
	if kind == Whole {
		return "steps"
	}
	return string(kind) + " steps"
}

func (s *side) kind(kind int) []steadyStep {
	var all []steadyStep
	for _, st := range s.steps {
		if st.kind == kind {
			all = append(all, st)
		}
	}
	return all
}

func (d *Difference) compare(kind StepKind, a, b []steadyStep, items []item) StepDifference {
	m := match(a, b)
	p := newPair(a, b, m, len(items))
	k := StepDifference{Kind: kind, Per: m.per, Matched: m.sizes != nil, A: steadyOf(a, p.a.steps, m.counts), B: steadyOf(b, p.b.steps, m.counts),
		Time: p.change(func(f *figures) float64 { return f.period }), CPU: p.change(func(f *figures) float64 { return f.cpu })}
	k.Decided = k.Matched
	switch {
	case !m.counts:
		d.note("the markers tell no sizes: %s of both sides may have computed different amounts", plural(kind))
	case !k.Matched:
		apart := math.Abs(*k.B.Tokens / *k.A.Tokens - 1)
		k.Decided = apart <= tokensApart
		text := "fewer than half of the %s have one of equal size on the other side: they are compared per token (%.1f tokens a step in A, %.1f in B)"
		if !k.Decided {
			text += "; so different steps do not say which side is faster"
		}
		d.note(text, plural(kind), *k.A.Tokens, *k.B.Tokens)
	default:
		d.noteFew("A", "B", kind, k.A)
		d.noteFew("B", "A", kind, k.B)
	}
	switch d.Basis {
	case GPUTime:
		busy, late := p.change(func(f *figures) float64 { return f.busy }), p.change(func(f *figures) float64 { return f.hostGap })
		k.GPU, k.HostGap, k.Work = &busy, &late, &Ratio{p.a.activities, p.b.activities}
		k.Parts = p.parts(items, k.Time, k.GPU)
	case SelfTime:
		k.Parts = p.parts(items, k.Time, nil)
	default:
		return k
	}
	k.Kernels, k.Others = p.kernels(items, k.Time)
	return k
}

func steadyOf(steps []steadyStep, used int, counted bool) Steady {
	s := Steady{N: len(steps), Used: used}
	periods := make([]int64, len(steps))
	tokens, requests := 0.0, 0.0
	for i := range steps {
		periods[i] = steps[i].period
		tokens += steps[i].tokens()
		requests += float64(steps[i].prefills + steps[i].decodes)
	}
	slices.Sort(periods)
	s.P50, s.P99 = percentile(periods, 50), percentile(periods, 99)
	if counted {
		tokens, requests = tokens/float64(s.N), requests/float64(s.N)
		s.Tokens, s.Requests = &tokens, &requests
	}
	return s
}

// parts has a line for each category, and one for what they do not cover, so that the lines sum up to the step.
func (p pair) parts(items []item, step Change, busy *Change) []Part {
	of := map[string][]int{}
	for i, it := range items {
		of[it.category] = append(of[it.category], i)
	}
	var all []Part
	covered := Change{}
	for name, members := range of {
		c := p.change(sumOf(members))
		if c.A == 0 && c.B == 0 {
			continue
		}
		all = append(all, Part{Name: name, Change: c})
		covered.A, covered.B = covered.A+c.A, covered.B+c.B
	}
	slices.SortFunc(all, func(x, y Part) int {
		return cmp.Or(cmp.Compare(max(y.A, y.B), max(x.A, x.B)), cmp.Compare(x.Name, y.Name))
	})
	rest := func(name string, whole Change) { // what the lines so far leave of a whole
		c := Change{A: whole.A - covered.A, B: whole.B - covered.B}
		c.Delta = c.B - c.A
		if c.A != 0 || c.B != 0 {
			all = append(all, Part{Name: name, Change: c, Rest: true})
		}
		covered = whole
	}
	if busy == nil {
		rest(RestSpanless, step)
		return all
	}
	rest(RestOverlap, *busy)
	rest(RestIdle, step)
	return all
}

func sumOf(members []int) func(*figures) float64 {
	return func(f *figures) float64 {
		whole := 0.0
		for _, i := range members {
			whole += f.took[i]
		}
		return whole
	}
}
