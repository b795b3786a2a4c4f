package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// matrix draws the figures over the keys that vary: as maps over two of them, as lines over one.
func (p sweepPage) matrix(b *Body) {
	rows, columns, others, unique := p.axes()
	rest := others
	if unique {
		rest = nil
	}
	if len(columns.values) == 0 {
		return
	}
	if len(rows.values) > 0 {
		var maps []chart.Figure
		for i, f := range p.figures {
			maps = append(maps, p.heat(i, f, rows, columns, rest))
		}
		b.Figures(maps...)
	}
	var lines []chart.Figure
	for i, f := range p.figures {
		lines = append(lines, p.lines(i, f, rows, columns))
	}
	b.Figures(lines...)
	switch {
	case len(rest) > 0:
		b.Note(p.Say("Further keys vary too (", "还有其他变化的参数（") + strings.Join(rest, ", ") + p.Say("): a map shows the best of the cells that share a place, its tip says which.", "）：同一位置有多个单元时显示最好的一个，提示中有其名称。"))
	case len(others) > 0:
		b.Note(p.Say("Along with these two vary: ", "随这两个参数一同变化：") + strings.Join(others, ", ") + ".")
	}
}

// axes picks the two keys whose values tell all cells apart, else (not unique) those with the most values; the one with more
// values goes across. others are the names of the other keys.
func (p sweepPage) axes() (rows, columns varied, others []string, unique bool) {
	keys := paths(p.Cells)
	slices.SortStableFunc(keys, func(a, b varied) int {
		return cmp.Or(cmp.Compare(len(b.values), len(a.values)), cmp.Compare(boolToInt(b.numeric()), boolToInt(a.numeric())))
	})
	switch len(keys) {
	case 0:
		return rows, columns, nil, true
	case 1:
		return rows, keys[0], nil, true
	}
	first, second := 0, 1
	for i := range keys {
		for j := i + 1; j < len(keys) && !unique; j++ {
			if p.tellApart(keys[i], keys[j]) {
				first, second, unique = i, j, true
			}
		}
	}
	for i, k := range keys {
		if i != first && i != second {
			others = append(others, k.name)
		}
	}
	return keys[second], keys[first], others, unique
}

func boolToInt(v bool) int {
	if v {
		return 1
	}
	return 0
}

func (p sweepPage) tellApart(a, b varied) bool {
	taken := map[[2]int]bool{}
	for _, c := range p.Cells {
		place := [2]int{a.of(c.Cell), b.of(c.Cell)}
		if taken[place] {
			return false
		}
		taken[place] = true
	}
	return true
}

// numeric says whether all values are numbers.
func (k varied) numeric() bool {
	return !slices.ContainsFunc(k.values, func(v string) bool {
		n, err := strconv.ParseFloat(v, 64)
		return err != nil || math.IsInf(n, 0) || math.IsNaN(n) // a rate may be inf, which has no place on an axis
	})
}

func (p sweepPage) sense(f report.SweepFigure) string {
	if f.Higher {
		return p.Say("higher is better", "越高越好")
	}
	return p.Say("lower is better", "越低越好")
}

// title and named are what a figure is called, by itself and within a sentence.
func (p sweepPage) title(f report.SweepFigure) string {
	switch {
	case f.Share:
		return p.Say("Goodput", "有效吞吐率")
	case f.Higher:
		return p.Say("Output throughput", "输出吞吐量")
	}
	return p.Say("Mean ", "平均 ") + f.Name
}

func (p sweepPage) named(f report.SweepFigure) string {
	switch {
	case f.Share:
		return p.Say("goodput", "有效吞吐率")
	case f.Higher:
		return p.Say("output throughput", "输出吞吐量")
	}
	return p.Say("mean ", "平均 ") + f.Name
}

// heat is a map of a figure over two keys.
func (p sweepPage) heat(figure int, f report.SweepFigure, rows, columns varied, rest []string) chart.Figure {
	h := chart.Heat{Title: f.Unit}
	best := make([][]int, len(rows.values)) // the cell that a place shows; -1: none
	for r := range rows.values {
		h.Values, best[r] = append(h.Values, slices.Repeat([]float64{math.NaN()}, len(columns.values))), slices.Repeat([]int{-1}, len(columns.values))
	}
	for i, c := range p.Cells {
		r, k, v := rows.of(c.Cell), columns.of(c.Cell), meanOf(p.values[figure][i])
		if r < 0 || k < 0 || math.IsNaN(v) {
			continue
		}
		if old := h.Values[r][k]; math.IsNaN(old) || (v > old) == f.Higher {
			h.Values[r][k], best[r][k] = v, i
		}
	}
	h.Tip = func(r, k int) string { return p.tip(best[r][k], figure) }
	sub := p.sense(f) + p.Say("; mean over the valid runs of a cell", "；单元内有效测试的均值")
	if len(rest) > 0 {
		sub += p.Say("; of the best cell at a place", "；同一位置取最好的单元")
	}
	panel := chart.Panel{Title: fmt.Sprintf("%s (%s)", p.title(f), f.Unit), Subtitle: sub, X: chart.Axis{Title: columns.name, Categories: columns.values}, Y: chart.Axis{Title: rows.name, Categories: rows.values},
		Layers: []chart.Layer{h}, Empty: p.without(figure)}
	return chart.Figure{ID: fmt.Sprintf("map%d", figure+1), PanelHeight: min(420, 150+46*float64(len(rows.values))), Panels: []chart.Panel{panel}}
}

// tip is a cell with its figures.
func (p sweepPage) tip(cell, figure int) string {
	if cell < 0 {
		return ""
	}
	lines := []string{p.Cells[cell].Cell.Name}
	for i, f := range p.figures {
		if v := p.values[i][cell]; len(v) > 0 {
			lines = append(lines, fmt.Sprintf("%s %s %s (n = %d)", f.Name, report.MeanAndSpread(v), f.Unit, len(v)))
		}
	}
	return strings.Join(lines, "\n")
}

// without says why there is nothing to draw; "" where there is.
func (p sweepPage) without(figure int) string {
	if slices.ContainsFunc(p.values[figure], func(v []float64) bool { return len(v) > 0 }) {
		return ""
	}
	return p.Say("no data: no valid run", "无数据：没有有效的测试")
}

// lines is a figure over one key, a line for each value of the other.
func (p sweepPage) lines(figure int, f report.SweepFigure, rows, columns varied) chart.Figure {
	x := chart.Axis{Title: columns.name, Categories: columns.values}
	if columns.numeric() {
		x = chart.Axis{Title: columns.name}
		for _, v := range columns.values {
			at, _ := strconv.ParseFloat(v, 64)
			x.Ticks = append(x.Ticks, at)
		}
		least, most := slices.Min(x.Ticks), slices.Max(x.Ticks)
		x.Log = least > 0 && most/least >= 8
	}
	names := []string{""}
	if len(rows.values) > 0 {
		names = rows.values
	}
	var layers []chart.Layer
	for r, name := range names {
		line := chart.Series{Name: strings.TrimSpace(rows.name + " " + name), Style: chart.Style(r)}
		if !columns.numeric() {
			line.Draw = chart.Dots // nothing lies between two names
		}
		for i, c := range p.Cells {
			k, v := columns.of(c.Cell), p.values[figure][i]
			if k < 0 || len(v) == 0 || len(rows.values) > 0 && rows.of(c.Cell) != r {
				continue
			}
			at := float64(k)
			if columns.numeric() {
				at = x.Ticks[k]
			}
			m, sd := mean(v), deviation(v)
			line.Points = append(line.Points, chart.Point{X: at, Y: m, Low: m - sd, High: m + sd, Tip: p.tip(i, figure)})
		}
		slices.SortStableFunc(line.Points, func(a, b chart.Point) int { return cmp.Compare(a.X, b.X) })
		if len(line.Points) > 0 {
			layers = append(layers, line)
		}
	}
	sub := p.sense(f)
	if p.Sweep.Repeats > 1 {
		sub += p.Say("; mean ± 1 sd over the valid runs of a cell", "；单元内有效测试的均值 ±1 标准差")
	}
	panel := chart.Panel{Title: fmt.Sprintf("%s (%s)", p.title(f), f.Unit), Subtitle: sub, X: x, Y: chart.Axis{Title: f.Unit, Zero: true}, Layers: layers, Empty: p.without(figure)}
	return chart.Figure{ID: fmt.Sprintf("line%d", figure+1), Panels: []chart.Panel{panel}}
}

// varied is a key that a sweep varies, with its values in the order of the file.
type varied struct {
	path, name string
	values     []string
}

// paths are the keys that take more than one value. A key goes by its last word, unless two have the same.
func paths(cells []report.SweptCell) []varied {
	var all []varied
	for _, c := range cells {
		for _, v := range c.Cell.Values {
			i := slices.IndexFunc(all, func(k varied) bool { return k.path == v.Path })
			if i < 0 {
				i, all = len(all), append(all, varied{path: v.Path})
			}
			if !slices.Contains(all[i].values, v.Value) {
				all[i].values = append(all[i].values, v.Value)
			}
		}
	}
	all = slices.DeleteFunc(all, func(k varied) bool { return len(k.values) < 2 })
	for i := range all {
		all[i].name = last(all[i].path)
		for j := range all {
			if i != j && last(all[j].path) == all[i].name {
				all[i].name = all[i].path
			}
		}
	}
	return all
}

func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// of is the place of a cell among the values of a key; -1 where it does not say.
func (k varied) of(c lab.Cell) int {
	for _, v := range c.Values {
		if v.Path == k.path {
			return slices.Index(k.values, v.Value)
		}
	}
	return -1
}
