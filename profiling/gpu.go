package profiling

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// union measures how much of a line is covered by spans that come in order of their start.
type union struct {
	end, busy int64
	any       bool
}

// add gives what the span covers that none before it did.
func (u *union) add(start, end int64) int64 {
	if u.any {
		start = max(start, u.end)
	}
	if end <= start && u.any {
		return 0
	}
	u.any = true
	u.end = end
	u.busy += end - start
	return end - start
}

// device walks through the activities of one GPU.
type device struct {
	c     *collector
	steps []step

	id                               int64
	all, compute, comm, copies, rest union // rest: all but communication
	first, n                         int64
	last                             launched // the activity that ended last
	lastCopiedBack                   bool
	waited                           int64 // end of the last wait that had begun
	nextWait                         int
	gaps                             map[Cause]*Gap
	between                          map[Cause]int64
	sizes                            []Size
	unlinked, linked, late           int64
}

// launched is an activity with its launch.
type launched struct {
	correlation int64
	known       bool
	at          int64
	graph       bool
	step        int // index, -1 where it is not known or before the first
}

// gpu walks through all activities in the order of their start, device by device.
func (c *collector) gpu(steps []step) (gpus []GPU, graphs *Graphs, work parts, inSteps int64) {
	if c.work.n == 0 {
		return nil, nil, work, 0
	}
	sort.Sort(sorted[launch]{&c.launches, func(a, b *launch) bool { return a.key < b.key || a.key == b.key && a.start < b.start }})
	sort.Sort(sorted[span]{&c.waits, func(a, b *span) bool { return a.start < b.start }})
	sort.Sort(sorted[activity]{&c.work, func(a, b *activity) bool {
		left, right := c.series[a.series()].device, c.series[b.series()].device
		return left < right || left == right && (a.start < b.start || a.start == b.start && a.took() > b.took())
	}})
	replays, replayed := map[int64]int64{}, int64(0)
	var d *device
	for i := range c.series {
		c.series[i].slot.item = int32(i)
	}
	link := launched{step: -1}
	for i := range c.work.n {
		a := c.work.at(i)
		s := &c.series[a.series()]
		if d == nil || d.id != s.device {
			if d != nil {
				gpus = append(gpus, d.figures())
			}
			d = newDevice(c, steps, s.device, a.start)
		}
		if i == 0 || a.correlation != link.correlation {
			link = c.link(a.correlation, steps)
		}
		inSteps += d.add(a, s, link)
		kind := outside
		if link.step >= 0 {
			kind = steps[link.step].kind
			work.add(&s.slot, int32(link.step), a.took())
		}
		s.step[kind] += a.took()
		if link.graph {
			s.graphed++
			replays[a.correlation]++
			replayed += a.took()
		}
	}
	return append(gpus, d.figures()), c.graphs(replays, replayed), work, inSteps
}

func newDevice(c *collector, steps []step, id, start int64) *device {
	d := &device{c: c, steps: steps, id: id, first: start, waited: -maxTime, gaps: map[Cause]*Gap{}, between: map[Cause]int64{}}
	for _, upTo := range []time.Duration{2 * time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond} {
		d.sizes = append(d.sizes, Size{UpTo: &upTo})
	}
	d.sizes = append(d.sizes, Size{})
	return d
}

// link finds the launch of an activity, and the step that began last before it.
func (c *collector) link(correlation int64, steps []step) launched {
	l := launched{correlation: correlation, step: -1}
	if correlation <= 0 || correlation >= maxTime {
		return l
	}
	i := sort.Search(c.launches.n, func(i int) bool { return c.launches.at(i).key >= correlation*2 })
	if i == c.launches.n || c.launches.at(i).key/2 != correlation {
		return l
	}
	found := c.launches.at(i)
	l.known, l.at, l.graph = true, found.start, found.key%2 == 1
	l.step = sort.Search(len(steps), func(i int) bool { return steps[i].start > l.at }) - 1
	return l
}

// add takes the next activity. It gives how much of the busy time is the step's that launched it.
func (d *device) add(a *activity, s *series, link launched) (inStep int64) {
	d.n++
	if link.known {
		d.linked++
	} else {
		d.unlinked++
	}
	if d.all.any && a.start > d.all.end {
		d.gap(d.all.end, a.start, link)
	}
	end := a.end()
	if !d.all.any || end >= d.all.end {
		d.last = link
		d.lastCopiedBack = s.kind == memcpy && copiesBack(s.name)
	}
	busy := d.all.add(a.start, end)
	switch s.category {
	case "communication":
		d.comm.add(a.start, end)
	case "memcpy", "memset":
		d.copies.add(a.start, end)
		d.rest.add(a.start, end)
	default:
		d.compute.add(a.start, end)
		d.rest.add(a.start, end)
	}
	if link.step < 0 {
		return 0
	}
	step := &d.steps[link.step]
	step.busy += busy
	step.work++
	return busy
}

// gap notes that the GPU was idle from start to end, when the activity of next began.
func (d *device) gap(start, end int64, next launched) {
	for ; d.nextWait < d.c.waits.n && d.c.waits.at(d.nextWait).start <= start; d.nextWait++ {
		d.waited = max(d.waited, d.c.waits.at(d.nextWait).end)
	}
	why := d.cause(start, next)
	g := d.gaps[why]
	if g == nil {
		g = &Gap{Cause: why}
		d.gaps[why] = g
	}
	idle := time.Duration(end - start)
	g.N++
	g.Idle += idle
	g.Longest = max(g.Longest, idle)
	if next.step >= 0 && d.last.step >= 0 && next.step != d.last.step {
		d.between[why] += end - start
	}
	if next.step >= 0 && (why == HostCause || why == SyncCause) {
		s := &d.steps[next.step]
		late := max(0, end-max(start, s.start)) // before the step began there may have been nothing to do
		s.hostGap += late
		d.late += late
	}
	for i := range d.sizes {
		if size := &d.sizes[i]; size.UpTo == nil || idle <= *size.UpTo {
			size.N++
			size.Idle += idle
			break
		}
	}
}

// cause: a launch that came before the GPU ran dry was in time, whatever the GPU then did with it.
func (d *device) cause(start int64, next launched) Cause {
	switch {
	case !next.known:
		return UnknownCause
	case next.graph && next.correlation == d.last.correlation:
		return GraphCause
	case next.at < start:
		return DeviceCause
	case d.lastCopiedBack || d.waited >= start:
		return SyncCause
	}
	return HostCause
}

func copiesBack(name string) bool {
	return len(name) >= 11 && name[:11] == "Memcpy DtoH"
}

func (d *device) figures() GPU {
	g := GPU{Device: d.id, Name: d.c.source.devices[d.id], Activities: d.n, Span: time.Duration(d.all.end - d.first), Busy: time.Duration(d.all.busy),
		Compute: time.Duration(d.compute.busy), Comm: time.Duration(d.comm.busy), ExposedComm: time.Duration(d.all.busy - d.rest.busy),
		Copies: time.Duration(d.copies.busy), Gaps: []Gap{}, Sizes: []Size{}, Unlinked: d.unlinked}
	g.Idle = g.Span - g.Busy
	for _, cause := range causes {
		found, ok := d.gaps[cause]
		if !ok {
			continue
		}
		if len(d.steps) > 0 {
			between := time.Duration(d.between[cause])
			found.Between = &between
		}
		if len(d.steps) == 0 && (cause == HostCause || cause == SyncCause) {
			d.late += int64(found.Idle)
		}
		g.Gaps = append(g.Gaps, *found)
	}
	for _, size := range d.sizes {
		if size.N > 0 {
			g.Sizes = append(g.Sizes, size)
		}
	}
	if d.linked > 0 && g.Span > 0 {
		bound := share(d.late, int64(g.Span))
		g.LaunchBound = &bound
	}
	return g
}

func (c *collector) graphs(replays map[int64]int64, took int64) *Graphs {
	if len(replays) == 0 {
		return nil
	}
	whole := int64(0)
	for _, s := range c.series {
		whole += s.took
	}
	g := &Graphs{Replays: int64(len(replays)), Took: time.Duration(took), Share: share(took, whole)}
	sizes := make([]int64, 0, len(replays))
	for _, n := range replays {
		g.Activities += n
		sizes = append(sizes, n)
	}
	slices.SortFunc(sizes, cmp.Compare)
	g.Median, g.Largest = int64(percentile(sizes, 50)), sizes[len(sizes)-1]
	return g
}
