package gpu

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// reader is a Source over the boards of a driver, or of a trace.
type reader struct {
	cards  []*card
	tree   *tree
	notes  []string // of what was asked for and is not there; said with the first reading, like …
	kinds  []string // … what is special about those that are
	about  Found    // what a probe wants to know of the driver
	listen func(ctx context.Context, at func() time.Duration, event func(lab.Event))
	close  func() error
}

// card is one GPU and what is known of it.
type card struct {
	lab.Device
	board   board
	has     map[string]bool // values: true: it has given it; false: it does not have it and is not asked again
	reads   int             // of the fast group
	module  bool            // instant power is had only for the module: GPU and CPU together
	unknown int             // readings in a row that failed with the code that says nothing
	lost    bool
	retry   time.Duration // when a lost GPU is asked again
	kept    [2]keptUtil
	dry     int           // drains in a row that gave nothing
	marked  time.Duration // last GPM sample; 0: none
	slow    int           // readings of the slow group
}

// keptUtil is how far a utilisation that the driver keeps has been read.
type keptUtil struct {
	seen uint64
	// offset from the driver's clock to the run's: the smallest ever seen between the newest stamp and now, because a
	// stamp may be old when it is read, but never younger than now.
	offset time.Duration
	known  bool
}

func newReader(serverPID int) *reader {
	return &reader{tree: newTree(serverPID), close: func() error { return nil },
		listen: func(context.Context, func() time.Duration, func(lab.Event)) {}}
}

// add takes a GPU in and says plainly what is special about it.
func (r *reader) add(index int, b board) {
	c := &card{Device: b.identity(), board: b, has: map[string]bool{}}
	c.Index = index
	r.cards = append(r.cards, c)
	name := deviceName(index)
	if split, code := b.ask(askMIG); code == success && split != 0 {
		r.kinds = append(r.kinds, name+" is split (MIG): it gives no utilisation; power, energy, clocks and temperature are those of the whole GPU, whoever uses its parts")
	}
	if virtual, code := b.ask(askVirtual); code == success && virtual != 0 {
		r.kinds = append(r.kinds, name+" is a virtual GPU: power, energy, PCIe traffic and throttle times may be missing, and other guests use the same chip unseen")
	}
}

func (r *reader) Devices() ([]lab.Device, error) {
	var devices []lab.Device
	for _, c := range r.cards {
		devices = append(devices, c.Device)
	}
	return devices, nil
}

// describe adds what a probe wants to know.
func (r *reader) describe(f *Found) {
	f.Driver, f.CUDA, f.NVMLPath = r.about.Driver, r.about.CUDA, r.about.NVMLPath
	f.Note = strings.Join(r.notes, "; ")
	for _, c := range r.cards {
		processes, _ := c.board.processes() // none where the driver does not say
		for _, p := range processes {
			p.UUID = c.UUID
			f.Processes = append(f.Processes, p)
		}
	}
}

func (r *reader) Listen(ctx context.Context, at func() time.Duration, event func(lab.Event)) {
	r.listen(ctx, at, event)
}

func (r *reader) Renews() bool { return true }

func (r *reader) Close() error { return r.close() }

func (r *reader) Read(group Group, at func() time.Duration) Reading {
	out := Reading{Failed: map[int]int{}, Kept: group == Util}
	for _, note := range slices.Concat(r.notes, r.kinds) {
		out.Events = append(out.Events, lab.Event{At: at(), Kind: lab.SamplerNote, Detail: note})
	}
	r.notes, r.kinds = nil, nil
	for _, c := range r.cards {
		before := at()
		if before < c.retry {
			continue
		}
		one := reading{r: r, c: c, now: before, out: &out, values: map[string]float64{}}
		one.group(group)
		after := at()
		if out.Kept && c.lacks(drainKey) {
			out.Kept = false
		}
		c.judge(&one, after)
		s := lab.Sample{At: (before + after) / 2, Took: after - before, Device: deviceName(c.Index), Values: one.values}
		if len(one.values) == 0 {
			if one.problem == success {
				continue // this GPU has none of it, or gave it as samples of its own
			}
			s.Error = one.problem.String()
		}
		out.Samples = append(out.Samples, s)
	}
	return out
}

// judge decides whether a GPU is lost. A lost one is asked once a second: asking it again and again can hold up the
// driver for everybody.
func (c *card) judge(r *reading, now time.Duration) {
	name := deviceName(c.Index)
	if len(r.values) > 0 || r.problem == success {
		c.unknown = 0
		if c.lost && len(r.values) > 0 {
			c.lost = false
			r.event(lab.GPUBack, name)
		}
		return
	}
	lost := r.problem == gpuIsLost || r.problem == resetRequired || r.problem == versionMismatch
	if r.problem == unknownError {
		c.unknown++
		lost = c.unknown >= 3 // once or twice is what a busy driver does
	}
	if !lost {
		return
	}
	c.retry, c.marked = now+time.Second, 0
	if !c.lost {
		c.lost = true
		r.event(lab.GPULost, name+": "+r.problem.String())
	}
}

func (c *card) lacks(key string) bool {
	has, known := c.has[key]
	return known && !has
}

// reading is one group of values of one GPU while it is read.
type reading struct {
	r       *reader
	c       *card
	now     time.Duration
	out     *Reading
	values  map[string]float64
	problem code // the last that may pass
}

func (r *reading) event(kind lab.EventKind, detail string) {
	r.out.Events = append(r.out.Events, lab.Event{At: r.now, Kind: kind, Detail: detail})
}

// note keeps how an answer went. A value that the GPU has never given and says not to have, or not for this user, is not
// asked for again; any other trouble may pass, also "not supported" from a driver that is asked fast.
func (r *reading) note(key string, c code) {
	switch {
	case c == success:
		r.c.has[key] = true
	case (c.absent() || c == noPermission) && !r.c.has[key]:
		r.c.has[key] = false
		if c == noPermission {
			r.event(lab.SamplerNote, fmt.Sprintf("%s: %s: %s", deviceName(r.c.Index), key, c))
		}
	default:
		r.problem = c
	}
}

// count adds a call to those that failed.
func (r *reading) count(c code) {
	if c != success && !c.absent() {
		r.out.Failed[int(c)]++
	}
}

// ask reads one number where the GPU has it.
func (r *reading) ask(q question, name string, factor float64) {
	if r.c.lacks(name) {
		return
	}
	v, c := r.c.board.ask(q)
	r.count(c)
	r.note(name, c)
	if c == success {
		r.keep(name, v*factor)
	}
}

// keep drops readings that cannot be: no power at all, an energy counter that does not count, or twice the power that the
// GPU may draw.
func (r *reading) keep(name string, v float64) {
	limit := r.c.PowerLimitW
	power := name == lab.GPUPower || name == lab.GPUPowerAverage
	if (power || name == lab.GPUEnergy) && !(v > 0) || power && limit > 0 && v > 2*limit {
		r.out.Dropped++
		return
	}
	r.values[name] = v
}

func (r *reading) group(g Group) {
	switch g {
	case Fast:
		r.fast()
	case Util:
		r.utilization()
	case Mid:
		r.memory()
		r.ask(askSMClock, lab.GPUSMClock, 1)
		r.ask(askMemClock, lab.GPUMemClock, 1)
		r.ask(askReasons, lab.GPUThrottle, 1)
		r.ask(askTemperature, lab.GPUTemp, 1)
	case GPM:
		r.gpm()
	case Slow:
		r.processes()
		r.ask(askPowerLimit, lab.GPUPowerLimit, 1e-3)
		r.ask(askPState, lab.GPUPState, 1)
		r.ask(askCorrected, lab.GPUECCCorrected, 1)
		r.ask(askUncorrected, lab.GPUECCUncorrected, 1)
		if r.c.slow == 0 {
			r.ask(askMaxSMClock, lab.GPUMaxSMClock, 1)
		}
		if r.c.slow++; r.c.slow == 2 { // by now every group has been read
			r.missing()
		}
	}
}

// fast reads power and energy in one call. The plain power call is left alone: on newer GPUs it is an average over a
// second, which would smear every request over its neighbours. The plain energy call reads the same counter as the field.
func (r *reading) fast() {
	wanted := fastFields
	if r.c.reads%4 == 0 {
		wanted = slices.Concat(fastFields, seldomFields)
	}
	r.c.reads++
	var asked []fieldValue
	var list []field
	for _, f := range wanted {
		if !r.c.lacks(fieldKey(f.id)) {
			asked = append(asked, f)
			list = append(list, field{id: f.id, scope: r.scope(f.id)})
		}
	}
	if len(list) > 0 {
		whole := r.c.board.fields(list)
		r.count(whole)
		for i, f := range asked {
			c := whole // of the call; each field has its own
			if whole == success {
				c = list[i].code
				r.count(c)
			}
			r.answer(f, list[i].value, c)
		}
	}
	if r.c.lacks(fieldKey(fieldEnergy)) {
		r.ask(askEnergy, lab.GPUEnergy, 1e-3)
	}
}

func fieldKey(id int) string { return fmt.Sprint("field ", id) }

func (r *reading) scope(id int) int {
	if id == fieldPower && r.c.module {
		return 1
	}
	return 0
}

// answer keeps one field. Chips that hold CPU and GPU may give their power only together.
func (r *reading) answer(f fieldValue, value float64, c code) {
	key := fieldKey(f.id)
	if _, known := r.c.has[key]; f.id == fieldPower && c == notSupported && !known && !r.c.module {
		r.c.module = true
		return
	}
	if _, known := r.c.has[key]; f.id == fieldPower && c == success && !known && r.c.module {
		r.event(lab.SamplerNote, deviceName(r.c.Index)+": power is that of the whole module, CPU included")
	}
	r.note(key, c)
	if c == success {
		r.keep(f.name, value*f.factor)
	}
}

func (r *reading) memory() {
	if r.c.lacks(lab.GPUMemUsed) {
		return
	}
	m, c := r.c.board.memory()
	r.count(c)
	if c == success && m.total == 0 { // shared with the host
		c = notSupported
	}
	r.note(lab.GPUMemUsed, c)
	if c == success {
		r.values[lab.GPUMemUsed], r.values[lab.GPUMemReserved] = m.used, m.reserved
	}
}

// processes counts who uses the GPU. Drivers name processes by the host's numbers; inside a container those mean nothing
// here. So a number that nobody has here leaves open whose the process is, and the count of strangers is left out.
func (r *reading) processes() {
	if r.c.lacks(lab.GPUProcesses) {
		return
	}
	list, c := r.c.board.processes()
	r.count(c)
	r.note(lab.GPUProcesses, c)
	if c != success {
		return
	}
	r.values[lab.GPUProcesses] = float64(len(list))
	if r.r.tree.root == 0 { // on a server that already ran, nobody knows whose they are
		return
	}
	foreign := 0.0
	for _, p := range list {
		ours, known := p.owner == ownerServer, p.owner != ""
		if !known {
			ours, known = r.r.tree.holds(p.PID)
		}
		if !known {
			return
		}
		if !ours {
			foreign++
		}
	}
	r.values[lab.GPUForeign] = foreign
}

// missing says once which values the GPU does not give.
func (r *reading) missing() {
	names := map[string]string{drainKey: "", ratesKey: lab.GPUUtil, gpmKey: ""} // without the first the second is used; GPM came with Hopper
	for _, f := range slices.Concat(fastFields, seldomFields) {
		names[fieldKey(f.id)] = f.name
	}
	names[fieldKey(fieldEnergy)] = "" // the plain call may give it
	var lacking []string
	for key, has := range r.c.has {
		name, other := names[key]
		if !other {
			name = key
		}
		if !has && name != "" {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) > 0 {
		slices.Sort(lacking)
		r.event(lab.SamplerNote, deviceName(r.c.Index)+" does not give "+strings.Join(lacking, ", "))
	}
}
