package profiling

import (
	"cmp"
	"slices"
)

// stack is one sample.
type stack struct {
	node    int32
	label   uint32 // of the kernel
	place   int32  // -1: on the CPU
	n, took int64
}

func (b *builder) tree(k stack) *tree {
	if k.place < 0 {
		return b.trees[onCPU]
	}
	return b.trees[onGPU]
}

// gpuStacks joins the activities of one name that one stack launched on one stream. What has no launch in the trace stands
// under [unlinked], so that the sum is that of all activities. The smallest stacks end earlier, until there are no more than
// most: their kernel stays, so what each kernel took is exact still. The number of those comes with it.
func (b *builder) gpuStacks(most int) ([]stack, int) {
	t := b.trees[onGPU]
	unlinked := int32(-1)
	sums := newSums()
	for i := range b.work.n {
		w := b.work.at(i)
		node := unlinked
		if l := b.launch(w.correlation); l != nil {
			node = l.node
		} else if node < 0 {
			unlinked = t.child(t.root(root{-1, outside}), b.labels.number(label{name: "[unlinked]"}))
			node = unlinked
		}
		sums.add(stack{node: node, label: w.label, place: int32(w.place), n: 1, took: w.took})
	}
	all, folded := sums.all, b.labels.number(label{name: foldedName})
	shortened := max(0, len(all)-most/2)
	if len(all) <= most {
		return all, 0
	}
	for depth := 0; len(all) > most && depth < maxDepth; depth++ {
		slices.SortFunc(all, func(x, y stack) int {
			return cmp.Or(cmp.Compare(y.took, x.took), cmp.Compare(x.node, y.node), cmp.Compare(x.label, y.label), cmp.Compare(x.place, y.place))
		})
		fewer := newSums()
		for i, k := range all {
			if i >= most/2 {
				k.node = t.shorter(k.node, folded)
			}
			fewer.add(k)
		}
		all = fewer.all
	}
	return all, shortened
}

const foldedName = "[folded]"

// sums joins equal stacks.
type sums struct {
	all []stack
	at  map[stack]int
}

func newSums() *sums { return &sums{at: map[stack]int{}} }

func (s *sums) add(k stack) {
	key := stack{node: k.node, label: k.label, place: k.place}
	n, known := s.at[key]
	if !known {
		n = len(s.all)
		s.at[key] = n
		s.all = append(s.all, key)
	}
	s.all[n].n += k.n
	s.all[n].took += k.took
}

// shorter is the stack of n without its innermost frame, and a mark in its place.
func (t *tree) shorter(n int32, mark uint32) int32 {
	if t.nodes[n].label == mark && t.nodes[n].caller >= 0 {
		n = t.nodes[n].caller
	}
	if t.nodes[n].caller >= 0 {
		n = t.nodes[n].caller
	}
	return t.mark(n, mark)
}

// cpuStacks are the nodes of the CPU's tree. Where there are more than most, what is smaller than a bound counts for a [folded]
// beside it, and that, where it is smaller still, for one further out; so no time is lost.
func (b *builder) cpuStacks(most int) ([]stack, int) {
	f := &folding{b.trees[onCPU], make([]own, len(b.trees[onCPU].nodes))}
	bound := f.bound(most)
	var all []stack
	whole := 0
	mark := b.labels.number(label{name: foldedName})
	f.run(bound, func(node int32, o own, folded bool) {
		if folded {
			node = f.tree.mark(node, mark)
		} else {
			whole++
		}
		all = append(all, stack{node: node, place: -1, n: o.n, took: o.took})
	})
	slices.Reverse(all) // callers first
	return all, f.tree.stacks() - whole
}

// own is what a stack has of its own.
type own struct{ n, took int64 }

// folding makes a tree's stacks fewer.
type folding struct {
	tree  *tree
	under []own // by node: what was folded under it
}

// bound is the least that leaves no more than most stacks, or near it.
func (f *folding) bound(most int) int64 {
	if f.kept(0) <= most {
		return 0
	}
	low, high := int64(0), int64(1)
	for f.kept(high) > most && high < maxTime {
		low, high = high, high*2
	}
	for high-low > 1+low/64 {
		if middle := low + (high-low)/2; f.kept(middle) > most {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

func (f *folding) kept(bound int64) int {
	n := 0
	f.run(bound, func(int32, own, bool) { n++ })
	return n
}

// run gives the stacks that a bound leaves: a node's own, or what was folded under it. Nodes come after their callers, so one
// pass from the last to the first is enough.
func (f *folding) run(bound int64, keep func(node int32, o own, folded bool)) {
	clear(f.under)
	for i := len(f.under) - 1; i >= 0; i-- {
		caller := f.tree.nodes[i].caller
		pass := func(o own, folded bool) {
			switch {
			case o == own{}:
			case o.took >= bound || caller < 0:
				keep(int32(i), o, folded)
			default:
				f.under[caller].n += o.n
				f.under[caller].took += o.took
			}
		}
		pass(f.under[i], true)
		if caller >= 0 {
			pass(own{f.tree.nodes[i].calls, f.tree.nodes[i].self}, false)
		}
	}
}
