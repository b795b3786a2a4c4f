package page

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lab/internal/metric"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// quantities are the latencies of a request (or of a token), with the unit in which they are drawn.
var quantities = []struct {
	name, title, unit string
	scale             float64
}{{"ttft", "TTFT", "ms", 1e3}, {"itl", "ITL", "ms", 1e3}, {"tpot", "TPOT", "ms", 1e3}, {"e2el", "E2EL", "s", 1}}

// latency is the table of percentiles and the distributions of each phase.
func (p runPage) latency(b *Body) {
	for i, t := range p.Sealed.Summary.Phases {
		parts := phaseOf(report.Of(p.parts, report.OfLatency), t.Phase)
		b.Parts(p.Say("Latencies of phase ", "延迟，阶段 ")+t.Phase, parts)
		var figures []chart.Figure
		of := metric.Values(p.Tables.Requests, t.Phase)
		for _, q := range quantities {
			values := scaled(of[q.name], q.scale)
			if len(values) < fewestDrawn {
				continue
			}
			drawn := sample{t.Phase, 0, evenly(values, mostDrawn), len(values)}
			figures = append(figures, b.ecdf(fmt.Sprintf("ecdf-%d-%s", i, q.name), q.title, q.unit, []sample{drawn}))
			if q.name == "ttft" || q.name == "e2el" {
				figures = append(figures, b.histogram(fmt.Sprintf("histogram-%d-%s", i, q.name), q.title, q.unit, drawn))
			}
		}
		b.Figures(figures...)
	}
	if !b.Empty() {
		b.formulas([]string{"ttft.p50", "tpot.p50", "itl.p50", "e2el.p50"})
	}
}

// mostDrawn values make a distribution that more of them would not change in a picture; they are picked evenly.
const mostDrawn = 200_000

// fewestDrawn values make a distribution that a picture shows better than a table.
const fewestDrawn = 5

func phaseOf(parts []report.Part, phase string) []report.Part {
	return slices.DeleteFunc(slices.Clone(parts), func(part report.Part) bool { return part.Phase != phase })
}

func scaled(values []float64, by float64) []float64 {
	for i := range values {
		values[i] *= by
	}
	return values
}

// sample is values of one kind, sorted or not.
type sample struct {
	name   string
	style  chart.Style
	values []float64
	n      int // of these the values are picked
}

// ecdf is the share of the values that are at most x, over a logarithmic axis: the tail is what people look for.
func (b *Body) ecdf(id, title, unit string, samples []sample) chart.Figure {
	panel := chart.Panel{Title: fmt.Sprintf(b.Say("%s: share of values at most x", "%s：不超过 x 的比例"), title),
		X: chart.Axis{Title: fmt.Sprintf("%s (%s)", title, unit), Log: true}, Y: chart.Axis{Title: b.Say("share (%)", "比例 (%)"), Min: 0, Max: 100}}
	var points, counts []string
	left := ""
	for _, s := range samples {
		line := chart.Series{Name: s.name, Style: s.style, Draw: chart.Plain}
		slices.Sort(s.values)
		for _, rank := range ranks(len(s.values)) {
			share := 100 * float64(rank+1) / float64(len(s.values))
			line.Points = append(line.Points, chart.Point{X: s.values[rank], Y: share})
		}
		for _, dot := range s.quantiles(unit) {
			panel.Layers = append(panel.Layers, dot.Series)
			if !slices.Contains(points, dot.name) {
				points = append(points, dot.name)
			}
		}
		panel.Layers = append(panel.Layers, line)
		count := s.name + " " + b.count(s)
		if n := zeros(s.values); n > 0 {
			count += fmt.Sprintf(b.Say(" (%d of them are 0)", "（其中 %d 个为 0）"), n)
			left = b.Say("; values of 0 lie left of the axis", "；为 0 的值在坐标轴左侧之外")
		}
		counts = append(counts, count)
	}
	panel.Subtitle = b.Say("lower is better, log scale; ", "越低越好，对数坐标；")
	if len(points) > 0 {
		slices.Sort(points) // another sample may have begun with a later one
		panel.Subtitle += b.Say("points: ", "点：") + strings.Join(points, b.Say(", ", "、")) + b.Say("; ", "；")
	}
	panel.Subtitle += strings.Join(counts, ", ") + left
	return chart.Figure{ID: id, PanelWidth: panelWidth, PanelHeight: panelHeight, Panels: []chart.Panel{panel}}
}

// quantile is a point of a distribution.
type quantile struct {
	name string // "p50"
	chart.Series
}

// quantiles are the points of sorted values that these are enough for, and that have a place on a logarithmic axis.
func (s sample) quantiles(unit string) []quantile {
	var all []quantile
	for _, q := range []float64{0.5, 0.9, 0.99} {
		v := metric.Quantile(s.values, q)
		if float64(len(s.values))*(1-q) < 1 || v <= 0 {
			continue
		}
		name := fmt.Sprintf("p%g", 100*q)
		all = append(all, quantile{name, chart.Series{Name: s.name, Style: s.style, Draw: chart.Dots,
			Points: []chart.Point{{X: v, Y: 100 * q, Tip: fmt.Sprintf("%s %s\n%s %s", s.name, name, chart.Format(v), unit)}}}})
	}
	return all
}

// count says how many values there are, and how many of them are drawn.
func (b *Body) count(s sample) string {
	if len(s.values) < s.n {
		return fmt.Sprintf(b.Say("n = %d, of which %d are drawn, evenly picked", "n = %d，均匀抽取其中 %d 个绘制"), s.n, len(s.values))
	}
	return fmt.Sprintf("n = %d", s.n)
}

// zeros is how many of sorted values have no place on a logarithmic axis.
func zeros(values []float64) int {
	n, _ := slices.BinarySearch(values, math.SmallestNonzeroFloat64)
	return n
}

// ranks picks at most some 300 places of n sorted values, more of them towards both ends.
func ranks(n int) []int {
	const most, tail = 240, 30
	if n <= most {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	var all []int
	for i := range tail {
		all = append(all, i, n-1-i)
	}
	for k := range most {
		all = append(all, k*(n-1)/(most-1))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (b *Body) histogram(id, title, unit string, s sample) chart.Figure {
	of := b.Say("requests", "请求数")
	if len(s.values) < s.n {
		of = b.Say("requests drawn", "绘制的请求数")
	}
	panel := chart.Panel{Title: fmt.Sprintf(b.Say("%s: how many requests took how long", "%s：耗时分布"), title),
		Subtitle: b.count(s),
		X:        chart.Axis{Title: fmt.Sprintf("%s (%s)", title, unit)}, Y: chart.Axis{Title: of, Whole: true},
		Layers: []chart.Layer{chart.Histogram{Values: s.values, Tip: func(from, to float64, n int) string {
			return fmt.Sprintf("%s – %s %s\n%d %s", chart.Format(from), chart.Format(to), unit, n, of)
		}}}}
	return chart.Figure{ID: id, PanelWidth: panelWidth, PanelHeight: panelHeight, Panels: []chart.Panel{panel}}
}

// formulas explains metrics.
func (b *Body) formulas(names []string) {
	t := report.Table{Head: []string{b.Say("metric", "指标"), b.Say("how it is computed", "计算方法")}}
	for _, name := range names {
		m, known := metric.Find(name)
		if known {
			t.Rows = append(t.Rows, []string{m.Title, report.Formula(name)})
		}
	}
	b.Details(b.Say("What these are", "指标说明"), func(b *Body) { b.Table(b.Say("Definitions", "定义"), t) })
}
