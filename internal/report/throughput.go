package report

import (
	"fmt"
	"math"
	"time"

	"lab/internal/report/chart"
)

func (p pictures) throughput() chart.Figure {
	return p.figure("throughput", p.say("Throughput", "吞吐量分析"),
		p.throughputByConcurrency(), p.throughputByInput(), p.throughputOverTime(), p.efficiencyMap())
}

func (p pictures) throughputByConcurrency() chart.Panel {
	return chart.Panel{
		Title:    p.say("Output throughput by concurrency", "输出吞吐量与并发数"),
		Subtitle: p.higher(),
		X:        p.concurrencyAxis(),
		Y:        chart.Axis{Title: p.say("Output throughput (tok/s)", "输出吞吐量 (tok/s)"), Zero: true},
		Layers:   p.byConcurrency("tok/s", column("output_throughput")),
		Empty:    p.missing("output_throughput", "max_concurrency"),
	}
}

func (p pictures) throughputByInput() chart.Panel {
	lengths := p.distinct(func(c cell) float64 { return c.in })
	names, groups := p.groups("output_throughput", "tok/s", lengths, func(c cell) float64 { return c.in }, p.say("%s tokens in: mean %s", "输入 %s tokens：均值 %s"))
	return chart.Panel{
		Title:    p.say("Output throughput by input length", "输出吞吐量与输入长度"),
		Subtitle: p.higher() + p.say("; one point per run, all concurrencies together; thick line: median", "；每点一次测试，含所有并发数；粗线：中位数"),
		X:        chart.Axis{Title: p.say("Input length (tokens)", "输入长度 (tokens)"), Categories: names},
		Y:        chart.Axis{Title: p.say("Output throughput (tok/s)", "输出吞吐量 (tok/s)"), Zero: true},
		Layers:   []chart.Layer{chart.Boxes{Style: 0, Groups: groups}},
		Empty:    p.missing("output_throughput", "input_len"),
	}
}

func (p pictures) throughputOverTime() chart.Panel {
	var layers []chart.Layer
	for i, s := range p.shapes() {
		dots := chart.Series{Name: p.names.shape(s), Style: chart.Style(i), Draw: chart.Dots}
		for _, c := range p.cells {
			for _, r := range c.rows {
				at, dated := r.when()
				v, ok := r.number("total_token_throughput")
				if c.shape == s && dated && ok {
					dots.Points = append(dots.Points, chart.Point{X: at, Y: v,
						Tip: fmt.Sprintf("%s\n%s tok/s\n%s", p.names.cell(c), chart.Format(v), Moment(time.Unix(int64(at), 0)))})
				}
			}
		}
		layers = append(layers, dots)
	}
	return chart.Panel{
		Title:    p.say("Total token throughput over time", "总吞吐量随时间变化"),
		Subtitle: p.higher() + p.say("; one point per run", "；每点一次测试"),
		X:        chart.Axis{Title: p.say("End of the run (time as in the table)", "测试结束时间（按表中时间）"), Time: true},
		Y:        chart.Axis{Title: p.say("Input + output (tok/s)", "输入 + 输出 (tok/s)"), Zero: true},
		Layers:   layers,
		Empty:    p.missing("total_token_throughput", "date"),
	}
}

// heat is a map of a figure over input length and concurrency, the mean where several configurations meet in a cell.
func (p pictures) heat(title string, unit string, figure func(cell) (spread, bool)) (chart.Heat, chart.Axis, chart.Axis) {
	lengths, levels := p.distinct(func(c cell) float64 { return c.in }), p.levels()
	h := chart.Heat{Title: title}
	var tips [][]string
	for _, length := range lengths {
		row, tip := []float64{}, []string{}
		for _, level := range levels {
			var values []float64
			for _, c := range p.cells {
				if v, ok := figure(c); ok && c.in == length && c.concurrency == level {
					values = append(values, v.mean)
				}
			}
			mean := math.NaN()
			if s, ok := spreadOfValues(values); ok {
				mean = s.mean
			}
			row = append(row, mean)
			tip = append(tip, fmt.Sprintf(p.say("%s tokens in, concurrency %s\n%s %s (n = %d configurations)", "输入 %s tokens，并发 %s\n%s %s（n = %d 种配置）"),
				known(length), known(level), chart.Format(mean), unit, len(values)))
		}
		h.Values, tips = append(h.Values, row), append(tips, tip)
	}
	h.Tip = func(r, c int) string { return tips[r][c] }
	return h, chart.Axis{Title: p.inFlight(), Categories: categories(levels)},
		chart.Axis{Title: p.say("Input length (tokens)", "输入长度 (tokens)"), Categories: categories(lengths)}
}

func (p pictures) efficiencyMap() chart.Panel {
	h, x, y := p.heat(p.say("tok/s per request", "每请求 tok/s"), "tok/s", perRequestInFlight)
	return chart.Panel{
		Title:    p.say("Efficiency: output throughput per request in flight", "效率：每个并发请求的输出吞吐量"),
		Subtitle: p.higher() + p.say("; darker is more", "；颜色越深越高"),
		X:        x, Y: y, Layers: []chart.Layer{h},
		Empty: p.missing("output_throughput", "input_len", "max_concurrency"),
	}
}

func (p pictures) throughputMap() chart.Panel {
	h, x, y := p.heat(p.say("Output (tok/s)", "输出 (tok/s)"), "tok/s", column("output_throughput"))
	return chart.Panel{
		Title:    p.say("Output throughput by input length and concurrency", "输出吞吐量热力图"),
		Subtitle: p.higher() + p.say("; darker is more", "；颜色越深越高"),
		X:        x, Y: y, Layers: []chart.Layer{h},
		Empty: p.missing("output_throughput", "input_len", "max_concurrency"),
	}
}
