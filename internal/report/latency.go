package report

import (
	"fmt"
	"math"
	"slices"

	"lab/internal/report/chart"
)

func (p pictures) latency() chart.Figure {
	return p.figure("latency", p.say("Latency", "延迟分析"),
		p.ttftHistogram(), p.tpotByConcurrency(), p.latencyParts(), p.e2elByOutput())
}

func (p pictures) ttftHistogram() chart.Panel {
	values := p.values("mean_ttft_ms", all)
	h := chart.Histogram{Style: 0, Values: values, Tip: func(from, to float64, n int) string {
		return fmt.Sprintf(p.say("%s to %s ms: %d runs", "%s 至 %s ms：%d 次测试"), chart.Format(from), chart.Format(to), n)
	}}
	layers := []chart.Layer{h}
	if s, ok := spreadOfValues(values); ok {
		sorted := slices.Sorted(slices.Values(values))
		median := (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
		layers = append(layers,
			chart.Rule{Name: fmt.Sprintf(p.say("mean %s ms", "均值 %s ms"), chart.Format(s.mean)), X: true, At: s.mean, Style: 1},
			chart.Rule{Name: fmt.Sprintf(p.say("median %s ms", "中位数 %s ms"), chart.Format(median)), X: true, At: median, Style: 2})
	}
	return chart.Panel{
		Title:    p.say("Mean time to first token (TTFT)", "平均首 token 延迟 (TTFT) 分布"),
		Subtitle: p.lower() + "; " + p.runs(),
		X:        chart.Axis{Title: p.say("Mean TTFT of a run (ms)", "每次测试的平均 TTFT (ms)")},
		Y:        chart.Axis{Title: p.say("Runs", "测试次数"), Whole: true},
		Layers:   layers,
		Empty:    p.missing("mean_ttft_ms"),
	}
}

func (p pictures) tpotByConcurrency() chart.Panel {
	names, groups := p.groups("mean_tpot_ms", "ms", p.levels(), func(c cell) float64 { return c.concurrency }, p.say("concurrency %s: mean %s", "并发 %s：均值 %s"))
	return chart.Panel{
		Title:    p.say("Time per output token (TPOT) by concurrency", "每 token 延迟 (TPOT) 与并发数"),
		Subtitle: p.lower() + p.say("; one point per run; thick line: median", "；每点一次测试；粗线：中位数"),
		X:        chart.Axis{Title: p.inFlight(), Categories: names},
		Y:        chart.Axis{Title: p.say("Mean TPOT of a run (ms)", "每次测试的平均 TPOT (ms)"), Zero: true},
		Layers:   []chart.Layer{chart.Violins{Style: 2, Groups: groups}},
		Empty:    p.missing("mean_tpot_ms", "max_concurrency"),
	}
}

// latencyParts sets TTFT, TPOT and ITL side by side. They differ by orders of magnitude: hence points on a log axis, for
// bars on one would have lengths that mean nothing.
func (p pictures) latencyParts() chart.Panel {
	levels := p.levels()
	var layers []chart.Layer
	why := p.missing("max_concurrency")
	columns := 0
	for i, m := range []struct{ title, column string }{{"TTFT", "mean_ttft_ms"}, {"TPOT", "mean_tpot_ms"}, {"ITL", "mean_itl_ms"}} {
		if p.missing(m.column) != "" {
			continue
		}
		columns++
		line := chart.Series{Name: m.title, Style: chart.Style(i)}
		for k, level := range levels {
			s, ok := spreadOfValues(p.values(m.column, func(c cell) bool { return c.concurrency == level }))
			if ok {
				line.Points = append(line.Points, s.point(float64(k)+0.14*float64(i-1),
					fmt.Sprintf(p.say("%s, concurrency %s\nmean %s", "%s，并发 %s\n均值 %s"), m.title, known(level), s.text("ms"))))
			}
		}
		layers = append(layers, line)
	}
	if columns == 0 {
		why = p.missing("mean_ttft_ms")
	}
	return chart.Panel{
		Title:    p.say("Mean TTFT, TPOT and ITL by concurrency", "平均 TTFT、TPOT、ITL 与并发数"),
		Subtitle: p.lower() + p.say("; log scale; mean and ± 1 sd over all runs at a concurrency", "；对数坐标；同一并发数全部测试的均值与 ±1 标准差"),
		X:        chart.Axis{Title: p.inFlight(), Categories: categories(levels)},
		Y:        chart.Axis{Title: p.say("Latency (ms)", "延迟 (ms)"), Log: true},
		Layers:   layers,
		Empty:    why,
	}
}

func (p pictures) e2elByOutput() chart.Panel {
	var layers []chart.Layer
	for i, level := range p.levels() {
		dots := chart.Series{Name: p.say("concurrency ", "并发 ") + known(level), Style: chart.Style(i), Draw: chart.Dots}
		for _, c := range p.cells {
			if v, ok := spreadOf(c.rows, "mean_e2el_ms"); ok && c.concurrency == level && c.out > 0 {
				dots.Points = append(dots.Points, v.times(1e-3).point(c.out, p.names.cell(c)+"\n"+v.times(1e-3).text("s")))
			}
		}
		layers = append(layers, dots)
	}
	return chart.Panel{
		Title:    p.say("End-to-end latency (E2EL) by output length", "端到端延迟 (E2EL) 与输出长度"),
		Subtitle: p.lower() + p.say("; log scale", "；对数坐标"),
		X:        ladder(p.say("Output length (tokens)", "输出长度 (tokens)"), p.distinct(func(c cell) float64 { return c.out })),
		Y:        chart.Axis{Title: p.say("Mean E2EL (s)", "平均 E2EL (s)"), Log: true},
		Layers:   layers,
		Empty:    p.missing("mean_e2el_ms", "output_len", "max_concurrency"),
	}
}

func (p pictures) ttftByConcurrency() chart.Panel {
	return chart.Panel{
		Title:    p.say("Mean time to first token (TTFT) by concurrency", "平均首 token 延迟 (TTFT) 与并发数"),
		Subtitle: p.lower() + p.say("; log scale", "；对数坐标"),
		X:        p.concurrencyAxis(),
		Y:        chart.Axis{Title: p.say("Mean TTFT (ms)", "平均 TTFT (ms)"), Log: true},
		Layers:   p.byConcurrency("ms", column("mean_ttft_ms")),
		Empty:    p.missing("mean_ttft_ms", "max_concurrency"),
	}
}

// tradeOff shows what throughput costs in latency: up and to the left is better.
func (p pictures) tradeOff() chart.Panel {
	var layers []chart.Layer
	for i, s := range p.shapes() {
		line := chart.Series{Name: p.names.shape(s), Style: chart.Style(i)}
		for _, c := range p.cells {
			latency, a := spreadOf(c.rows, "mean_tpot_ms")
			throughput, b := spreadOf(c.rows, "output_throughput")
			if a && b && c.shape == s && !math.IsNaN(latency.mean) {
				line.Points = append(line.Points, throughput.point(latency.mean,
					p.names.cell(c)+"\n"+throughput.text("tok/s")+"\nTPOT "+latency.text("ms")))
			}
		}
		layers = append(layers, line)
	}
	return chart.Panel{
		Title:    p.say("Throughput against time per output token", "吞吐量与每 token 延迟的权衡"),
		Subtitle: p.say("up and to the left is better; concurrency rises along each line", "越靠左上越好；沿线并发数递增"),
		X:        chart.Axis{Title: p.say("Mean TPOT (ms)", "平均 TPOT (ms)")},
		Y:        chart.Axis{Title: p.say("Output throughput (tok/s)", "输出吞吐量 (tok/s)"), Zero: true},
		Layers:   layers,
		Empty:    p.missing("mean_tpot_ms", "output_throughput"),
	}
}
