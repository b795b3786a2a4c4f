package report

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"strings"

	"lab/internal/report/chart"

	"charm.land/lipgloss/v2"
)

// limits are the bounds of the kit's rating table, in milliseconds.
type limits struct {
	name, column               string
	excellent, good, tolerable float64
}

var ratings = []limits{
	{"TTFT", "mean_ttft_ms", 100, 200, 500},
	{"TPOT", "mean_tpot_ms", 20, 40, 80},
}

// rating is the word for a latency.
func (p pictures) rating(l limits, v float64) string {
	switch {
	case v < l.excellent:
		return p.say("excellent", "优秀")
	case v < l.good:
		return p.say("good", "良好")
	case v < l.tolerable:
		return p.say("acceptable", "可接受")
	}
	return p.say("needs work", "需优化")
}

// best names the configuration that leads in a figure, with its value, and says where others cannot be told from it;
// "" where nobody has the figure.
func (p pictures) best(column, unit string, higher bool) string {
	ranked := p.ranked(column, higher)
	if len(ranked) == 0 {
		return ""
	}
	v, _ := spreadOf(ranked[0].rows, column)
	text := p.names.cell(ranked[0]) + "  " + v.text(unit)
	close := 0
	for _, c := range ranked[1:] {
		if w, _ := spreadOf(c.rows, column); math.Abs(v.mean-w.mean) <= v.sd+w.sd {
			close++
		}
	}
	if close > 0 {
		text += fmt.Sprintf(p.say("; error bars overlap with those of %d more", "；与另外 %d 种配置的误差线重叠"), close)
	}
	return text
}

// pair is a line of two columns.
type pair struct{ name, value string }

// averages are the means over all runs, as the kit's report gives them.
func (p pictures) averages() []pair {
	var pairs []pair
	for _, m := range []struct {
		column, english, chinese, unit string
		scale                          float64
	}{
		{"output_throughput", "mean output throughput", "平均输出吞吐量", "tok/s", 1},
		{"total_token_throughput", "mean total token throughput", "平均总吞吐量", "tok/s", 1},
		{"request_throughput", "mean request throughput", "平均请求吞吐量", "req/s", 1},
		{"mean_ttft_ms", "mean TTFT", "平均 TTFT", "ms", 1},
		{"mean_tpot_ms", "mean TPOT", "平均 TPOT", "ms", 1},
		{"mean_itl_ms", "mean ITL", "平均 ITL", "ms", 1},
		{"mean_e2el_ms", "mean E2EL", "平均 E2EL", "s", 1e-3},
	} {
		if s, ok := spreadOf(p.table.rows, m.column); ok {
			pairs = append(pairs, pair{p.say(m.english, m.chinese), fmt.Sprintf("%s %s (n = %d)", chart.Format(s.mean*m.scale), m.unit, s.n)})
		}
	}
	return pairs
}

// leaders are the best configurations.
func (p pictures) leaders() []pair {
	var pairs []pair
	for _, m := range []struct {
		column, english, chinese, unit string
		higher                         bool
	}{
		{"output_throughput", "highest output throughput", "最高输出吞吐量", "tok/s", true},
		{"mean_ttft_ms", "lowest mean TTFT", "最低平均 TTFT", "ms", false},
		{"mean_tpot_ms", "lowest mean TPOT", "最低平均 TPOT", "ms", false},
	} {
		value := cmp.Or(p.best(m.column, m.unit, m.higher), p.say("no data: ", "无数据：")+m.column)
		pairs = append(pairs, pair{p.say(m.english, m.chinese), value})
	}
	return pairs
}

// configurations is the table of all of them: figures and ratings.
func (p pictures) configurations() (head []string, rows [][]string) {
	head = []string{p.say("configuration", "配置"), p.say("runs", "次数"), p.say("output tok/s", "输出 tok/s"), "TTFT ms", p.say("rating", "评级"), "TPOT ms", p.say("rating", "评级"), "E2EL s"}
	for _, c := range p.cells {
		row := []string{p.names.cell(c), fmt.Sprint(len(c.rows)), p.figureOf(c, "output_throughput", 1)}
		for _, l := range ratings {
			word := "-"
			if s, ok := spreadOf(c.rows, l.column); ok {
				word = p.rating(l, s.mean)
			}
			row = append(row, p.figureOf(c, l.column, 1), word)
		}
		rows = append(rows, append(row, p.figureOf(c, "mean_e2el_ms", 1e-3)))
	}
	return head, rows
}

func (p pictures) figureOf(c cell, column string, scale float64) string {
	s, ok := spreadOf(c.rows, column)
	if !ok {
		return "-"
	}
	return s.times(scale).plain()
}

// bounds explains the words of the rating.
func (p pictures) bounds() []pair {
	var pairs []pair
	for _, l := range ratings {
		pairs = append(pairs, pair{l.name, fmt.Sprintf(p.say("excellent < %[1]g ms, good < %[2]g ms, acceptable < %[3]g ms, else needs work",
			"优秀 < %[1]g ms，良好 < %[2]g ms，可接受 < %[3]g ms，其余需优化"), l.excellent, l.good, l.tolerable)})
	}
	return pairs
}

// text is performance_report.txt.
func (p pictures) text() []byte {
	var b bytes.Buffer
	section := func(title string) {
		fmt.Fprintf(&b, "\n%s\n%s\n", title, strings.Repeat("-", lipgloss.Width(title)))
	}
	title := p.say("Performance report", "性能报告")
	fmt.Fprintf(&b, "%s\n%s\n%s\n", title, strings.Repeat("=", lipgloss.Width(title)), p.subtitle())
	for _, note := range p.leftOut() {
		fmt.Fprintln(&b, note)
	}
	section(p.say("Over all runs", "总体均值"))
	writePairs(&b, p.averages())
	section(p.say("Best configuration", "最佳配置"))
	writePairs(&b, p.leaders())
	section(p.say("Configurations (mean ± sd over repeats)", "各配置（重复测试的均值 ± 标准差）"))
	head, rows := p.configurations()
	writeTable(&b, append([][]string{head}, rows...))
	section(p.say("What the ratings mean (by the mean)", "评级标准（按均值）"))
	writePairs(&b, p.bounds())
	return b.Bytes()
}

func writePairs(b *bytes.Buffer, pairs []pair) {
	rows := make([][]string, len(pairs))
	for i, p := range pairs {
		rows[i] = []string{p.name, p.value}
	}
	writeTable(b, rows)
}

// writeTable sets columns below each other, also with Chinese, whose characters are two columns wide.
func writeTable(b *bytes.Buffer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], lipgloss.Width(text))
		}
	}
	for _, row := range rows {
		line := ""
		for i, text := range row {
			line += text + strings.Repeat(" ", widths[i]-lipgloss.Width(text)+2)
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}
