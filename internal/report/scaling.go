package report

import (
	"fmt"
	"math"

	"lab/internal/report/chart"
)

// concurrency is the picture of how the server scales.
func (p pictures) concurrency() chart.Figure {
	return p.figure("concurrency", p.say("Performance by concurrency", "并发性能"),
		p.speedUp(), p.efficiencyByConcurrency(), p.ttftByConcurrency(), p.runCounts())
}

// speedUp relates the throughput of each shape to that at its lowest concurrency.
func (p pictures) speedUp() chart.Panel {
	base := map[shape]cell{}
	for _, c := range p.cells { // in order of concurrency
		if _, seen := base[c.shape]; !seen && c.concurrency > 0 {
			if v, ok := spreadOf(c.rows, "output_throughput"); ok && v.mean > 0 {
				base[c.shape] = c
			}
		}
	}
	layers := p.byConcurrency("×", func(c cell) (spread, bool) {
		first, ok := base[c.shape]
		v, measured := spreadOf(c.rows, "output_throughput")
		if !ok || !measured {
			return spread{}, false
		}
		at, _ := spreadOf(first.rows, "output_throughput")
		return v.times(1 / at.mean), true
	})
	levels := p.levels()
	if len(levels) > 1 {
		ideal := chart.Series{Name: p.say("in proportion", "线性扩展"), Draw: chart.Plain, Faint: true}
		for _, level := range levels {
			ideal.Points = append(ideal.Points, chart.Point{X: level, Y: level / levels[0]})
		}
		layers = append([]chart.Layer{ideal}, layers...)
	}
	x := p.concurrencyAxis()
	return chart.Panel{
		Title:    p.say("Scaling of output throughput", "输出吞吐量的扩展性"),
		Subtitle: p.higher() + p.say("; relative to the lowest concurrency of each shape", "；相对于每种长度的最低并发"),
		X:        x,
		Y:        chart.Axis{Title: p.say("Throughput (× lowest concurrency)", "吞吐量（最低并发的倍数）"), Log: x.Log, Zero: !x.Log},
		Layers:   layers,
		Empty:    p.missing("output_throughput", "max_concurrency"),
	}
}

func (p pictures) efficiencyByConcurrency() chart.Panel {
	return chart.Panel{
		Title:    p.say("Output throughput per request in flight", "每个并发请求的输出吞吐量"),
		Subtitle: p.higher(),
		X:        p.concurrencyAxis(),
		Y:        chart.Axis{Title: p.say("tok/s per request in flight", "每请求 tok/s"), Zero: true},
		Layers:   p.byConcurrency("tok/s", perRequestInFlight),
		Empty:    p.missing("output_throughput", "max_concurrency"),
	}
}

func (p pictures) runCounts() chart.Panel {
	levels := p.levels()
	bars := chart.Bars{Style: 0}
	for _, level := range levels {
		n := 0
		for _, c := range p.cells {
			if c.concurrency == level {
				n += len(c.rows)
			}
		}
		bars.Bars = append(bars.Bars, chart.Bar{Value: float64(n), Label: fmt.Sprint(n),
			Tip: fmt.Sprintf(p.say("concurrency %s: %d runs", "并发 %s：%d 次测试"), known(level), n)})
	}
	return chart.Panel{
		Title:    p.say("Runs by concurrency", "各并发数的测试次数"),
		Subtitle: p.say("how much each figure rests on", "数据量"),
		X:        chart.Axis{Title: p.inFlight(), Categories: categories(levels)},
		Y:        chart.Axis{Title: p.say("Runs", "测试次数"), Whole: true},
		Layers:   []chart.Layer{bars},
		Empty:    p.missing("max_concurrency"),
	}
}

// comparison is the picture of the configurations beside each other.
func (p pictures) comparison() chart.Figure {
	return p.figure("comparison", p.say("Configurations compared", "配置性能对比"),
		p.barsByShape(), p.bubbles(), p.correlation(), p.ranking())
}

// mostBars is how many bars a panel has room for, with their hatches.
const mostBars = 60

// barsByShape is a group of bars a shape, a bar a concurrency; a map where there are too many.
func (p pictures) barsByShape() chart.Panel {
	shapes, levels := p.shapes(), p.levels()
	if len(shapes)*len(levels) > mostBars {
		return p.mapByShape()
	}
	axis := chart.Axis{Title: p.say("Input x output (tokens)", "输入 x 输出 (tokens)")}
	for _, s := range shapes {
		axis.Categories = append(axis.Categories, p.names.shape(s))
	}
	var layers []chart.Layer
	for i, level := range levels {
		bars := chart.Bars{Name: p.say("concurrency ", "并发 ") + known(level), Style: chart.Style(i)}
		for _, s := range shapes {
			bar := chart.Bar{Value: math.NaN()}
			for _, c := range p.cells {
				if v, ok := spreadOf(c.rows, "output_throughput"); ok && c.shape == s && c.concurrency == level {
					bar = chart.Bar{Value: v.mean, Low: v.mean - v.sd, High: v.mean + v.sd, Tip: p.names.cell(c) + "\n" + v.text("tok/s")}
				}
			}
			bars.Bars = append(bars.Bars, bar)
		}
		layers = append(layers, bars)
	}
	return chart.Panel{
		Title:    p.say("Output throughput of each configuration", "各配置的输出吞吐量"),
		Subtitle: p.higher(),
		X:        axis,
		Y:        chart.Axis{Title: p.say("Output throughput (tok/s)", "输出吞吐量 (tok/s)")},
		Layers:   layers,
		Empty:    p.missing("output_throughput", "max_concurrency"),
	}
}

func (p pictures) mapByShape() chart.Panel {
	h := chart.Heat{Title: p.say("Output (tok/s)", "输出 (tok/s)")}
	x := chart.Axis{Title: p.inFlight(), Categories: categories(p.levels())}
	y := chart.Axis{}
	var tips [][]string
	for _, s := range p.shapes() {
		row, tip := []float64{}, []string{}
		for _, level := range p.levels() {
			mean, text := math.NaN(), ""
			for _, c := range p.cells {
				if v, ok := spreadOf(c.rows, "output_throughput"); ok && c.shape == s && c.concurrency == level {
					mean, text = v.mean, p.names.cell(c)+"\n"+v.text("tok/s")
				}
			}
			row, tip = append(row, mean), append(tip, text)
		}
		h.Values, tips = append(h.Values, row), append(tips, tip)
		y.Categories = append(y.Categories, p.names.shape(s))
	}
	h.Tip = func(r, c int) string { return tips[r][c] }
	return chart.Panel{
		Title:    p.say("Output throughput of each configuration", "各配置的输出吞吐量"),
		Subtitle: p.higher() + p.say("; darker is more", "；颜色越深越高"),
		X:        x, Y: y, Layers: []chart.Layer{h},
		Empty: p.missing("output_throughput", "max_concurrency"),
	}
}

// bubbles shows the best throughput at each pair of lengths as the area of a disc.
func (p pictures) bubbles() chart.Panel {
	best := map[[2]float64]cell{}
	most := 0.0
	var order [][2]float64
	for _, c := range p.cells {
		v, ok := spreadOf(c.rows, "output_throughput")
		if !ok || c.in <= 0 || c.out <= 0 {
			continue
		}
		at := [2]float64{c.in, c.out}
		old, seen := best[at]
		if !seen {
			order = append(order, at)
		}
		if was, _ := spreadOf(old.rows, "output_throughput"); !seen || v.mean > was.mean {
			best[at] = c
		}
		most = max(most, v.mean)
	}
	dots := chart.Series{Style: 0, Draw: chart.Dots}
	var labels []chart.Layer
	for _, at := range order {
		v, _ := spreadOf(best[at].rows, "output_throughput")
		if v.mean < 0 {
			continue
		}
		dots.Points = append(dots.Points, chart.Point{X: at[0], Y: at[1], Size: max(0.6, 5*math.Sqrt(v.mean/max(most, 1e-12))),
			Tip: p.names.cell(best[at]) + "\n" + v.text("tok/s")})
		labels = append(labels, chart.Label{X: at[0], Y: at[1], Text: chart.Format(v.mean)})
	}
	return chart.Panel{
		Title:    p.say("Best output throughput by input and output length", "各输入/输出长度的最高输出吞吐量"),
		Subtitle: p.higher() + p.say("; area and number: tok/s at the best concurrency", "；面积与数字：最佳并发下的 tok/s"),
		X:        ladder(p.say("Input length (tokens)", "输入长度 (tokens)"), p.distinct(func(c cell) float64 { return c.in })),
		Y:        ladder(p.say("Output length (tokens)", "输出长度 (tokens)"), p.distinct(func(c cell) float64 { return c.out })),
		Layers:   append([]chart.Layer{dots}, labels...),
		Empty:    p.missing("output_throughput", "input_len", "output_len"),
	}
}

// ladder is an axis with a tick at each value; even in ratios where they span more than one step of doubling.
func ladder(title string, values []float64) chart.Axis {
	return chart.Axis{Title: title, Ticks: values,
		Log: len(values) > 1 && values[0] > 0 && values[len(values)-1] >= 4*values[0]}
}
