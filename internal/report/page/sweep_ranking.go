package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"lab/internal/compare"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// tradeOff draws throughput against each latency, with the front of the cells that nothing beats.
func (p sweepPage) tradeOff(b *Body) {
	var figures []chart.Figure
	front := report.Table{Head: []string{p.Say("cell", "单元")}, Right: map[int]bool{}}
	for i, f := range p.figures {
		front.Head, front.Right[i+1] = append(front.Head, f.Name+" "+f.Unit), true
	}
	front.Head = append(front.Head, p.Say("on the front of", "位于前沿"))
	on := map[int][]string{}
	for i, f := range p.figures {
		if f.Higher {
			continue
		}
		figure, best := p.front(i, f)
		figures = append(figures, figure)
		for _, cell := range best {
			on[cell] = append(on[cell], f.Name)
		}
	}
	if len(on) < 2 {
		return
	}
	for cell, c := range p.Cells {
		if len(on[cell]) == 0 {
			continue
		}
		row := []string{c.Cell.Name}
		for i := range p.figures {
			row = append(row, report.MeanAndSpread(p.values[i][cell]))
		}
		front.Rows = append(front.Rows, append(row, strings.Join(on[cell], ", ")))
	}
	b.Figures(figures...)
	b.long(p.Say("Cells on a front", "位于前沿的单元"), front)
	b.Note(p.Say("On the front are the cells that no other beats in one of the two figures without losing in the other, by their means over valid runs. Cells near it that differ by less than their runs do may as well be on it: see the ranking.",
		"前沿上的单元：按有效测试的均值，没有其他单元在一项上更好而另一项不差。与前沿之差小于测试间波动的单元也可能在前沿上，参见排名。"))
}

// mostNamed is how many cells of a front a picture has room to name.
const mostNamed = 4

// front is the picture of output throughput against a latency, and the cells on its front.
func (p sweepPage) front(latency int, f report.SweepFigure) (chart.Figure, []int) {
	means := make([][2]float64, len(p.Cells))
	for i := range p.Cells {
		means[i] = [2]float64{meanOf(p.values[latency][i]), meanOf(p.values[0][i])}
	}
	others := chart.Series{Name: p.Say("beaten by another cell", "被其他单元超过"), Style: 6, Draw: chart.Dots}
	line := chart.Series{Name: p.Say("front", "前沿"), Style: 0}
	var best []int
	names := map[chart.Point]string{}
	for i, on := range compare.Front(means, true) {
		point := chart.Point{X: means[i][0], Y: means[i][1], Tip: p.tip(i, latency)}
		switch {
		case math.IsNaN(point.X + point.Y):
		case on:
			best = append(best, i)
			line.Points = append(line.Points, point)
			names[point] = p.Cells[i].Cell.Name
		default:
			others.Points = append(others.Points, point)
		}
	}
	slices.SortStableFunc(line.Points, func(a, b chart.Point) int { return cmp.Compare(a.X, b.X) })
	layers := []chart.Layer{line}
	if len(others.Points) > 0 {
		layers = []chart.Layer{others, line}
	}
	for _, point := range line.Points[max(0, len(line.Points)-mostNamed):] { // the highest; the tips name all
		layers = append(layers, chart.Label{X: point.X, Y: point.Y, Text: names[point]})
	}
	panel := chart.Panel{Title: p.Say("Output throughput against mean ", "输出吞吐量与平均 ") + f.Name, Subtitle: p.Say("up and to the left is better; a point a cell", "越靠左上越好；每点一个单元"),
		X: chart.Axis{Title: p.title(f) + " (" + f.Unit + ")"}, Y: chart.Axis{Title: p.Say("Output throughput (tok/s)", "输出吞吐量 (tok/s)"), Zero: true}, Layers: layers, Empty: p.without(latency)}
	return chart.Figure{ID: fmt.Sprintf("front%d", latency+1), PanelHeight: 400, Panels: []chart.Panel{panel}}, best
}

// ranking puts the cells in order by each figure; the first is open, the others are folded away.
func (p sweepPage) ranking(b *Body) {
	for i, f := range p.figures {
		ranked := compare.Rank(p.values[i], f.Higher)
		if len(ranked) < 2 || f.Share { // many shares are whole, and their logarithms say nothing
			continue
		}
		t := p.standings(i, f, ranked)
		caption := p.Say("By ", "按") + p.named(f) + p.Say(", ", "，") + p.sense(f)
		if i == 0 {
			b.Figures(p.bars(i, f, ranked))
			b.long(caption, t)
			continue
		}
		b.Details(caption, func(b *Body) { b.long(caption, t) })
	}
	if b.Empty() {
		return
	}
	b.Note(p.Say("“Not told apart”: the 95 % interval of the difference to the first cell holds 0. The intervals are of logarithms over the valid runs, by the noise of the two cells or of all, and widened for the number of pairs of cells, since the first one was picked by the same runs. They show how runs differ, not how starts of a server do: before money is spent on a winner, lab ab of the two says it.",
		"“无法区分”：与第一名之差的 95 % 区间包含 0。区间按有效测试值的对数计算，波动取两个单元或全部单元的值，并按单元的配对数放宽，因为第一名是由同一批测试选出的。它只反映测试之间的差异，不反映服务端重启之间的差异：在采用优胜者之前，请用 lab ab 比较两者。"))
}

// openRows is how many rows of a long table are not folded away.
const openRows = 20

// long puts a table in whose further rows are folded away where it is long.
func (b *Body) long(caption string, t report.Table) {
	if len(t.Rows) <= openRows+5 {
		b.Table(caption, t)
		return
	}
	rest := t
	t.Rows, rest.Rows = t.Rows[:openRows], t.Rows[openRows:]
	b.Table(caption, t)
	more := fmt.Sprintf(b.Say("%d more rows", "另外 %d 行"), len(rest.Rows))
	b.Details(more, func(b *Body) { b.Table(caption+", "+more, rest) })
}

func (p sweepPage) standings(figure int, f report.SweepFigure, ranked []compare.Standing) report.Table {
	t := report.Table{Head: []string{"#", p.Say("cell", "单元"), f.Name + " " + f.Unit, "n", p.Say("against the first", "相对第一名"), p.Say("95 % interval", "95 % 区间"), p.Say("told apart?", "可区分？")},
		Right: map[int]bool{2: true, 3: true, 4: true, 5: true}}
	for i, s := range ranked {
		row := []string{fmt.Sprint(i + 1), p.Cells[s.Place].Cell.Name, report.MeanAndSpread(p.values[figure][s.Place]), fmt.Sprint(s.N)}
		switch {
		case i == 0:
			row = append(row, "", "", p.Say("the first", "第一名"))
		case s.Low == nil:
			row = append(row, signedPercent(s.Behind), "-", p.Say("no noise known", "波动未知"))
		case s.Told:
			row = append(row, signedPercent(s.Behind), bracket(*s.Low, *s.High), p.Say("yes", "是"))
		default:
			row = append(row, signedPercent(s.Behind), bracket(*s.Low, *s.High), p.Say("NOT told apart", "无法区分"))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func signedPercent(v float64) string { return points(v) + " %" }

func bracket(low, high float64) string { return "[" + points(low) + ", " + points(high) + "] %" }

// points writes a share in per cent, coarse where it is many times the whole.
func points(v float64) string {
	if math.Abs(v) >= 10 {
		return fmt.Sprintf("%+.0f", v*100)
	}
	return fmt.Sprintf("%+.1f", v*100)
}

// mostRanked is how many cells the picture of a ranking has room for.
const mostRanked = 15

func (p sweepPage) bars(figure int, f report.SweepFigure, ranked []compare.Standing) chart.Figure {
	ranked = ranked[:min(len(ranked), mostRanked)]
	bars, axis := chart.Bars{Style: 0}, chart.Axis{}
	for i, s := range ranked {
		sd := deviation(p.values[figure][s.Place])
		bar := chart.Bar{Value: s.Mean, Low: s.Mean - sd, High: s.Mean + sd, Label: chart.Format(s.Mean), Tip: p.tip(s.Place, figure)}
		if i > 0 && s.Low != nil && !s.Told {
			bar.Label += p.Say(" · not told apart", " · 无法区分")
		}
		bars.Bars = append(bars.Bars, bar)
		axis.Categories = append(axis.Categories, p.Cells[s.Place].Cell.Name)
	}
	sub := p.sense(f)
	if p.Sweep.Repeats > 1 {
		sub += p.Say("; mean ± 1 sd over the valid runs of a cell", "；单元内有效测试的均值 ±1 标准差")
	}
	panel := chart.Panel{Title: fmt.Sprintf(p.Say("The first %d by %s", "前 %d 名：%s"), len(ranked), p.named(f)), Subtitle: sub,
		X: chart.Axis{Title: f.Unit}, Y: axis, Layers: []chart.Layer{bars}}
	return chart.Figure{ID: fmt.Sprintf("ranking%d", figure+1), PanelWidth: 900, PanelHeight: 90 + 30*float64(len(ranked)), Panels: []chart.Panel{panel}}
}

// deviation is the standard deviation of values; 0 below two.
func deviation(v []float64) float64 {
	if len(v) < 2 {
		return 0
	}
	m, sum := mean(v), 0.0
	for _, one := range v {
		sum += (one - m) * (one - m)
	}
	return math.Sqrt(sum / float64(len(v)-1))
}

// meanOf is the mean of values, NaN of none.
func meanOf(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return mean(values)
}
