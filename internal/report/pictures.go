package report

import (
	"fmt"
	"slices"
	"strings"

	"lab/internal/report/chart"
)

// pictures draws an aggregate table.
type pictures struct {
	table   *Aggregate
	cells   []cell
	names   names
	chinese bool
}

func newPictures(a *Aggregate, chinese bool) pictures {
	cells := a.cells()
	return pictures{table: a, cells: cells, names: namesFor(cells), chinese: chinese}
}

// say picks the language.
func (p pictures) say(english, chinese string) string {
	if p.chinese {
		return chinese
	}
	return english
}

func (p pictures) lower() string  { return p.say("lower is better", "越低越好") }
func (p pictures) higher() string { return p.say("higher is better", "越高越好") }

func (p pictures) runs() string {
	if len(p.table.rows) == 1 {
		return p.say("n = 1 run", "n = 1 次测试")
	}
	return fmt.Sprintf(p.say("n = %d runs", "n = %d 次测试"), len(p.table.rows))
}

func (p pictures) inFlight() string {
	return p.say("Concurrency (requests in flight)", "并发数（同时处理的请求）")
}

// missing says why a panel that needs some columns cannot be drawn; "" where it can.
func (p pictures) missing(columns ...string) string {
	for _, c := range columns {
		if !p.table.has(c) {
			return fmt.Sprintf(p.say("no data: column %s is missing", "无数据：缺少列 %s"), c)
		}
		if !slices.ContainsFunc(p.table.rows, func(r aggregateRow) bool {
			_, number := r.number(c)
			_, date := r.when()
			return number || c == "date" && date
		}) {
			return fmt.Sprintf(p.say("no data: column %s has no value", "无数据：列 %s 没有数值"), c)
		}
	}
	return ""
}

// shapes lists the shapes in order; the place is the style, the same in every panel.
func (p pictures) shapes() []shape {
	var all []shape
	for _, c := range p.cells {
		if !slices.Contains(all, c.shape) {
			all = append(all, c.shape)
		}
	}
	return all
}

// distinct lists a property of the cells in order, without those that lack it.
func (p pictures) distinct(of func(cell) float64) []float64 {
	var all []float64
	for _, c := range p.cells {
		if v := of(c); v >= 0 && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return all
}

func (p pictures) levels() []float64 {
	return p.distinct(func(c cell) float64 { return c.concurrency })
}

func categories(values []float64) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = known(v)
	}
	return all
}

// values collects a column of the rows that a cell test chooses.
func (p pictures) values(column string, of func(cell) bool) []float64 {
	var values []float64
	for _, c := range p.cells {
		if !of(c) {
			continue
		}
		for _, r := range c.rows {
			if v, ok := r.number(column); ok {
				values = append(values, v)
			}
		}
	}
	return values
}

func all(cell) bool { return true }

// point makes a mean with its error bar.
func (s spread) point(x float64, tip string) chart.Point {
	return chart.Point{X: x, Y: s.mean, Low: s.mean - s.sd, High: s.mean + s.sd, Tip: tip}
}

// byConcurrency is a line a shape over the concurrency.
func (p pictures) byConcurrency(unit string, figure func(cell) (spread, bool)) []chart.Layer {
	var layers []chart.Layer
	for i, s := range p.shapes() {
		line := chart.Series{Name: p.names.shape(s), Style: chart.Style(i)}
		for _, c := range p.cells {
			if v, ok := figure(c); ok && c.shape == s && c.concurrency > 0 {
				line.Points = append(line.Points, v.point(c.concurrency, p.names.cell(c)+"\n"+v.text(unit)))
			}
		}
		layers = append(layers, line)
	}
	return layers
}

func column(name string) func(cell) (spread, bool) {
	return func(c cell) (spread, bool) { return spreadOf(c.rows, name) }
}

// perRequestInFlight is the output throughput that each request in flight gets.
func perRequestInFlight(c cell) (spread, bool) {
	s, ok := spreadOf(c.rows, "output_throughput")
	if !ok || c.concurrency <= 0 {
		return s, false
	}
	return s.times(1 / c.concurrency), true
}

func (p pictures) concurrencyAxis() chart.Axis { return ladder(p.inFlight(), p.levels()) }

// note says what the error bars are.
func (p pictures) note() string {
	least, most := len(p.cells[0].rows), 0
	for _, c := range p.cells {
		least, most = min(least, len(c.rows)), max(most, len(c.rows))
	}
	text := ""
	switch {
	case most == 1:
		text = p.say("One run per configuration: without repeats, no spread over repeats is shown.", "每种配置只测了一次：没有重复，无法给出重复误差。")
	case least == most:
		text = fmt.Sprintf(p.say("Error bars, unless a panel says otherwise: ± 1 standard deviation over the repeats of a configuration (n = %d each).", "误差线（图中另有说明的除外）：同一配置重复测试的 ±1 标准差（每种 n = %d）。"), most)
	default:
		text = fmt.Sprintf(p.say("Error bars, unless a panel says otherwise: ± 1 standard deviation over the repeats of a configuration (n = %d to %d; none where n = 1).", "误差线（图中另有说明的除外）：同一配置重复测试的 ±1 标准差（n = %d 至 %d；n = 1 时无误差线）。"), least, most)
	}
	if most > 1 && !p.table.has("max_concurrency") {
		text += " " + p.say("The table does not say the concurrency: rows of the same lengths are taken for repeats.", "表中没有并发数：长度相同的行视为重复测试。")
	}
	return strings.Join(append([]string{text}, p.leftOut()...), " ")
}

// leftOut says which rows of the table are not in the pictures.
func (p pictures) leftOut() []string {
	var said []string
	if n := p.table.failed; n > 0 {
		said = append(said, fmt.Sprintf(p.say("Rows left out because no request completed: %d.", "因没有请求完成而忽略的行：%d。"), n))
	}
	if n := p.table.without; n > 0 {
		said = append(said, fmt.Sprintf(p.say("Rows left out because they hold no result: %d.", "因没有数值而忽略的行：%d。"), n))
	}
	return said
}

// subtitle says what was measured, and how often.
func (p pictures) subtitle() string {
	var models []string
	for _, c := range p.cells {
		if name := shortModel(c.model); c.model != "" && !slices.Contains(models, name) {
			models = append(models, name)
		}
	}
	parts := []string{p.runs()}
	if len(p.cells) == 1 {
		parts = append(parts, p.names.cell(p.cells[0]))
	} else {
		parts = append(parts, fmt.Sprintf(p.say("%d configurations", "%d 种配置"), len(p.cells)))
	}
	if len(models) > 0 {
		parts = append([]string{strings.Join(models, ", ")}, parts...)
	}
	return strings.Join(parts, " · ")
}

func (p pictures) figure(id, title string, panels ...chart.Panel) chart.Figure {
	var about []string
	for _, panel := range panels {
		about = append(about, panel.Title)
	}
	return chart.Figure{ID: id, Title: title, Subtitle: p.subtitle(), Note: p.note(), Columns: 2, Panels: panels,
		Description: strings.Join(about, "; ") + ". " + p.subtitle()}
}

// groups gathers the values of a column by another figure of the runs, with a name that says n. Tip takes that figure and
// the mean.
func (p pictures) groups(column, unit string, levels []float64, of func(cell) float64, tip string) (names []string, groups []chart.Group) {
	for _, level := range levels {
		values := p.values(column, func(c cell) bool { return of(c) == level })
		s, _ := spreadOfValues(values)
		names = append(names, fmt.Sprintf("%s\nn = %d", known(level), len(values)))
		groups = append(groups, chart.Group{Values: values, Tip: fmt.Sprintf(tip, known(level), s.text(unit))})
	}
	return names, groups
}
