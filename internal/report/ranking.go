package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"lab/internal/report/chart"
)

// ranking lists the ten configurations with the highest throughput.
func (p pictures) ranking() chart.Panel {
	ranked := p.ranked("output_throughput", true)
	ranked = ranked[:min(len(ranked), 10)]
	bars := chart.Bars{Style: 0}
	axis := chart.Axis{}
	for _, c := range ranked {
		v, _ := spreadOf(c.rows, "output_throughput")
		bar := chart.Bar{Value: v.mean, Low: v.mean - v.sd, High: v.mean + v.sd, Label: chart.Format(v.mean), Tip: p.names.cell(c) + "\n" + v.text("tok/s")}
		if ttft, ok := spreadOf(c.rows, "mean_ttft_ms"); ok {
			bar.Label += " · TTFT " + chart.Format(ttft.mean) + " ms"
			bar.Tip += "\nTTFT " + ttft.text("ms")
		}
		bars.Bars = append(bars.Bars, bar)
		axis.Categories = append(axis.Categories, p.names.cell(c))
	}
	title := fmt.Sprintf(p.say("Top %d by output throughput", "输出吞吐量前 %d 名"), len(ranked))
	return chart.Panel{
		Title:    title,
		Subtitle: p.higher() + p.say("; beside each its mean TTFT", "；旁注平均 TTFT"),
		X:        chart.Axis{Title: p.say("Output throughput (tok/s)", "输出吞吐量 (tok/s)")},
		Y:        axis,
		Layers:   []chart.Layer{bars},
		Empty:    p.missing("output_throughput"),
	}
}

// ranked sorts the cells that have a figure, best first.
func (p pictures) ranked(column string, descending bool) []cell {
	means := map[string]float64{}
	var ranked []cell
	for _, c := range p.cells {
		if v, ok := spreadOf(c.rows, column); ok {
			means[p.key(c)] = v.mean
			ranked = append(ranked, c)
		}
	}
	slices.SortStableFunc(ranked, func(a, b cell) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(means[p.key(a)], means[p.key(b)])
	})
	return ranked
}

// key tells any two cells apart.
func (p pictures) key(c cell) string { return fmt.Sprint(c.shape, c.concurrency) }

// correlated are the figures of a run whose correlation is shown, with the names a picture has room for.
var correlated = []struct{ column, english, chinese string }{
	{"max_concurrency", "concurrency", "并发数"}, {"input_len", "input", "输入长度"}, {"output_len", "output", "输出长度"},
	{"request_throughput", "req/s", "req/s"}, {"output_throughput", "tok/s", "tok/s"}, {"mean_ttft_ms", "TTFT", "TTFT"},
	{"mean_tpot_ms", "TPOT", "TPOT"}, {"mean_e2el_ms", "E2EL", "E2EL"},
}

// fewestForCorrelation: with fewer runs, any two figures seem to go together.
const fewestForCorrelation = 5

func (p pictures) correlation() chart.Panel {
	var shown, labels []string
	for _, m := range correlated {
		if p.missing(m.column) == "" {
			shown = append(shown, m.column)
			labels = append(labels, p.say(m.english, m.chinese))
		}
	}
	h := chart.Heat{Title: p.say("Rank correlation", "秩相关系数"), Diverging: true}
	var pairs [][]int
	for _, a := range shown {
		row, n := []float64{}, []int{}
		for _, b := range shown {
			r, count := p.spearman(a, b)
			row, n = append(row, r), append(n, count)
		}
		h.Values, pairs = append(h.Values, row), append(pairs, n)
	}
	h.Tip = func(r, c int) string {
		return fmt.Sprintf("%s × %s: %s (n = %d)", labels[r], labels[c], chart.Format(math.Round(h.Values[r][c]*100)/100), pairs[r][c])
	}
	why := ""
	if len(p.table.rows) < fewestForCorrelation {
		why = fmt.Sprintf(p.say("no data: a correlation needs at least %d runs", "无数据：相关性至少需要 %d 次测试"), fewestForCorrelation)
	}
	return chart.Panel{
		Title:    p.say("Correlation of the figures", "指标相关性"),
		Subtitle: p.say("Spearman's rank correlation over all runs; 1: rise together, −1: one falls as the other rises", "全部测试的 Spearman 秩相关；1：同升，−1：一升一降"),
		X:        chart.Axis{Categories: labels}, Y: chart.Axis{Categories: labels},
		Layers: []chart.Layer{h},
		Empty:  why,
	}
}

// spearman is the correlation of the ranks of two columns; NaN where one does not vary.
func (p pictures) spearman(a, b string) (float64, int) {
	var x, y []float64
	for _, r := range p.table.rows {
		v, ok := r.number(a)
		w, also := r.number(b)
		if ok && also {
			x, y = append(x, v), append(y, w)
		}
	}
	x, y = ranks(x), ranks(y)
	mean := float64(len(x)+1) / 2
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mean) * (y[i] - mean)
		xx += (x[i] - mean) * (x[i] - mean)
		yy += (y[i] - mean) * (y[i] - mean)
	}
	return xy / math.Sqrt(xx*yy), len(x) // 0/0 is NaN
}

// ranks numbers values from 1; equal ones share the mean of their places.
func ranks(values []float64) []float64 {
	sorted := slices.Sorted(slices.Values(values))
	out := make([]float64, len(values))
	for i, v := range values {
		first, _ := slices.BinarySearch(sorted, v)
		last := first
		for last < len(sorted) && sorted[last] == v {
			last++
		}
		out[i] = float64(first+1+last) / 2
	}
	return out
}
