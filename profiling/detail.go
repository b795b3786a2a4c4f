package profiling

// part is what one operator, or one series of GPU activities, took of one step.
type part struct {
	step, item int32
	n          int32
	took       int64
}

// parts is the list of them. Each step has far fewer than it has events, as its operators and kernels come again and again.
type parts struct{ pile[part] }

// partSlot remembers the part that an item added to last, so that nothing has to be looked up.
type partSlot struct {
	item int32
	step int32
	at   int
	used bool
}

const (
	noStep = -1
	// profilerStep marks the ids of the profiler's own steps.
	profilerStep = 1 << 30
)

func (p *parts) add(s *partSlot, step int32, took int64) {
	if step == noStep {
		return
	}
	if !s.used || s.step != step {
		s.used, s.step, s.at = true, step, p.n
		p.pile.add(part{step: step, item: s.item})
	}
	to := p.at(s.at)
	to.n++
	to.took += took
}

// item is what a part counts.
type item struct{ name, category string }

func (c *collector) newSlot(name, category string) *partSlot {
	c.items = append(c.items, item{name, category})
	return &partSlot{item: int32(len(c.items) - 1)}
}

// detail has the steps one by one.
type detail struct {
	steps []stepDetail
	items []item
}

type stepDetail struct {
	step
	period int64 // absent in the last one
	last   bool
	parts  []part
}

// detail sorts the parts of the basis by their steps, which are in the order of their start.
func (c *collector) detail(steps []step, basis Basis, work *parts) *detail {
	d := &detail{steps: make([]stepDetail, len(steps))}
	from, place := work, func(id int32) (int, bool) { return int(id), true }
	switch basis {
	case GPUTime:
		for _, s := range c.series {
			d.items = append(d.items, item{s.name, s.category})
		}
	case SelfTime:
		d.items = c.items
		from = &c.opParts
		at := map[int32]int{}
		for i, s := range steps {
			at[s.id] = i
		}
		place = func(id int32) (int, bool) { i, ok := at[id]; return i, ok }
	default:
		from = &parts{}
	}
	sizes := make([]int, len(steps))
	for i := range from.n {
		if at, ok := place(from.at(i).step); ok {
			sizes[at]++
		}
	}
	for i, s := range steps {
		d.steps[i] = stepDetail{step: s, last: i+1 == len(steps), parts: make([]part, 0, sizes[i])}
		if i+1 < len(steps) {
			d.steps[i].period = steps[i+1].start - s.start
		}
	}
	for i := range from.n {
		if at, ok := place(from.at(i).step); ok {
			d.steps[at].parts = append(d.steps[at].parts, *from.at(i))
		}
	}
	return d
}
