package runner

import (
	"slices"
	"time"

	"lab/internal/lab"
)

// board is how far a sweep is, for the live view.
type board struct {
	status lab.SweepStatus
	each   []time.Duration // how long each step is thought to take

	made           int // steps, and how long they were thought to take and took
	thought, spent time.Duration
}

// board is that of a sweep whose steps are about to be made.
func (l *Lab) board(s lab.Sweep, steps []SweepStep) (*board, error) {
	estimate, err := l.EstimateSweep(s, steps)
	if err != nil {
		return nil, err
	}
	b := &board{status: lab.SweepStatus{ID: s.ID, Name: s.Name, Repeats: s.Repeats}, each: estimate.Each}
	for _, c := range s.Cells {
		b.status.Cells = append(b.status.Cells, lab.CellStatus{Name: c.Name, Values: c.Values})
	}
	for _, step := range steps {
		if step.Done {
			b.count(step.Cell, lab.LegReused)
		}
	}
	return b, nil
}

// count takes in a run of a cell. Of its runs the worst says how the cell is.
func (b *board) count(cell int, state lab.LegState) {
	b.status.Cells = slices.Clone(b.status.Cells) // what was handed on stays as it is
	c := &b.status.Cells[cell]
	c.Made++
	rank := []lab.LegState{lab.LegTodo, lab.LegReused, lab.LegDone, lab.LegSpoilt, lab.LegLeft, lab.LegFailed}
	if slices.Index(rank, state) > slices.Index(rank, c.State) {
		c.State = state
	}
}

// at is the sweep while a run of a cell is made.
func (b *board) at(cell int) *lab.SweepStatus {
	s := b.status
	s.Cells = slices.Clone(s.Cells)
	s.Cells[cell].State = lab.LegNow
	return &s
}

// now is the sweep between two runs.
func (b *board) now() *lab.SweepStatus {
	s := b.status
	return &s
}

// leftFrom is how long the steps from one on will take: the estimate, put right by how long the runs so far took against
// theirs; the first few of them say little of the others.
func (b *board) leftFrom(steps []SweepStep, from int) time.Duration {
	var sum time.Duration
	for i, step := range steps {
		if i >= from && !step.Done {
			sum += b.each[i]
		}
	}
	const trust = 3 // runs that weigh as much as the estimate
	if b.made > 0 && b.thought > 0 {
		believed := trust * b.thought / time.Duration(b.made)
		sum = time.Duration(float64(sum) * (b.spent + believed).Seconds() / (b.thought + believed).Seconds())
	}
	return sum
}

// took notes how long a step took, against what it was thought to.
func (b *board) took(step int, d time.Duration) {
	b.made++
	b.thought += b.each[step]
	b.spent += d
}

// outcome is how a run of a sweep ended.
func outcome(r lab.Run) lab.LegState {
	switch {
	case r.Outcome == lab.Failed:
		return lab.LegFailed
	case !r.Valid():
		return lab.LegSpoilt
	}
	return lab.LegDone
}
