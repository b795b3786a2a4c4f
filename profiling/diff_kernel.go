package profiling

import (
	"cmp"
	"slices"
	"strings"
)

// kernels has a line for each name, those that differ most first. A kernel that vanished and a new one are one line where
// nothing else of their category is as alike.
func (p pair) kernels(items []item, step Change) ([]KernelChange, *Leftover) {
	var all []KernelChange
	gone, came := map[item][]int{}, map[item][]int{}
	for i, it := range items {
		key := item{family(it.name), it.category}
		switch inA, inB := p.a.calls[i] > 0, p.b.calls[i] > 0; {
		case inA && inB:
			all = append(all, p.kernel(Kept, it, i, i))
		case inA:
			gone[key] = append(gone[key], i)
		case inB:
			came[key] = append(came[key], i)
		}
	}
	for key, old := range gone {
		if len(old) == 1 && len(came[key]) == 1 {
			k := p.kernel(Renamed, items[came[key][0]], old[0], came[key][0])
			k.Was = items[old[0]].name
			all = append(all, k)
			delete(came, key)
			continue
		}
		for _, i := range old {
			all = append(all, p.kernel(Vanished, items[i], i, -1))
		}
	}
	for _, fresh := range came {
		for _, i := range fresh {
			all = append(all, p.kernel(New, items[i], -1, i))
		}
	}
	slices.SortFunc(all, func(x, y KernelChange) int {
		return cmp.Or(cmp.Compare(y.Delta.Abs(), x.Delta.Abs()), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Category, y.Category))
	})
	least := float64(step.A) * negligible
	return shorten(all, func(k KernelChange) bool { return k.Status != Kept || float64(k.Delta.Abs()) >= least })
}

// kernel has A's figures of one item and B's of another; -1 stands for none.
func (p pair) kernel(status Status, it item, a, b int) KernelChange {
	k := KernelChange{Name: it.name, Category: it.category, Status: status}
	both := pair{only(p.a, a), only(p.b, b), nil, nil}
	for _, f := range p.eachA {
		both.eachA = append(both.eachA, only(f, a))
	}
	for _, f := range p.eachB {
		both.eachB = append(both.eachB, only(f, b))
	}
	k.Change = both.change(func(f *figures) float64 { return f.took[0] })
	k.Calls = Ratio{both.a.calls[0], both.b.calls[0]}
	return k
}

func only(f *figures, i int) *figures {
	if i < 0 {
		return &figures{took: []float64{0}, calls: []float64{0}}
	}
	return &figures{took: f.took[i : i+1], calls: f.calls[i : i+1]}
}

func shorten(all []KernelChange, listed func(KernelChange) bool) ([]KernelChange, *Leftover) {
	var kept []KernelChange
	var rest *Leftover
	for _, k := range all {
		if listed(k) && len(kept) < kernelsListed {
			kept = append(kept, k)
			continue
		}
		if rest == nil {
			rest = &Leftover{}
		}
		rest.Names++
		rest.A, rest.B, rest.Delta = rest.A+k.A, rest.B+k.B, rest.Delta+k.Delta
	}
	return kept, rest
}

// family is a name without template arguments, parameters and numbers: what tile sizes and the numbering of a compiler leave.
func family(name string) string {
	name = strings.ReplaceAll(name, "(anonymous namespace)::", "")
	if end := strings.IndexAny(name, "<("); end > 0 {
		name = name[:end]
	}
	var b strings.Builder
	number := false
	for _, r := range name {
		digit := r >= '0' && r <= '9'
		if !digit {
			b.WriteRune(r)
		} else if !number {
			b.WriteByte('#')
		}
		number = digit
	}
	return b.String()
}
