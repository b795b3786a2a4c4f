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
	maxNodes = 1 << 19 // once the tree is full, what would need a new node counts for its caller
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

// child is the node of a frame under a caller; the caller itself, where the tree is full.
func (t *tree) child(caller int32, label uint32) int32 {
	if n, known := t.at[edge(caller, label)]; known {
		return n
	}
	if len(t.nodes) >= maxNodes {
		return caller
	}
	return t.mark(caller, label)
}

// mark is the same in a tree that may be full.
func (t *tree) mark(caller int32, label uint32) int32 {
	n, known := t.at[edge(caller, label)]
	if !known {
		n = int32(len(t.nodes))
		t.at[edge(caller, label)] = n
		t.nodes = append(t.nodes, node{caller: caller, label: label})
	}
	return n
}

func edge(caller int32, label uint32) uint64 { return uint64(caller)<<32 | uint64(label) }

// stacks counts the nodes that have something of their own.
func (t *tree) stacks() int {
	count := 0
	for _, n := range t.nodes {
		if n.caller >= 0 && (n.calls > 0 || n.self > 0) {
			count++
		}
	}
	return count
}

func (t *tree) rootUnder(n int32) int32 {
	for t.nodes[n].caller >= 0 {
		n = t.nodes[n].caller
	}
	return n
}

// sweep walks along one thread. Each point of time belongs to the innermost open span, and each launch has the stack of those
// that are open when it is called.
type sweep struct {
	s      *stacker
	trees  [2]*tree // onCPU, onGPU
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

func (s *stacker) sweep(trees [2]*tree, thread int32) {
	w := &sweep{s: s, trees: trees, thread: thread, step: outside}
	own := s.threads[thread]
	next := 0
	pushUntil := func(t int64) {
		for ; next < own.n && own.at(next).start <= t; next++ {
			w.push(own.at(next))
			if next%pileChunk == 0 && next > 0 {
				own.chunks[next/pileChunk-1] = nil // its memory is for the tree
			}
		}
	}
	for _, i := range own.launches {
		l := s.launches.at(int(i))
		pushUntil(l.start)
		w.advance(l.start)
		gpu := trees[onGPU]
		l.node = gpu.child(w.node(len(w.open)-1, onGPU, gpu.root(root{-1, s.stepAt(l.start)})), l.label)
	}
	pushUntil(maxTime)
	for len(w.open) > 0 {
		w.advance(w.open[len(w.open)-1].end)
	}
	own.pile = pile[cpuSpan]{}
}

// advance gives the time that has passed to the spans that were innermost in it.
func (w *sweep) advance(to int64) {
	for len(w.open) > 0 {
		top := &w.open[len(w.open)-1]
		if until := min(top.end, to); until > w.now {
			w.trees[onCPU].nodes[w.cpuNode()].self += until - w.now
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
	w.trees[onCPU].nodes[w.node(at, onCPU, w.cpuRoot())].calls++
}

// byProfiler says that the steps are the profiler's own.
func (s *stacker) byProfiler() bool { return len(s.steps) > 0 && s.steps[0].form == formProfiler }

func (w *sweep) cpuRoot() int32 { return w.trees[onCPU].root(root{w.thread, w.step}) }

func (w *sweep) cpuNode() int32 { return w.node(len(w.open)-1, onCPU, w.cpuRoot()) }

// node is that of the i-th open span, or the root where none is open.
func (w *sweep) node(i, side int, root int32) int32 {
	if i < 0 {
		return root
	}
	i = min(i, maxDepth-1)
	o := &w.open[i]
	if o.on[side].root != root {
		o.on[side] = known{w.trees[side].child(w.node(i-1, side, root), o.label), root}
	}
	return o.on[side].node
}
