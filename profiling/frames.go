package profiling

import (
	"bytes"
	"slices"
)

// frames follows the spans of one thread, which come in order of their start, and takes from each what lies in the spans
// inside it. Nothing but the open spans is kept.
type frames struct {
	open []frame
	last int64 // start of the newest
	step int   // kind of the step that began last on this thread
	id   int32 // of that step

	parts *parts
}

type frame struct {
	start, end int64
	inner      int64 // time within it that is in other spans
	op         *opStat
	step       int
	id         int32
}

// opStat sums up one operator or function.
type opStat struct {
	name     string
	n        int64
	took     int64
	self     int64
	selfStep [outside + 1]int64
	slot     *partSlot
}

// push answers whether the span came in order.
func (f *frames) push(start, took int64, op *opStat) bool {
	if start < f.last {
		return false
	}
	f.last = start
	for len(f.open) > 0 && f.open[len(f.open)-1].end <= start {
		f.pop()
	}
	at := len(f.open) // of two that begin together, the longer is around the other
	for at > 0 && f.open[at-1].start == start && f.open[at-1].end < start+took {
		at--
	}
	f.open = slices.Insert(f.open, at, frame{start: start, end: start + took, op: op, step: f.step, id: f.id})
	return true
}

func (f *frames) pop() {
	top := f.open[len(f.open)-1]
	f.open = f.open[:len(f.open)-1]
	self := max(0, top.end-top.start-top.inner)
	top.op.self += self
	top.op.selfStep[top.step] += self
	f.parts.add(top.op.slot, top.id, self)
	if len(f.open) > 0 { // damaged stacks have spans that outlast the one around them
		around := &f.open[len(f.open)-1]
		around.inner += min(top.end, around.end) - top.start
	}
}

func (f *frames) finish() {
	for len(f.open) > 0 {
		f.pop()
	}
}

// opNames bounds the distinct names that are kept: what comes later is counted together.
const opNames = 1 << 17

// ops is a table of operators or functions by name.
type ops map[string]*opStat

func (o ops) find(name []byte) *opStat {
	if s := o[string(name)]; s != nil {
		return s
	}
	key, shown := string(name), spelled(name)
	if len(o) >= opNames {
		key, shown = "\x00", "(names beyond the first 131072)"
		if s := o[key]; s != nil {
			return s
		}
	}
	s := &opStat{name: shown}
	o[key] = s
	return s
}

// withoutAddress drops what differs from run to run: <built-in method to of Tensor object at 0x7f…>.
func withoutAddress(name []byte) []byte {
	at := bytes.Index(name, []byte(" at 0x"))
	if at < 0 {
		return name
	}
	end := at + len(" at 0x")
	for end < len(name) && (name[end] >= '0' && name[end] <= '9' || name[end]|0x20 >= 'a' && name[end]|0x20 <= 'f') {
		end++
	}
	return append(slices.Clip(name[:at]), name[end:]...)
}
