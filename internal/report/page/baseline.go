package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/report/chart"
	"lab/store"
)

// BaselineView is what a page of a baseline's history is made of.
type BaselineView struct {
	Lang     string
	Lab      string           // version of the program that makes the page
	Captures []store.Baseline // of this name, oldest first
	Runs     []lab.Sealed     // the valid ones of the baseline, as store.Standing names it; one at least
	History  compare.History
	Checks   []report.Gate // oldest first
}

// baselinePage is a page of a baseline while it is made.
type baselinePage struct {
	words
	BaselineView
	standing store.Baseline
	partial  *store.Baseline // the last capture, where it is not whole
	scale    float64         // of the figure to unit
	unit     string
}

// Baseline makes the page of a baseline: its values over time, and what was checked against it.
func Baseline(v BaselineView) Document {
	p := baselinePage{words: words{v.Lang}, BaselineView: v, scale: 1, unit: v.History.Unit}
	if p.unit == "s" {
		p.scale, p.unit = 1e3, "ms"
	}
	name := v.Captures[0].Name
	p.standing, p.partial = store.Standing(v.Captures, name)
	d := Document{Title: p.Say("Baseline ", "基线 ") + name, Subtitle: v.Runs[0].Run.Experiment.Name + " · " + serverOf(v.Runs[0].Run), Lang: v.Lang, Lab: v.Lab}
	d.add(v.Lang, "overview", p.Say("Overview", "概览"), p.overview)
	d.add(v.Lang, "history", p.Say("Over time", "历史"), p.history)
	d.add(v.Lang, "changes", p.Say("What changed", "变化"), p.changes)
	d.add(v.Lang, "checks", p.Say("Checks", "检查"), p.checks)
	d.add(v.Lang, "figures", p.Say("Figures of the baseline", "基线指标"), p.figures)
	d.add(v.Lang, "runs", p.Say("Captures and runs", "采集与测试"), p.runs)
	d.add(v.Lang, "reproduce", p.Say("How to do it again", "如何复现"), p.reproduce)
	d.Data = append(d.Data,
		data("data-history", p.Say("History (lab baseline history --json)", "历史 (lab baseline history --json)"), "history-"+name+".json", func(out *bytes.Buffer) error { return report.HistoryJSON(out, name, v.History) }),
		data("data-baseline", p.Say("The capture", "采集"), "baseline-"+name+".json", func(out *bytes.Buffer) error { return report.BaselineJSON(out, p.standing, v.Runs) }))
	if len(v.Checks) > 0 {
		d.Data = append(d.Data, data("data-checks", p.Say("Verdicts of the checks", "检查判定"), "checks-"+name+".json", p.verdicts))
	}
	return d
}

// written is a value of the history with its unit.
func (p baselinePage) written(v float64) string { return chart.Format(v*p.scale) + " " + p.unit }

func (p baselinePage) overview(b *Body) {
	changes := 0
	var latest compare.Point
	for _, point := range p.History.Points {
		if point.Change != 0 {
			changes, latest = changes+1, point
		}
	}
	banner := Banner{Kind: "good", Word: p.Say("No lasting change", "没有持续变化"), Text: fmt.Sprintf(p.Say("%s over %d valid runs of this configuration", "%s，此配置 %d 次有效测试"), report.Title(p.History.Metric), len(p.History.Points))}
	if changes > 0 {
		banner.Kind, banner.Word = "unsure", fmt.Sprintf(p.Say("Changed for good: %+.1f %% since %s", "持续变化：自 %[2]s 起 %+.1[1]f %%"), latest.Change*100, report.Moment(latest.At))
	}
	if need := 6; len(p.History.Points) < need && changes == 0 {
		banner.Kind, banner.Word = "plain", fmt.Sprintf(p.Say("Too few runs to see a change: %d, 6 are needed", "测试太少，无法判断变化：%d 次，至少需要 6 次"), len(p.History.Points))
	}
	b.Banner(banner)
	p.tellPartial(b)
	name := p.Say("Baseline, ", "基线，")
	switch {
	case p.standing.Whole():
	case p.standing.Going:
		name = p.Say("So far, ", "迄今，")
	default:
		name = p.Say("Broken off, ", "中断的采集，")
	}
	var tiles []Tile
	for _, g := range p.History.Groups {
		if g.ID == p.standing.ID {
			tile := Tile{Name: name + report.Title(p.History.Metric), Value: p.written(g.Mean), Note: fmt.Sprintf("n = %d", g.N)}
			if g.Low != nil {
				tile.Note = fmt.Sprintf(p.Say("%s to %s (95 %%), n = %d", "%s 至 %s (95 %%)，n = %d"), p.written(*g.Low), p.written(*g.High), g.N)
			}
			tiles = append(tiles, tile)
		}
	}
	if n := len(p.Checks); n > 0 {
		v := p.Checks[n-1].Verdict
		word, kind := p.call(v)
		tiles = append(tiles, Tile{Name: p.Say("Last check", "最近检查"), Value: word, Change: p.outcome(p.Checks[n-1]), Kind: kind, Note: v.Plan.B.Name + ", " + report.Moment(v.Plan.Made)})
	}
	tiles = append(tiles,
		Tile{Name: p.Say("Captures", "采集次数"), Value: fmt.Sprint(len(p.Captures))},
		Tile{Name: p.Say("Checks", "检查次数"), Value: fmt.Sprint(len(p.Checks))},
		Tile{Name: p.Say("Changes of machine or vLLM", "机器或 vLLM 变化"), Value: fmt.Sprint(len(p.History.Drifts))})
	b.Tiles(tiles)
	b.Parts("", report.Of(report.BaselineParts(p.standing, p.Runs), report.OfFacts))
}

// tellPartial says that the last capture is not the baseline yet, and what is.
func (p baselinePage) tellPartial(b *Body) {
	if p.partial == nil {
		return
	}
	text := fmt.Sprintf(p.Say("the last capture, %s, goes on: %d of %d runs are made, and until it is whole nothing is checked against this name.",
		"最近一次采集 %s 正在进行：已完成 %d / %d 次测试，完成前不能对此名称进行检查。"), p.partial.ID, len(p.partial.Valid()), p.partial.Capture.Runs)
	if !p.partial.Going {
		text = p.brokenOff()
	}
	if p.standing.Whole() {
		text += fmt.Sprintf(p.Say(" This page is of the whole one before it, %s.", "本页为此前完整的采集 %s。"), p.standing.ID)
	}
	b.Parts("", []report.Part{{Label: "warning", Text: text}})
}

func (p baselinePage) brokenOff() string {
	return fmt.Sprintf(p.Say("the last capture, %s, was broken off after %d of %d runs: lab baseline set %s --resume makes the others, and until then nothing is checked against this name.",
		"最近一次采集 %s 在 %d / %d 次测试后中断：lab baseline set %s --resume 补足其余测试，此前不能对此名称进行检查。"),
		p.partial.ID, len(p.partial.Valid()), p.partial.Capture.Runs, p.partial.Name)
}

// history draws every run by its number and the groups by their day.
func (p baselinePage) history(b *Body) {
	if len(p.History.Points) == 0 {
		return
	}
	b.Figures(p.byRun(), p.byTime())
	b.Note(p.Say("A change is marked where the runs before and after it differ by 5 % at least and by chance with a probability under 0.001, as docs/statistics.md says. An interval is of the mean over the runs that were made together (95 %, Student's t on logarithms); a single run has none.",
		"当前后测试之差至少 5 %，且偶然概率低于 0.001 时标记为变化，见 docs/statistics.md。区间为同组测试均值的 95 % 区间（对数，t 分布）；单次测试没有区间。"))
	t := report.Table{Head: []string{p.Say("made as", "用途"), "ID", p.Say("from", "开始"), "n", report.Title(p.History.Metric), p.Say("95 % interval", "95 % 区间")}, Right: map[int]bool{3: true, 4: true, 5: true}}
	for _, g := range p.History.Groups {
		interval := "-"
		if g.Low != nil {
			interval = chart.Format(*g.Low*p.scale) + p.Say(" to ", " 至 ") + p.written(*g.High)
		}
		t.Rows = append(t.Rows, []string{p.kind(g.Kind), g.ID, report.Moment(g.From), fmt.Sprint(g.N), p.written(g.Mean), interval})
	}
	b.Table(p.Say("Runs that were made together", "同组测试"), t)
}

func (p baselinePage) kind(kind string) string {
	switch kind {
	case "capture":
		return p.Say("capture", "采集")
	case "check":
		return p.Say("check", "检查")
	case "sweep":
		return p.Say("sweep", "扫描")
	case "run":
		return p.Say("run", "测试")
	}
	return kind
}

func (p baselinePage) axis() chart.Axis {
	return chart.Axis{Title: report.Title(p.History.Metric) + " (" + p.unit + ")"}
}

func (p baselinePage) sense() string {
	if p.History.Higher {
		return p.Say("higher is better", "越高越好")
	}
	return p.Say("lower is better", "越低越好")
}

// byRun draws the runs one after the other: those that were made together shaded, changes as upright lines.
func (p baselinePage) byRun() chart.Figure {
	dots := chart.Series{Name: p.Say("run", "测试"), Style: 0, Draw: chart.Dots}
	bands := chart.Bands{Quiet: true}
	var rules []chart.Layer
	for i, point := range p.History.Points {
		x := float64(i + 1)
		dots.Points = append(dots.Points, chart.Point{X: x, Y: point.Value * p.scale, Tip: fmt.Sprintf("%s\n%s, %s\n%s", point.Run, p.kind(point.Kind), report.Moment(point.At), p.written(point.Value))})
		if i == 0 || p.History.Points[i-1].Of != point.Of {
			bands.Bands = append(bands.Bands, chart.Band{From: x - 0.5, To: x + 0.5, Name: p.kind(point.Kind)})
		} else {
			bands.Bands[len(bands.Bands)-1].To = x + 0.5
		}
		if point.Change != 0 {
			rules = append(rules, chart.Rule{Name: fmt.Sprintf(p.Say("change %+.1f %%", "变化 %+.1f %%"), point.Change*100), X: true, At: x - 0.5, Style: 1})
		}
	}
	alternating := chart.Bands{Quiet: true} // every other group, so that neighbours can be told apart
	for i, band := range bands.Bands {
		if i%2 == 0 {
			alternating.Bands = append(alternating.Bands, band)
		}
	}
	n := float64(len(p.History.Points))
	panel := chart.Panel{Title: p.Say("Run by run", "逐次测试"), Subtitle: p.sense() + p.Say("; shaded by turns: runs that were made together", "；交替底色：同组测试"),
		X: chart.Axis{Title: p.Say("Run, in order of time", "测试序号（按时间）"), Whole: true, Min: 0.5, Max: n + 0.5}, Y: p.axis(), Layers: append([]chart.Layer{alternating, dots}, rules...)}
	return chart.Figure{ID: "by-run", Panels: []chart.Panel{panel}}
}

// byTime draws the means of what was made together, with their intervals.
func (p baselinePage) byTime() chart.Figure {
	line := chart.Series{Name: p.Say("mean, 95 % interval", "均值，95 % 区间"), Style: 2}
	for _, g := range p.History.Groups {
		middle := float64(g.From.Unix()+g.To.Unix()) / 2
		point := chart.Point{X: middle, Y: g.Mean * p.scale, Tip: fmt.Sprintf("%s %s\n%s (n = %d)", p.kind(g.Kind), g.ID, p.written(g.Mean), g.N)}
		if g.Low != nil {
			point.Low, point.High = *g.Low*p.scale, *g.High*p.scale
		}
		line.Points = append(line.Points, point)
	}
	panel := chart.Panel{Title: p.Say("Over time", "随时间"), Subtitle: p.sense() + p.Say("; a point: the runs that were made together", "；每点：同组测试"), X: chart.Axis{Title: p.Say("Time (UTC)", "时间 (UTC)"), Time: true}, Y: p.axis(), Layers: []chart.Layer{line}}
	return chart.Figure{ID: "by-time", Panels: []chart.Panel{panel}}
}

func (p baselinePage) changes(b *Body) {
	t := report.Table{Head: []string{p.Say("from run", "自测试"), p.Say("when", "时间"), p.Say("change", "变化"), ""}, Right: map[int]bool{2: true}}
	for _, point := range p.History.Points {
		if point.Change == 0 {
			continue
		}
		word := p.Say("worse", "变差")
		if (point.Change > 0) == p.History.Higher {
			word = p.Say("better", "变好")
		}
		t.Rows = append(t.Rows, []string{point.Run, report.Moment(point.At), signedPercent(point.Change), word})
	}
	b.Table(p.Say("Lasting changes", "持续变化"), t)
	d := report.Table{Head: []string{p.Say("what", "项目"), p.Say("was", "之前"), p.Say("is", "之后"), p.Say("until run", "直到测试"), p.Say("from run", "自测试"), p.Say("when", "时间")}}
	for _, drift := range p.History.Drifts {
		d.Rows = append(d.Rows, []string{drift.Fact, drift.Was, drift.Is, drift.From, drift.To, report.Moment(drift.At)})
	}
	b.Table(p.Say("Of the machine and of vLLM", "机器与 vLLM"), d)
	if b.Empty() {
		b.Text(p.Say("Neither the figure nor the fingerprint of machine and vLLM changed over these runs.", "这些测试中，指标以及机器与 vLLM 的指纹均无变化。"))
	}
}

// call is the word of a verdict, and its kind. Before the first look there is none.
func (p baselinePage) call(v lab.Verdict) (word, kind string) {
	if v.Look.Number == 0 {
		return p.Say("not decided yet", "尚未判定"), "plain"
	}
	kinds := map[lab.Call]string{lab.Better: "good", lab.NoDifference: "good", lab.Worse: "bad", lab.TradeOff: "bad"}
	if kind = kinds[v.Call]; kind == "" {
		kind = "unsure"
	}
	return strings.ToUpper(strings.ReplaceAll(string(v.Call), "-", " ")), kind
}

// outcome is that of a check's own rule: no harm as large as the margin.
func (p baselinePage) outcome(g report.Gate) string {
	if len(g.Rulings) == 0 || g.Verdict.Look.Number == 0 {
		return ""
	}
	return p.Say("gate: ", "门禁：") + string(g.Rulings[0].Outcome)
}

func (p baselinePage) checks(b *Body) {
	t := report.Table{Head: []string{p.Say("check", "检查"), p.Say("when", "时间"), p.Say("of", "对象"), p.Say("call", "判定"), p.Say("gate", "门禁"), p.Say("B against A", "B 相对 A"), p.Say("interval", "区间"), p.Say("pairs", "配对"), p.Say("margin", "容差")},
		Right: map[int]bool{5: true, 6: true, 7: true, 8: true}}
	for _, g := range p.Checks {
		v := g.Verdict
		word, _ := p.call(v)
		change, interval, gate := "-", "-", "-"
		if v.Look.Number > 0 {
			change, interval = report.Change(v.Primary), report.Interval(v.Primary)
		}
		if len(g.Rulings) > 0 && v.Look.Number > 0 {
			gate = string(g.Rulings[0].Outcome)
		}
		t.Rows = append(t.Rows, []string{v.Plan.ID, report.Moment(v.Plan.Made), v.Plan.B.Name, word, gate, change, interval, fmt.Sprint(v.Look.Pairs), fmt.Sprintf("%g %%", math.Round(v.Plan.Margin*1e4)/100)})
	}
	b.Table(p.Say("Checks against this baseline: A is the baseline's configuration, run anew in turn with B", "对此基线的检查：A 为基线配置，与 B 交替重新测试"), t)
	if b.Empty() {
		b.Text(p.Say("No check was made in turn yet: lab baseline check ", "尚无交替检查：lab baseline check ") + p.standing.Name + " FILE")
		return
	}
	b.Note(p.Say("The whole verdict of a check: lab report ID, or lab show ID.", "检查的完整判定：lab report ID 或 lab show ID。"))
}

func (p baselinePage) figures(b *Body) {
	b.Parts(p.Say("Over the runs of this capture: geometric mean, and standard deviation from run to run", "此次采集：几何均值与测试间标准差"), report.Of(report.BaselineParts(p.standing, p.Runs), report.OfFigures))
}

func (p baselinePage) runs(b *Body) {
	t := report.Table{Head: []string{p.Say("capture", "采集"), p.Say("when", "时间"), p.Say("valid runs", "有效测试"), p.Say("planned", "计划"), ""}, Right: map[int]bool{2: true, 3: true}}
	for _, c := range p.Captures {
		state := p.Say("the baseline", "当前基线")
		switch {
		case !c.Whole() && c.Going:
			state = p.Say("goes on", "进行中")
		case !c.Whole():
			state = p.Say("broken off", "中断")
		case c.ID != p.standing.ID:
			state = p.Say("replaced since", "已被替换")
		}
		t.Rows = append(t.Rows, []string{c.ID, report.Moment(c.Runs[0].Started), fmt.Sprint(len(c.Valid())), fmt.Sprint(c.Capture.Runs), state})
	}
	b.Table(p.Say("Captures of this name", "此名称的采集"), t)
	b.Details(fmt.Sprintf(p.Say("All %d runs of the history", "历史中的全部 %d 次测试"), len(p.History.Points)), func(b *Body) {
		b.Parts(p.Say("Runs of the history", "历史测试"), report.Of(report.HistoryParts(p.History), report.OfFigures))
	})
}

func (p baselinePage) reproduce(b *Body) {
	name := p.standing.Name
	b.Code(p.Say("Check a configuration against this baseline, with fresh runs of both", "将某配置与此基线比较（两者都重新测试）"), "lab baseline check "+name+" FILE")
	b.Code(p.Say("Capture it anew, with the file below", "用下方文件重新采集"), typed("lab", "baseline", "set", name, "baseline.yaml", "--runs", fmt.Sprint(p.standing.Capture.Runs)))
	for _, line := range commandLines(p.Runs) {
		b.Code(p.Say("The server of this capture was started with", "此次采集的服务端启动命令"), line)
	}
	b.experimentFile("baseline.yaml", p.Runs[0].Run.Experiment)
}

// verdicts writes those of the checks, each as `lab show --json` prints it.
func (p baselinePage) verdicts(out *bytes.Buffer) error {
	all := []json.RawMessage{}
	for _, g := range p.Checks {
		var one bytes.Buffer
		if err := report.VerdictJSON(&one, g); err != nil {
			return err
		}
		all = append(all, one.Bytes())
	}
	return json.NewEncoder(out).Encode(all)
}
