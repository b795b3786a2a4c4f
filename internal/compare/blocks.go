package compare

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"lab/internal/lab"
)

// block is a pair of valid runs of both arms, in the order in which they were made.
type block [2]lab.Sealed

// record is what the runs of a plan amount to.
type record struct {
	refs     []lab.RunRef
	blocks   []block        // those that count, in order of time
	made     int            // blocks of which both runs came to their end, valid or not
	repeated int            // blocks that were made again
	apart    [][]lab.Sealed // pairs of valid runs that met caches unlike each other
	slots    bool           // no block was repeated: a run's slot says when it was made
}

// read sorts the runs of a plan. A run counts where it is valid and passes the gates of the plan. Only whole blocks of two valid runs count; of a block that was made again because a run
// of it was invalid, the first try of two valid runs does.
func read(plan lab.Plan, runs []lab.Sealed) record {
	type place struct{ block, try int }
	valid, ended := map[place][]lab.Sealed{}, map[place]int{}
	r := record{slots: true}
	for _, run := range runs {
		ref := lab.RunRef{ID: run.Run.ID, Arm: run.Run.Arm, Block: run.Run.Block, Try: run.Run.Try}
		ref.Why = why(plan, run)
		ref.Valid = ref.Why == ""
		at := place{run.Run.Block, run.Run.Try}
		if run.Run.Outcome == lab.Complete {
			ended[at]++
		}
		if ref.Valid {
			valid[at] = append(valid[at], run)
		}
		r.refs = append(r.refs, ref)
	}
	blocks, made, again := map[int]block{}, map[int]bool{}, map[place]bool{}
	for at := range ended {
		made[at.block] = made[at.block] || ended[at] >= 2
		if at.try > 0 {
			again[at], r.slots = true, false
		}
	}
	tries := slices.SortedFunc(maps.Keys(valid), func(a, b place) int { return cmp.Or(a.block-b.block, a.try-b.try) })
	for _, at := range tries {
		pair := valid[at]
		if _, have := blocks[at.block]; have {
			continue
		}
		if !whole(plan, pair) {
			if len(pair) == 2 {
				r.apart = append(r.apart, pair)
			}
			continue
		}
		slices.SortFunc(pair, inTime)
		blocks[at.block] = block(pair)
	}
	for _, is := range made {
		if is {
			r.made++
		}
	}
	r.repeated = len(again)
	for _, b := range blocks {
		r.blocks = append(r.blocks, b)
	}
	slices.SortFunc(r.blocks, func(a, b block) int { return inTime(a[0], b[0]) })
	return r
}

func inTime(a, b lab.Sealed) int {
	return cmp.Or(a.Run.Slot-b.Run.Slot, strings.Compare(a.Run.ID, b.Run.ID))
}

// sample is one metric of the runs that count, ready for a fit: y on the scale on which it is compared, arm 0 and 1, and
// when each run was made, in slots.
type sample struct{ y, arm, at []float64 }

// moments says when each run was made, as its slot in the order; where blocks were repeated, by the middle of the run in
// units of their mean spacing, since slots then say little.
func moments(blocks []block, slots bool) []float64 {
	var at []float64
	for i := range blocks {
		for j := range blocks[i] {
			r := &blocks[i][j]
			if slots {
				at = append(at, float64(r.Run.Slot))
				continue
			}
			at = append(at, r.Run.Epoch.Wall.Add(r.Run.Ended/2).Sub(blocks[0][0].Run.Epoch.Wall).Seconds())
		}
	}
	if n := len(at); !slots && n > 1 && at[n-1] > at[0] {
		spacing := (at[n-1] - at[0]) / float64(n-1)
		for i := range at {
			at[i] /= spacing
		}
	}
	return at
}

// without leaves one block out.
func (s sample) without(i int) sample {
	cut := func(v []float64) []float64 { return append(slices.Clone(v[:2*i]), v[2*i+2:]...) }
	return sample{cut(s.y), cut(s.arm), cut(s.at)}
}

// of are the values of one arm.
func (s sample) of(which float64) []float64 {
	var values []float64
	for i, y := range s.y {
		if s.arm[i] == which {
			values = append(values, y)
		}
	}
	return values
}

// constant says whether every run has the same value, as a share of errors may: nothing is uncertain then.
func (s sample) constant() bool {
	return !slices.ContainsFunc(s.y, func(y float64) bool { return y != s.y[0] })
}

// differences are B minus A within each block.
func (s sample) differences() []float64 {
	d := make([]float64, len(s.y)/2)
	for i := range d {
		d[i] = s.y[2*i+1] - s.y[2*i]
		if s.arm[2*i] == 1 {
			d[i] = -d[i]
		}
	}
	return d
}
