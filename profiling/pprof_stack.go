package profiling

import "slices"

// tree has each stack once: a node is a frame under its caller.
type tree struct {
	nodes []node
	at    map[uint64]int32
	roots map[root]int32
	of    map[int32]root // the other way round
}

type node struct {
	caller int32 // -1: a root
	label  uint32
	calls  int64
	self   int64
}

const (
	maxNodes = 1 << 22 // what is deeper than the tree can hold counts for its caller
	maxDepth = 1 << 10 // so does what is deeper than this
)

// root is where the stacks of a thread, or of all launches, begin in a kind of step. Stacks of a GPU have thread -1.
type root struct {
	thread int32
	step   int
}

func newTree() *tree {
	return &tree{at: map[uint64]int32{}, roots: map[root]int32{}, of: map[int32]root{}}
}

func (t *tree) root(r root) int32 {
	n, known := t.roots[r]
	if !known {
		n = int32(len(t.nodes))
		t.roots[r] = n
		t.of[n] = r
		t.nodes = append(t.nodes, node{caller: -1})
	}
	return n
}

func (t *tree) child(caller int32, label uint32) int32 {
	key := uint64(caller)<<32 | uint64(label)
	n, known := t.at[key]
	if !known {
		if len(t.nodes) >= maxNodes {
			return caller
		}
		n = int32(len(t.nodes))
		t.at[key] = n
		t.nodes = append(t.nodes, node{caller: caller, label: label})
	}
	return n
}

func (t *tree) rootUnder(n int32) int32 {
	for t.nodes[n].caller >= 0 {
		n = t.nodes[n].caller
	}
	return n
}

// shorter is the stack of n without its innermost frame, and a mark in its place.
func (t *tree) shorter(n int32, mark uint32) int32 {
	if t.nodes[n].caller < 0 {
		return n
	}
	if t.nodes[n].label == mark {
		n = t.nodes[n].caller
	}
	if t.nodes[n].caller >= 0 {
		n = t.nodes[n].caller
	}
	return t.child(n, mark)
}

// sweep walks along one thread. Each point of time belongs to the innermost open span, and each launch has the stack of those
// that are open when it is called.
type sweep struct {
	s      *stacker
	tree   *tree
	thread int32
	step   int // kind of the step that began last on this thread
	now    int64
	open   []openSpan
}

type openSpan struct {
	start, end int64
	label      uint32
	on         [2]known // for the CPU, and for a GPU
}

// known remembers the node of an open span under a root.
type known struct{ node, root int32 }

var unknown = [2]known{{root: -1}, {root: -1}}

const (
	onCPU = iota
	onGPU
)

func (s *stacker) sweep(t *tree, thread int32) {
	w := &sweep{s: s, tree: t, thread: thread, step: outside}
	own := s.threads[thread]
	next := 0
	for _, i := range own.launches {
		l := s.launches.at(int(i))
		for ; next < own.n && own.at(next).start <= l.start; next++ {
			w.push(own.at(next))
		}
		w.advance(l.start)
		l.node = t.child(w.node(len(w.open)-1, onGPU, t.root(root{-1, s.stepAt(l.start)})), l.label)
	}
	for ; next < own.n; next++ {
		w.push(own.at(next))
	}
	for len(w.open) > 0 {
		w.advance(w.open[len(w.open)-1].end)
	}
}

// advance gives the time that has passed to the spans that were innermost in it.
func (w *sweep) advance(to int64) {
	for len(w.open) > 0 {
		top := &w.open[len(w.open)-1]
		if until := min(top.end, to); until > w.now {
			w.tree.nodes[w.cpuNode()].self += until - w.now
			w.now = until
		}
		if top.end > to {
			break
		}
		w.open = w.open[:len(w.open)-1]
	}
	w.now = max(w.now, to)
}

func (w *sweep) push(c *cpuSpan) {
	if len(w.open) == 0 {
		w.now = c.start
	}
	w.advance(c.start)
	label := c.label()
	if marker := w.s.labels.all[label].step; marker > 0 && (w.s.labels.all[label].name == formProfiler) == w.s.byProfiler() {
		w.step = marker - 1
	}
	end := c.start + c.took()
	at := len(w.open) // of two that begin together, the longer is around the other
	for at > 0 && w.open[at-1].start == c.start && w.open[at-1].end < end {
		at--
		w.open[at].on = unknown
	}
	w.open = slices.Insert(w.open, at, openSpan{start: c.start, end: end, label: label, on: unknown})
	w.tree.nodes[w.node(at, onCPU, w.cpuRoot())].calls++
}

// byProfiler says that the steps are the profiler's own.
func (s *stacker) byProfiler() bool { return len(s.steps) > 0 && s.steps[0].form == formProfiler }

func (w *sweep) cpuRoot() int32 { return w.tree.root(root{w.thread, w.step}) }

func (w *sweep) cpuNode() int32 { return w.node(len(w.open)-1, onCPU, w.cpuRoot()) }

// node is that of the i-th open span, or the root where none is open.
func (w *sweep) node(i, side int, root int32) int32 {
	if i < 0 {
		return root
	}
	i = min(i, maxDepth-1)
	o := &w.open[i]
	if o.on[side].root != root {
		o.on[side] = known{w.tree.child(w.node(i-1, side, root), o.label), root}
	}
	return o.on[side].node
}
