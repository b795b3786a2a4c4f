package compare

import (
	"lab/internal/lab"
)

// Step is a block of an A/B that is to be made: both of its runs.
type Step struct {
	Block int    // from 1
	Try   int    // 0; 1 and more: it is made again
	Arms  string // "AB" or "BA"
}

// mostRepeats is how often a block is made again because a run of it was invalid. One that fails even then says that the
// plan is beyond repair: what spoilt it will spoil the others too.
const mostRepeats = 2

// Next says which block an A/B makes next, from the plan and the runs that are stored; ok is false where nothing more
// is to be measured: it was judged for good at a look, all blocks are made, a block is beyond repair, or a time limit
// has ended it. It draws nothing, so a plan that was interrupted goes on as it would have.
func Next(plan lab.Plan, runs []lab.Sealed) (s Step, ok bool) {
	s, ok = missing(plan, runs)
	return s, ok && !conclusive(judgeAt(plan, runs, read(plan, runs)).Call)
}

// Block is how far one block of a plan is: Done where a try of it counts, Spoilt how many tries an invalid run spoilt.
type Block struct {
	Done   bool
	Spoilt int
}

// Blocks are those of a plan, in order, by the runs that are stored. They say nothing of what was measured.
func Blocks(plan lab.Plan, runs []lab.Sealed) []Block {
	blocks := make([]Block, plan.Pairs)
	for i := range blocks {
		blocks[i].Done, blocks[i].Spoilt, _ = tries(plan, runs, i+1)
	}
	return blocks
}

// missing is the first block that has no two valid runs.
func missing(plan lab.Plan, runs []lab.Sealed) (Step, bool) {
	if plan.Cut > 0 {
		return Step{}, false
	}
	for number := 1; number <= plan.Pairs; number++ {
		done, spoilt, try := tries(plan, runs, number)
		switch {
		case done:
			continue
		case spoilt > mostRepeats:
			return Step{}, false
		case spoilt > 0 && len(plan.Looks) == 0: // a plan of an earlier version repeats nothing
			continue
		}
		return Step{Block: number, Try: try, Arms: plan.Order[2*number-2 : 2*number]}, true
	}
	return Step{}, false
}

// beyondRepair is the first block that was spoilt more often than it is made again; 0: none.
func beyondRepair(plan lab.Plan, runs []lab.Sealed) int {
	for number := 1; number <= plan.Pairs; number++ {
		if done, spoilt, _ := tries(plan, runs, number); !done && spoilt > mostRepeats {
			return number
		}
	}
	return 0
}

// tries says of a block whether a try of it counts, how many tries were spoilt by an invalid run, and which try is next.
// A try that was broken off is neither.
func tries(plan lab.Plan, runs []lab.Sealed, number int) (done bool, spoilt, next int) {
	ended, valid := map[int]int{}, map[int][]lab.Sealed{}
	for _, r := range runs {
		if r.Run.Block != number {
			continue
		}
		next = max(next, r.Run.Try+1)
		if r.Run.Outcome == lab.Complete {
			ended[r.Run.Try]++
		}
		if why(plan, r) == "" {
			valid[r.Run.Try] = append(valid[r.Run.Try], r)
		}
	}
	for try, n := range ended {
		switch {
		case whole(plan, valid[try]):
			done = true
		case n == 2:
			spoilt++
		}
	}
	return done, spoilt, next
}
