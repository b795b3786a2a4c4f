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

	thought, spent time.Duration // of the steps that were made
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
			b.made(step.Cell, lab.LegReused)
		}
	}
	return b, nil
}

// made counts a run of a cell. Of its runs the worst says how the cell is.
func (b *board) made(cell int, state lab.LegState) {
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
// theirs.
func (b *board) leftFrom(steps []SweepStep, from int) time.Duration {
	var sum time.Duration
	for i, step := range steps {
		if i >= from && !step.Done {
			sum += b.each[i]
		}
	}
	if b.thought > 0 {
		sum = time.Duration(float64(sum) * b.spent.Seconds() / b.thought.Seconds())
	}
	return sum
}

// took notes how long a step took, against what it was thought to.
func (b *board) took(step int, d time.Duration) {
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
