package profiling

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	listed      = 50 // kernels, operators, functions
	callsListed = 20
)

// summary makes the tables of what was collected. It may be called once.
func (c *collector) summary() Summary {
	for _, t := range c.threads {
		t.finish()
	}
	s := Summary{Counts: c.countTable(), BadTimes: c.badTimes, Unordered: c.unordered, Source: c.source.Source}
	switch {
	case c.session != nil:
		s.Window = &Window{time.Duration(c.session.start), time.Duration(c.session.end - c.session.start)}
	case c.timed:
		s.Window = &Window{time.Duration(c.first), time.Duration(c.last - c.first)}
	}
	if c.hasOverhead {
		took := time.Duration(c.overhead)
		s.Overhead = &took
	}
	steps := c.steps
	if len(steps) == 0 {
		steps = c.profiler
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.start, b.start) })
	var inSteps int64
	var work parts
	s.GPUs, s.Graphs, work, inSteps = c.gpu(steps)
	s.Steps = stepTables(steps, s.GPUs, inSteps)
	n := counted(steps)
	s.Operators, s.Functions = c.operatorTable(c.operators, n, true), c.operatorTable(c.functions, n, false)
	if c.unordered == 0 && c.unnamed.n > 0 {
		self := time.Duration(c.unnamed.self)
		s.Unnamed = &self
	}
	s.Calls = c.callTable()
	if len(s.GPUs) > 0 {
		s.Basis, s.Categories = GPUTime, c.kernelCategories(n)
		s.Kernels, s.Others = c.kernelTable(n)
	} else if c.unordered == 0 && len(c.operators)+len(c.functions) > 0 {
		s.Basis, s.Categories = SelfTime, c.operatorCategories(n)
	}
	s.detail = c.detail(steps, s.Basis, &work)
	return s
}

func (c *collector) countTable() []Count {
	table := []Count{}
	for category, n := range c.counts {
		shown := "none"
		if category != "" {
			shown = spelled([]byte(category))
		}
		table = append(table, Count{shown, *n})
	}
	slices.SortFunc(table, func(a, b Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Category, b.Category)) })
	return table
}

// counted is how many steps of each kind there are.
func counted(steps []step) [outside + 1]int64 {
	var n [outside + 1]int64
	for _, s := range steps {
		n[s.kind]++
	}
	return n
}

// stepTables sums up the steps, which are in the order of their start.
func stepTables(steps []step, gpus []GPU, inSteps int64) *Steps {
	if len(steps) == 0 {
		return nil
	}
	all := &Steps{Marker: steps[0].form}
	if len(gpus) > 0 {
		busy := int64(0)
		for _, g := range gpus {
			busy += int64(g.Busy)
		}
		coverage := share(inSteps, busy)
		all.Coverage = &coverage
	}
	for kind, name := range stepKinds {
		var cpu, period, busy, late []int64
		t, load, work, loaded := Step{Kind: name}, Load{}, int64(0), false
		for i, s := range steps {
			if s.kind != kind {
				continue
			}
			t.N++
			cpu = append(cpu, s.end-s.start)
			if i+1 < len(steps) {
				period = append(period, steps[i+1].start-s.start)
			}
			busy = append(busy, s.busy)
			late = append(late, s.hostGap)
			work += s.work
			loaded = loaded || s.counted
			load = Load{load.PrefillRequests + s.prefills, load.PrefillTokens + s.prompt, load.DecodeRequests + s.decodes, load.DecodeTokens + s.produced}
		}
		if t.N == 0 {
			continue
		}
		t.CPU, t.Period = spread(cpu), spread(period)
		if loaded {
			t.Load = &load
		}
		if len(gpus) > 0 {
			t.GPU, t.HostGap = spread(busy), spread(late)
			mean := float64(work) / float64(t.N)
			t.Work = &mean
		}
		all.Kinds = append(all.Kinds, t)
	}
	return all
}

// perStep divides a time by the number of steps of each kind.
func perStep(took [outside + 1]int64, n [outside + 1]int64) map[StepKind]time.Duration {
	var all map[StepKind]time.Duration
	for i, kind := range stepKinds {
		if n[i] > 0 && took[i] > 0 {
			if all == nil {
				all = map[StepKind]time.Duration{}
			}
			all[kind] = time.Duration((took[i] + n[i]/2) / n[i])
		}
	}
	return all
}

// tally adds up what belongs to one name.
type tally struct {
	n, took int64
	step    [outside + 1]int64
}

func (t *tally) add(n, took int64, step [outside + 1]int64) {
	t.n += n
	t.took += took
	for i := range step {
		t.step[i] += step[i]
	}
}

func (c *collector) kernelCategories(n [outside + 1]int64) []Category {
	all := map[string]*tally{}
	for _, s := range c.series {
		tallyOf(all, s.category).add(s.n, s.took, s.step)
	}
	return categories(all, n)
}

func (c *collector) operatorCategories(n [outside + 1]int64) []Category {
	all := map[string]*tally{}
	for _, o := range c.operators {
		tallyOf(all, operatorCategory(o.name)).add(o.n, o.self, o.selfStep)
	}
	for _, o := range c.functions {
		tallyOf(all, pythonCategory).add(o.n, o.self, o.selfStep)
	}
	if c.unnamed.n > 0 {
		tallyOf(all, unnamedCategory).add(c.unnamed.n, c.unnamed.self, c.unnamed.selfStep)
	}
	return categories(all, n)
}

func tallyOf(all map[string]*tally, name string) *tally {
	t := all[name]
	if t == nil {
		t = &tally{}
		all[name] = t
	}
	return t
}

func categories(all map[string]*tally, n [outside + 1]int64) []Category {
	whole := int64(0)
	for _, t := range all {
		whole += t.took
	}
	var table []Category
	for name, t := range all {
		table = append(table, Category{name, t.n, time.Duration(t.took), share(t.took, whole), perStep(t.step, n)})
	}
	slices.SortFunc(table, func(a, b Category) int { return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Name, b.Name)) })
	return table
}

// named is what kernels are told apart by, whatever device they ran on.
type named struct {
	kind kind
	name string
}

// kernelTable has a line for each name.
func (c *collector) kernelTable(n [outside + 1]int64) ([]Kernel, *Rest) {
	byName := map[named]*Kernel{}
	steps := map[named]*tally{}
	whole := int64(0)
	for _, s := range c.series {
		key := named{s.kind, s.name}
		k := byName[key]
		if k == nil {
			k = &Kernel{Name: s.name, Category: s.category}
			byName[key], steps[key] = k, &tally{}
		}
		k.N += s.n
		k.Took += time.Duration(s.took)
		k.Longest = max(k.Longest, time.Duration(s.longest))
		k.Graphed += s.graphed
		steps[key].add(0, 0, s.step)
		whole += s.took
	}
	var table []Kernel
	for key, k := range byName {
		k.Mean = (k.Took + time.Duration(k.N/2)) / time.Duration(k.N)
		k.Share = share(int64(k.Took), whole)
		k.PerStep = perStep(steps[key].step, n)
		table = append(table, *k)
	}
	slices.SortFunc(table, func(a, b Kernel) int {
		return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Category, b.Category))
	})
	if len(table) <= listed {
		return table, nil
	}
	rest := &Rest{Names: len(table) - listed}
	for _, k := range table[listed:] {
		rest.N += k.N
		rest.Took += k.Took
	}
	return table[:listed], rest
}

func (c *collector) callTable() []Call {
	var table []Call
	for s := range maps.Values(c.calls) {
		table = append(table, Call{s.name, s.n, time.Duration(s.took), time.Duration((s.took + s.n/2) / s.n)})
	}
	slices.SortFunc(table, func(a, b Call) int { return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Name, b.Name)) })
	return table[:min(len(table), callsListed)]
}

// operatorTable goes by self time; where that is not known, by the whole.
func (c *collector) operatorTable(from ops, n [outside + 1]int64, sort bool) []Operator {
	whole := c.unnamed.self
	for _, all := range []ops{c.operators, c.functions} {
		for _, o := range all {
			whole += o.self
		}
	}
	var table []Operator
	for _, o := range from {
		t := Operator{Name: o.name, N: o.n, Took: time.Duration(o.took)}
		if sort {
			t.Category = operatorCategory(o.name)
		}
		if c.unordered == 0 {
			self, part := time.Duration(o.self), share(o.self, whole)
			t.Self, t.Share, t.PerStep = &self, &part, perStep(o.selfStep, n)
		}
		table = append(table, t)
	}
	slices.SortFunc(table, func(a, b Operator) int {
		if a.Self != nil {
			return cmp.Or(cmp.Compare(*b.Self, *a.Self), cmp.Compare(a.Name, b.Name))
		}
		return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Name, b.Name))
	})
	return table[:min(len(table), listed)]
}
