package live

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// planCounts says how far a plan is.
func planCounts(p lab.PlanStatus) (done, repeated int) {
	for _, pair := range p.Pairs {
		if pair.State == lab.LegDone {
			done++
		}
		repeated += pair.Spoilt
	}
	return done, repeated
}

// timeLeft is how long the series will take, after what was said before; an A/B may be decided earlier.
func timeLeft(s lab.Status) string {
	switch {
	case s.Left == 0:
		return ""
	case s.Plan != nil:
		return " · at most about " + about(s.Left) + " left"
	}
	return " · about " + about(s.Left) + " left"
}

// planLines are the pairs of an A/B with the looks between them, never what they came to.
func planLines(s lab.Status, width int) []line {
	p := s.Plan
	if p == nil {
		return nil
	}
	done, repeated := planCounts(*p)
	counts := fmt.Sprintf("%d of %d pairs done", done, len(p.Pairs))
	if len(p.Looks) > 1 {
		counts = fmt.Sprintf("%d of at most %d pairs done", done, len(p.Pairs))
	}
	if repeated > 0 {
		counts += fmt.Sprintf(", %d made again", repeated)
	}
	var first line
	first.add(faint, "A/B       ")
	first.add(normal, counts+timeLeft(s))
	if next := nextLook(*p, done); next > 0 {
		first.add(faint, fmt.Sprintf(" · judged after %d", next))
	}
	lines := []line{first}
	var l line
	for i, pair := range p.Pairs {
		if l.width()+8 > width {
			lines = append(lines, l)
			l = nil
		}
		mark, t := sign(pair.State)
		if len(l) == 0 {
			l.add(normal, "          ")
		}
		l.add(t, mark)
		for _, arm := range pair.Arms {
			t := normal
			switch {
			case pair.State == lab.LegNow && string(arm) == p.Arm:
				t = strong
			case pair.State != lab.LegDone:
				t = faint
			}
			l.add(t, string(arm))
		}
		if slices.Contains(p.Looks, i+1) {
			l.add(faint, " |")
		}
		l.add(normal, " ")
	}
	if len(l) > 0 {
		lines = append(lines, l)
	}
	return lines
}

func nextLook(p lab.PlanStatus, done int) int {
	for _, n := range p.Looks {
		if n > done {
			return n
		}
	}
	return 0
}

func planSummary(p lab.PlanStatus, took time.Duration) line {
	done, repeated := planCounts(p)
	var l line
	l.add(strong, "A/B ")
	l.add(faint, p.ID)
	l.add(normal, fmt.Sprintf(" · %d pairs measured", done))
	if repeated > 0 {
		l.add(normal, fmt.Sprintf(", %d made again", repeated))
	}
	l.add(normal, " · took "+lab.Stopwatch(took))
	return l
}

// sweepLines are the cells: a grid where two things vary and it fits, else their signs in a row.
func sweepLines(s lab.Status, width, rows int) []line {
	if s.Sweep == nil {
		return nil
	}
	var first line
	first.add(faint, "sweep     ")
	first.add(normal, cellCount(*s.Sweep)+timeLeft(s)+cellStates(*s.Sweep))
	body := newGrid(s.Sweep.Cells).lines(width)
	if body == nil || len(body) > rows {
		body = cellRow(s.Sweep.Cells, width)
	}
	if len(body) > rows {
		body = body[:rows]
	}
	return append([]line{first}, body...)
}

func cellCount(s lab.SweepStatus) string {
	if s.Repeats > 1 {
		return fmt.Sprintf("%d cells × %d", len(s.Cells), s.Repeats)
	}
	return fmt.Sprintf("%d cells", len(s.Cells))
}

// cellStates says how many cells are how, after what was said before.
func cellStates(s lab.SweepStatus) string {
	n := map[lab.LegState]int{}
	for _, c := range s.Cells {
		n[c.State]++
	}
	var b strings.Builder
	for _, k := range []struct {
		state lab.LegState
		words string
	}{{lab.LegDone, "ok"}, {lab.LegReused, "from before"}, {lab.LegSpoilt, "invalid"}, {lab.LegFailed, "failed"}, {lab.LegLeft, "left out"}, {lab.LegTodo, "to do"}} {
		if n[k.state] > 0 {
			text := fmt.Sprintf("%d %s", n[k.state], k.words)
			if mark, _ := sign(k.state); k.state != lab.LegTodo { // whose sign stands between all of these
				text = mark + " " + text
			}
			b.WriteString(" · " + text)
		}
	}
	return b.String()
}

// cellRow is a sign for each cell, in the order of the file.
func cellRow(cells []lab.CellStatus, width int) []line {
	var lines []line
	var l line
	for _, c := range cells {
		if len(l) == 0 {
			l.add(normal, "          ")
		}
		mark, t := sign(c.State)
		l.add(t, mark)
		if l.width() >= width {
			lines = append(lines, l)
			l = nil
		}
	}
	if len(l) > 0 {
		lines = append(lines, l)
	}
	return lines
}

// grid has a row for each combination of all values but the last, and a column for each value of the last.
type grid struct {
	path string // of the columns
	rows []string
	cols []string
	at   map[[2]string]lab.LegState
}

func newGrid(cells []lab.CellStatus) grid {
	g := grid{at: map[[2]string]lab.LegState{}}
	for _, c := range cells {
		if len(c.Values) == 0 {
			return grid{}
		}
		var row []string
		for _, v := range c.Values[:len(c.Values)-1] {
			row = append(row, v.Value)
		}
		last := c.Values[len(c.Values)-1]
		g.path = last.Path
		place := [2]string{strings.Join(row, " "), last.Value}
		if _, twice := g.at[place]; twice {
			return grid{}
		}
		g.at[place] = c.State
		if !slices.Contains(g.rows, place[0]) {
			g.rows = append(g.rows, place[0])
		}
		if !slices.Contains(g.cols, place[1]) {
			g.cols = append(g.cols, place[1])
		}
	}
	return g
}

// lines draws the grid; nil where it is none, or too wide.
func (g grid) lines(width int) []line {
	if len(g.rows) == 0 || len(g.cols) < 2 {
		return nil
	}
	head := widest(append(slices.Clone(g.rows), lastPart(g.path)))
	each := widest(g.cols) + 2
	const indent = "          "
	if len(indent)+head+each*len(g.cols) > width {
		return nil
	}
	var top line
	top.add(faint, indent+left(lastPart(g.path), head))
	for _, c := range g.cols {
		top.add(faint, right(c, each))
	}
	lines := []line{top}
	for _, r := range g.rows {
		var l line
		l.add(faint, indent+left(r, head))
		for _, c := range g.cols {
			state, there := g.at[[2]string{r, c}]
			mark, t := sign(state)
			if !there {
				mark = " "
			}
			l.add(t, right(mark, each))
		}
		lines = append(lines, l)
	}
	return lines
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func widest(texts []string) int {
	most := 0
	for _, t := range texts {
		most = max(most, wide(t))
	}
	return most
}

func sweepSummary(s lab.SweepStatus, took time.Duration) line {
	var l line
	l.add(strong, "sweep ")
	l.add(faint, s.ID)
	l.add(normal, " · "+cellCount(s)+cellStates(s)+" · took "+lab.Stopwatch(took))
	return l
}
