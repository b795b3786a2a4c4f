package profiling

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
)

// stacker keeps of a trace what its stacks need: a short record of each span of the CPU, of each launch and of each activity.
type stacker struct {
	meta *collector // members beside the events

	labels   *labels
	threads  []*spans
	threadAt map[thread]int32
	recent   int32 // thread that came last
	recentID thread

	launches pile[stackLaunch]
	work     pile[stackWork]
	places   []workPlace
	placeAt  map[workPlace]uint32
	roles    map[uint32]role // of calls

	steps, profiler []step
	badTimes        int64
	session         *span
	first, last     int64
	timed           bool
}

// spans are those of one thread: operators, functions, annotations.
type spans struct {
	thread
	pile[cpuSpan]
	last      int64
	unordered bool
	launches  []int32 // of stacker.launches, in the order of their start
}

type cpuSpan struct {
	start  int64
	packed uint64 // duration and label
}

func (c *cpuSpan) took() int64   { return int64(c.packed >> labelBits) }
func (c *cpuSpan) label() uint32 { return uint32(c.packed & (1<<labelBits - 1)) }

type stackLaunch struct {
	key    int64 // correlation * 2, and 1 for a graph
	start  int64
	thread int32
	label  uint32
	node   int32 // of the stack with the call on top
}

type stackWork struct {
	correlation int64
	took        int64
	label       uint32
	place       uint32
}

type workPlace struct {
	device, stream int64
	kind           kind
}

func newStacker() *stacker {
	return &stacker{meta: newCollector(), labels: newLabels(), threadAt: map[thread]int32{}, recent: -1, placeAt: map[workPlace]uint32{}, roles: map[uint32]role{}}
}

// stacks reads a trace for its stacks.
func stacks(ctx context.Context, f *traceFile, name string) (*stacker, *scanner, error) {
	s := newStacker()
	scan := newScanner(ctx, f.stream, windowSize)
	scan.event, scan.member = s.event, s.meta.member
	scan.run()
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("read trace %s: %w", name, err)
	}
	if !scan.found {
		return nil, nil, &NotTraceError{name, missing(scan)}
	}
	s.order()
	return s, scan, nil
}

func (s *stacker) event(e *event) {
	if e.phase != 'X' || e.cat == nil {
		return
	}
	k := kindOf(e.cat)
	if k == otherKind || k == overhead {
		return
	}
	if !e.usable(k) {
		s.badTimes++
		return
	}
	end := e.start + e.took
	if k == session {
		s.session = cover(s.session, e.start, end)
		return
	}
	if !s.timed {
		s.first, s.last, s.timed = e.start, end, true
	}
	s.first, s.last = min(s.first, e.start), max(s.last, end)
	switch k {
	case operator, function, annotation:
		s.span(k, e)
	case call:
		s.call(e)
	default:
		place := s.place(workPlace{e.pid, e.tid, k})
		s.work.add(stackWork{e.correlation, e.took, s.labels.find(e.name, false), place})
	}
}

func (s *stacker) place(p workPlace) uint32 {
	n, known := s.placeAt[p]
	if !known {
		n = uint32(len(s.places))
		s.placeAt[p] = n
		s.places = append(s.places, p)
	}
	return n
}

func (s *stacker) thread(e *event) int32 {
	id := thread{e.pid, e.tid}
	if s.recent >= 0 && s.recentID == id {
		return s.recent
	}
	n, known := s.threadAt[id]
	if !known {
		n = int32(len(s.threads))
		s.threadAt[id] = n
		s.threads = append(s.threads, &spans{thread: id, last: -maxTime})
	}
	s.recent, s.recentID = n, id
	return n
}

func (s *stacker) span(k kind, e *event) {
	n, marked := uint32(0), false
	if k == annotation {
		n, marked = s.mark(e)
	}
	if !marked {
		n = s.labels.find(e.name, k == function)
	}
	t := s.threads[s.thread(e)]
	t.unordered = t.unordered || e.start < t.last
	t.last = e.start
	t.add(cpuSpan{e.start, uint64(min(e.took, longest))<<labelBits | uint64(n)})
}

// mark notes the span where it is a step.
func (s *stacker) mark(e *event) (label uint32, marked bool) {
	m, ok := stepOf(e.name)
	if !ok {
		return 0, false
	}
	mark := step{span: span{e.start, e.start + e.took}, marker: m}
	if m.form == formProfiler {
		s.profiler = append(s.profiler, mark)
	} else {
		s.steps = append(s.steps, mark)
	}
	return s.labels.marker(m), true
}

func (s *stacker) call(e *event) {
	if e.correlation <= 0 || e.correlation >= maxTime {
		return
	}
	n := s.labels.find(e.name, false)
	what, known := s.roles[n]
	if !known {
		what = roleOf(s.labels.all[n].name)
		s.roles[n] = what
	}
	if what == waits || what == asks {
		return
	}
	key := e.correlation * 2
	if what == launchesGraph {
		key++
	}
	s.launches.add(stackLaunch{key: key, start: e.start, thread: s.thread(e), label: n})
}

// order sorts what the file need not have sorted.
func (s *stacker) order() {
	if len(s.steps) == 0 {
		s.steps = s.profiler
	}
	slices.SortStableFunc(s.steps, func(a, b step) int { return cmp.Compare(a.start, b.start) })
	sort.Sort(sorted[stackLaunch]{&s.launches, func(a, b *stackLaunch) bool { return a.key < b.key || a.key == b.key && a.start < b.start }})
	for i := range s.launches.n {
		t := s.threads[s.launches.at(i).thread]
		t.launches = append(t.launches, int32(i))
	}
	for _, t := range s.threads {
		slices.SortFunc(t.launches, func(a, b int32) int { return cmp.Compare(s.launches.at(int(a)).start, s.launches.at(int(b)).start) })
		if t.unordered {
			sort.Sort(sorted[cpuSpan]{&t.pile, func(a, b *cpuSpan) bool { return a.start < b.start || a.start == b.start && a.took() > b.took() }})
		}
	}
}

// stepAt is the kind of the step that began last before a time; outside, where none had.
func (s *stacker) stepAt(t int64) int {
	i := sort.Search(len(s.steps), func(i int) bool { return s.steps[i].start > t })
	if i == 0 {
		return outside
	}
	return s.steps[i-1].kind
}

// launch finds what launched an activity.
func (s *stacker) launch(correlation int64) *stackLaunch {
	if correlation <= 0 || correlation >= maxTime {
		return nil
	}
	i := sort.Search(s.launches.n, func(i int) bool { return s.launches.at(i).key >= correlation*2 })
	if i == s.launches.n || s.launches.at(i).key/2 != correlation {
		return nil
	}
	return s.launches.at(i)
}
