package profiling

import (
	"encoding/json"
	"strings"
)

// collector keeps of a trace what the summary needs: sums, and of each GPU activity, launch and step a short record.
type collector struct {
	source   source
	counts   map[string]*int64
	badTimes int64

	first, last int64 // extent of all events that have a time
	timed       bool
	session     *span // the profiled window, as the profiler says
	overhead    int64
	hasOverhead bool

	threads   map[thread]*frames
	recent    *frames // of the thread that came last
	recentID  thread
	unordered int64
	operators ops
	functions ops
	unnamed   opStat
	python    *partSlot // functions are one part of a step, as there are many names of them
	items     []item    // what opParts count
	opParts   parts

	series   []series // what activities have in common
	seriesOf map[place]map[string]int
	work     pile[activity]
	launches pile[launch]
	waits    pile[span]
	calls    map[string]*callStat

	steps    []step // of vLLM's markers
	profiler []step // of the profiler's own
}

type thread struct{ pid, tid int64 }

type span struct{ start, end int64 }

// place is where an activity can be counted: activities of one name on two devices are two series.
type place struct {
	device int64
	kind   kind
}

type series struct {
	place
	name     string
	category string
	n        int64
	took     int64
	longest  int64
	graphed  int64
	step     [outside + 1]int64
	slot     partSlot
}

// activity is one kernel, copy or fill on a GPU. Its duration and series share a word: 44 bits hold nearly five hours.
type activity struct {
	start       int64
	correlation int64
	packed      uint64
}

const (
	seriesBits = 20
	longest    = 1<<(64-seriesBits) - 1
)

func (a *activity) took() int64 { return int64(a.packed >> seriesBits) }
func (a *activity) series() int { return int(a.packed & (1<<seriesBits - 1)) }
func (a *activity) end() int64  { return a.start + a.took() }

// launch is a call that may have put work on a GPU. The lowest bit of its key marks the launch of a graph.
type launch struct {
	key   int64 // correlation * 2
	start int64
}

type callStat struct {
	name    string
	n, took int64
	role    role
}

// role is what a call means to the GPU.
type role byte

const (
	launches role = iota
	launchesGraph
	waits // until the GPU has done its work
	asks  // and puts no work on the GPU
)

// roleOf tells calls that cannot launch work by their names; whatever else there is may.
func roleOf(name string) role {
	if strings.Contains(name, "GraphLaunch") {
		return launchesGraph
	}
	if strings.Contains(name, "Synchronize") {
		return waits
	}
	for _, harmless := range []string{"Query", "Record", "Get", "Capturing", "Occupancy", "SetAttribute", "PeekAt", "WaitEvent", "Malloc", "Free", "Create", "Destroy"} {
		if strings.Contains(name, harmless) {
			return asks
		}
	}
	return launches
}

// step is one marked step.
type step struct {
	span
	marker
	id                  int32 // its place in the order of the file
	busy, hostGap, work int64
}

const maxCategories = 256

func newCollector() *collector {
	return &collector{counts: map[string]*int64{}, threads: map[thread]*frames{}, operators: ops{}, functions: ops{},
		seriesOf: map[place]map[string]int{}, calls: map[string]*callStat{}}
}

func (c *collector) event(e *event) {
	c.count(e.cat)
	if e.phase != 'X' || e.cat == nil {
		return
	}
	k := kindOf(e.cat)
	if k == otherKind {
		return
	}
	if !e.usable(k) {
		c.badTimes++
		return
	}
	end := e.start + e.took
	switch k {
	case session:
		c.session = cover(c.session, e.start, end)
		return
	case overhead:
		c.overhead += e.took
		c.hasOverhead = true
		return
	}
	if !c.timed {
		c.first, c.last, c.timed = e.start, end, true
	}
	c.first, c.last = min(c.first, e.start), max(c.last, end)
	switch k {
	case operator, function, annotation:
		c.cpu(k, e)
	case call:
		c.call(e)
	default:
		c.activity(k, e)
	}
}

// usable says that the times of an event of a kind can be those of one.
func (e *event) usable(k kind) bool {
	return e.timed && (e.start != 0 || e.took != 0) && e.start <= maxTime && e.start >= -maxTime && e.took <= maxTime && !(k.onGPU() && e.took > longest)
}

// maxTime keeps sums of two times within 64 bits: 146 years.
const maxTime = 1 << 62

func cover(s *span, start, end int64) *span {
	if s == nil {
		return &span{start, end}
	}
	return &span{min(s.start, start), max(s.end, end)}
}

func (c *collector) count(cat []byte) {
	n := c.counts[string(cat)] // a pointer, since to write by a key makes a string of it each time
	if n == nil {
		key := string(cat)
		if len(c.counts) >= maxCategories {
			key = "(more)"
		}
		if n = c.counts[key]; n == nil {
			n = new(int64)
			c.counts[key] = n
		}
	}
	*n++
}

func (c *collector) cpu(k kind, e *event) {
	id := thread{e.pid, e.tid}
	if c.recent == nil || c.recentID != id {
		t := c.threads[id]
		if t == nil {
			t = &frames{last: -maxTime, step: outside, id: noStep, parts: &c.opParts}
			c.threads[id] = t
		}
		c.recent, c.recentID = t, id
	}
	op := &c.unnamed
	switch k {
	case operator:
		op = c.operators.find(e.name)
		if op.slot == nil {
			op.slot = c.newSlot(op.name, operatorCategory(op.name))
		}
	case function:
		op = c.functions.find(withoutAddress(e.name))
		if op.slot == nil {
			if c.python == nil {
				c.python = c.newSlot("Python functions", pythonCategory)
			}
			op.slot = c.python
		}
	case annotation:
		if op.slot == nil {
			op.slot = c.newSlot(unnamedCategory, unnamedCategory)
		}
		c.mark(e)
	}
	op.n++
	op.took += e.took
	if !c.recent.push(e.start, e.took, op) {
		c.unordered++
	}
}

// mark notes the span where it is a step.
func (c *collector) mark(e *event) {
	m, ok := stepOf(e.name)
	if !ok {
		return
	}
	s := step{span: span{e.start, e.start + e.took}, marker: m}
	if m.form == formProfiler {
		s.id = int32(len(c.profiler)) | profilerStep
		c.profiler = append(c.profiler, s)
		if len(c.steps) > 0 { // vLLM's markers say more
			return
		}
	} else {
		s.id = int32(len(c.steps))
		c.steps = append(c.steps, s)
	}
	c.recent.step, c.recent.id = m.kind, s.id
}

func (c *collector) call(e *event) {
	s := c.calls[string(e.name)]
	if s == nil {
		key := string(e.name)
		if len(c.calls) >= 1<<12 {
			key = "(more)"
		}
		if s = c.calls[key]; s == nil {
			s = &callStat{name: key, role: roleOf(key)}
			c.calls[key] = s
		}
	}
	s.n++
	s.took += e.took
	switch {
	case s.role == waits:
		c.waits.add(span{e.start, e.start + e.took})
	case s.role != asks && e.correlation > 0 && e.correlation < maxTime:
		key := e.correlation * 2
		if s.role == launchesGraph {
			key++
		}
		c.launches.add(launch{key, e.start})
	}
}

func (c *collector) activity(k kind, e *event) {
	at := place{e.pid, k}
	names := c.seriesOf[at]
	if names == nil {
		names = map[string]int{}
		c.seriesOf[at] = names
	}
	i, known := names[string(e.name)]
	if !known {
		name, shown := string(e.name), spelled(e.name)
		if len(c.series) >= 1<<16 { // one per place for all that come later
			name, shown = "\x00", "(names beyond the first 65536)"
		}
		if i, known = names[name]; !known {
			if len(c.series) == 1<<seriesBits-1 {
				c.badTimes++
				return
			}
			i = len(c.series)
			names[name] = i
			c.series = append(c.series, series{place: at, name: shown, category: kernelCategory(k, shown)})
		}
	}
	s := &c.series[i]
	s.n++
	s.took += e.took
	s.longest = max(s.longest, e.took)
	c.work.add(activity{e.start, e.correlation, uint64(e.took)<<seriesBits | uint64(i)})
}

// source is what the members beside the events say.
type source struct {
	Source
	devices map[int64]string
}

func (c *collector) member(key string, raw []byte) {
	s := &c.source
	number := func() *int64 {
		if v, ok := decimal(raw, 0); ok {
			return &v
		}
		return nil
	}
	switch key {
	case "vllm_version":
		s.VLLM = text(raw)
	case "host_name":
		s.Host = text(raw)
	case "with_stack":
		v := number()
		s.Stacks = v != nil && *v != 0
	case "record_shapes":
		v := number()
		s.Shapes = v != nil && *v != 0
	case "baseTimeNanoseconds":
		s.BaseTime = number()
	case "distributedInfo":
		var d struct {
			Rank *int64 `json:"rank"`
			Size *int64 `json:"world_size"`
		}
		if json.Unmarshal(raw, &d) == nil { // else it says nothing
			s.Rank, s.WorldSize = d.Rank, d.Size
		}
	case "deviceProperties":
		var all []struct {
			ID   int64  `json:"id"`
			Name string `json:"name"`
		}
		if json.Unmarshal(raw, &all) == nil {
			s.devices = map[int64]string{}
			for _, d := range all {
				s.devices[d.ID] = d.Name
				s.Devices = append(s.Devices, d.Name)
			}
		}
	case "WARNING", "ERROR":
		var lines []string
		if json.Unmarshal(raw, &lines) == nil {
			s.Log = append(s.Log, lines[:min(len(lines), max(0, 10-len(s.Log)))]...)
		}
	}
}
