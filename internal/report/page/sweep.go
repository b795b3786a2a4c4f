package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// SweepView is what a page of a sweep is made of.
type SweepView struct {
	Lang  string
	Lab   string // version of the program that makes the page
	Sweep lab.Sweep
	Cells []report.SweptCell // in the order of the sweep
}

// sweepPage is a page of a sweep while it is made.
type sweepPage struct {
	words
	SweepView
	figures []report.SweepFigure
	values  [][][]float64 // of a figure, of a cell: one a valid run
}

// Sweep makes the page of a sweep.
func Sweep(v SweepView) Document {
	p := sweepPage{words: words{v.Lang}, SweepView: v, figures: report.SweepFigures(v.Sweep)}
	for _, f := range p.figures {
		var of [][]float64
		for _, c := range v.Cells {
			of = append(of, c.Valid().Values(v.Sweep, f))
		}
		p.values = append(p.values, of)
	}
	d := Document{Title: p.Say("Sweep ", "扫描 ") + v.Sweep.Name, Subtitle: v.Sweep.ID + " · " + v.Sweep.File, Lang: v.Lang, Lab: v.Lab}
	d.add(v.Lang, "overview", p.Say("Overview", "概览"), p.overview)
	d.add(v.Lang, "cells", p.Say("Cells", "各单元"), p.table)
	d.add(v.Lang, "matrix", p.Say("Over the matrix", "参数矩阵"), p.matrix)
	d.add(v.Lang, "trade-off", p.Say("Trade-off", "权衡"), p.tradeOff)
	d.add(v.Lang, "ranking", p.Say("Ranking", "排名"), p.ranking)
	d.add(v.Lang, "failed", p.Say("What failed", "失败"), p.failed)
	d.add(v.Lang, "ran", p.Say("What each cell ran", "各单元的运行"), p.ran)
	d.add(v.Lang, "reproduce", p.Say("How to do it again", "如何复现"), p.reproduce)
	d.Data = append(d.Data,
		data("data-sweep", p.Say("Figures of all cells (lab sweep --json)", "全部单元的指标 (lab sweep --json)"), "sweep-"+v.Sweep.ID+".json", func(b *bytes.Buffer) error { return report.SweepJSON(b, v.Sweep, v.Cells) }),
		data("data-experiments", p.Say("Experiments of all cells", "全部单元的实验配置"), "sweep-"+v.Sweep.ID+"-experiments.json", func(b *bytes.Buffer) error { return json.NewEncoder(b).Encode(v.Sweep) }))
	return d
}

// state counts what became of the cells.
func (p sweepPage) state() (whole, doubtful, failed, unmade int) {
	for _, c := range p.Cells {
		switch complete, valid := outcomes(c); {
		case valid == p.Sweep.Repeats:
			whole++
		case complete > 0:
			doubtful++
		case len(c.Runs) > 0:
			failed++
		default:
			unmade++
		}
	}
	return whole, doubtful, failed, unmade
}

func outcomes(c report.SweptCell) (complete, valid int) {
	for _, s := range c.Runs {
		if s.Run.Outcome == lab.Complete {
			complete++
		}
		if s.Run.Valid() {
			valid++
		}
	}
	return complete, valid
}

func (p sweepPage) overview(b *Body) {
	whole, doubtful, failed, unmade := p.state()
	banner := Banner{Kind: "good", Word: fmt.Sprintf(p.Say("%d of %d cells measured", "已测 %d / %d 个单元"), whole, len(p.Cells))}
	var doubts []string
	if doubtful > 0 {
		doubts = append(doubts, fmt.Sprintf(p.Say("%d with runs that must not be judged or are missing", "%d 个单元有无效或缺失的测试"), doubtful))
		banner.Kind = "unsure"
	}
	if failed > 0 {
		doubts = append(doubts, fmt.Sprintf(p.Say("%d failed", "%d 个单元失败"), failed))
		banner.Kind = "unsure"
	}
	if unmade > 0 {
		doubts = append(doubts, fmt.Sprintf(p.Say("%d not made", "%d 个单元未测"), unmade))
		banner.Kind = "unsure"
	}
	if whole+doubtful == 0 {
		banner.Kind = "bad"
	}
	banner.Text = strings.Join(doubts, "; ")
	b.Banner(banner)
	var tiles []Tile
	for i, f := range p.figures {
		if tile, ok := p.best(i, f); ok {
			tiles = append(tiles, tile)
		}
	}
	if tile, ok := p.withinLimits(); ok {
		tiles = append(tiles, tile)
	}
	runs := 0
	for _, c := range p.Cells {
		runs += len(c.Runs)
	}
	tiles = append(tiles, Tile{Name: p.Say("Runs", "测试次数"), Value: fmt.Sprint(runs), Note: fmt.Sprintf(p.Say("of %d planned", "计划 %d 次"), len(p.Cells)*p.Sweep.Repeats)})
	b.Tiles(tiles)
	b.Table(p.Say("What was measured", "测试内容"), p.facts())
}

// best is the first cell by a figure, and how many others are not told apart from it.
func (p sweepPage) best(figure int, f report.SweepFigure) (Tile, bool) {
	ranked := compare.Rank(p.values[figure], f.Higher)
	if len(ranked) == 0 || f.Share {
		return Tile{}, false
	}
	name := p.Say("Lowest ", "最低 ") + p.named(f)
	if f.Higher {
		name = p.Say("Highest ", "最高 ") + p.named(f)
	}
	tile := Tile{Name: name, Value: chart.Format(ranked[0].Mean) + " " + f.Unit, Note: fmt.Sprintf("%s, n = %d", p.Cells[ranked[0].Place].Cell.Name, ranked[0].N)}
	alike, noisy := 0, false
	for _, other := range ranked[1:] {
		noisy = noisy || other.Low != nil
		if !other.Told {
			alike++
		}
	}
	switch {
	case alike > 0 && !noisy:
		tile.Change, tile.Kind = p.Say("one run a cell: no noise known", "每单元一次测试：波动未知"), "unsure"
	case alike > 0:
		tile.Change, tile.Kind = fmt.Sprintf(p.Say("not told apart from %d others", "与另外 %d 个无法区分"), alike), "unsure"
	}
	return tile, true
}

// enoughGood is the goodput from which a cell is taken to keep the limits on latencies, in per cent.
const enoughGood = 99

// withinLimits is the highest output throughput of a cell that keeps the limits.
func (p sweepPage) withinLimits() (Tile, bool) {
	goodput := slices.IndexFunc(p.figures, func(f report.SweepFigure) bool { return f.Share })
	if goodput < 0 {
		return Tile{}, false
	}
	tile := Tile{Name: fmt.Sprintf(p.Say("Highest with a goodput of %d %% and more", "有效吞吐率不低于 %d %% 的最高吞吐"), enoughGood), Value: p.Say("none", "无"), Note: p.Say("no cell keeps the limits", "没有单元满足限制")}
	best := 0.0
	for i, c := range p.Cells {
		if v := meanOf(p.values[0][i]); meanOf(p.values[goodput][i]) >= enoughGood && v > best {
			best = v
			tile.Value, tile.Note = chart.Format(v)+" "+p.figures[0].Unit, fmt.Sprintf("%s, n = %d", c.Cell.Name, len(p.values[0][i]))
		}
	}
	return tile, true
}

// facts are the sweep and the machines and servers of its runs.
func (p sweepPage) facts() report.Table {
	var t report.Table
	add := func(name, value string) {
		if value != "" {
			t.Rows = append(t.Rows, []string{name, value})
		}
	}
	add(p.Say("sweep", "扫描"), p.Sweep.ID+"  "+p.Sweep.Name)
	add(p.Say("file", "文件"), p.Sweep.File)
	add(p.Say("begun", "开始于"), report.Moment(p.Sweep.Made))
	for _, path := range paths(p.Cells) {
		add(p.Say("varied: ", "变化：")+path.name, strings.Join(path.values, ", "))
	}
	add(p.Say("runs of each cell", "每单元测试次数"), fmt.Sprint(p.Sweep.Repeats))
	add(p.Say("limits", "限制"), p.limits())
	for _, fact := range []struct {
		name string
		of   func(lab.Run) string
	}{
		{p.Say("model", "模型"), func(r lab.Run) string { return r.Experiment.Server.Model }},
		{p.Say("server", "服务端"), serverOf},
		{p.Say("machine", "机器"), machineOf},
		{"GPU", gpusOf},
	} {
		var all []string
		for _, c := range p.Cells {
			for _, s := range c.Runs {
				if text := fact.of(s.Run); text != "" && !slices.Contains(all, text) {
					all = append(all, text)
				}
			}
		}
		add(fact.name, strings.Join(all, "; "))
	}
	return t
}

// limits are those on latencies, of all cells.
func (p sweepPage) limits() string {
	var all []string
	for _, c := range p.Sweep.Cells {
		for _, slo := range c.Experiment.SLO {
			if text := fmt.Sprintf("%s ≤ %s", strings.ToUpper(slo.Metric), time.Duration(slo.Limit)); !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return strings.Join(all, ", ")
}

func serverOf(r lab.Run) string {
	if r.Server.Version == "" {
		return ""
	}
	if r.Experiment.Server.Simulator != nil {
		return "simulated vllm " + r.Server.Version
	}
	return "vllm " + r.Server.Version
}

func machineOf(r lab.Run) string {
	if r.Host.Name == "" {
		return ""
	}
	return fmt.Sprintf("%s, %s, %d cores, %.0f GiB", r.Host.Name, r.Host.CPU, r.Host.Cores, r.Host.Memory.GiB())
}

func gpusOf(r lab.Run) string {
	var all []string
	for _, d := range r.Host.GPUs {
		all = append(all, fmt.Sprintf("%d: %s, %.0f GiB, driver %s", d.Index, d.Name, d.Memory.GiB(), r.Host.Driver))
	}
	return strings.Join(all, "; ")
}

func (p sweepPage) table(b *Body) {
	parts := report.SweepParts(p.Sweep, p.Cells)
	for _, part := range report.Of(parts, report.OfCells) {
		b.long(p.Say("Each cell: mean ± standard deviation over its runs", "各单元：测试均值 ± 标准差"), *part.Table)
	}
	b.Parts("", report.Of(parts, report.OfFindings))
	for _, note := range report.Of(parts, report.OfNotes) {
		b.Note(note.Text)
	}
}

func (p sweepPage) failed(b *Body) {
	for _, c := range p.Cells {
		for _, s := range c.Runs {
			name := c.Cell.Name
			if p.Sweep.Repeats > 1 && s.Run.Sweep != nil {
				name += fmt.Sprintf(p.Say(", repeat %d", "，第 %d 次"), s.Run.Sweep.Repeat)
			}
			switch {
			case s.Run.Failure != nil:
				b.Heading(name)
				b.Parts("", []report.Part{{Label: "failed", Text: fmt.Sprintf("%s: %s", s.Run.Failure.Class, s.Run.Failure.Reason)}})
				if quote := strings.Join(s.Run.Failure.Quote, "\n"); quote != "" {
					b.Code(p.Say("The server's last telling lines, run ", "服务端最后的相关日志，测试 ")+s.Run.ID, quote)
				}
			case !s.Run.Valid():
				b.Heading(name)
				b.Parts("", doubts(s.Run))
			}
		}
		if missing := p.Sweep.Repeats - len(c.Runs); missing > 0 {
			b.Heading(c.Cell.Name)
			b.Text(fmt.Sprintf(p.Say("%d of %d runs were not made: its server did not start for an earlier run, or the sweep was stopped.", "%d / %d 次测试未进行：服务端在之前的测试中未能启动，或扫描被中止。"), missing, p.Sweep.Repeats))
		}
	}
	if b.Empty() {
		return
	}
	b.Note(p.Say("What is missing is made by: ", "补测缺失部分：") + "lab sweep --resume=" + p.Sweep.ID)
}

// doubts are why the numbers of a run must not be judged.
func doubts(r lab.Run) []report.Part {
	if r.Outcome != lab.Complete {
		return []report.Part{{Label: string(r.Outcome), Text: "it did not come to its end"}}
	}
	var all []report.Part
	for _, f := range r.Findings {
		if f.Level == lab.Invalid {
			all = append(all, report.Part{Label: "INVALID", Text: f.Code + ": " + f.Detail})
		}
	}
	return all
}

// ran shows every cell with its settings and runs.
func (p sweepPage) ran(b *Body) {
	for i, c := range p.Cells {
		complete, valid := outcomes(c)
		summary := fmt.Sprintf(p.Say("%s: %d runs, %d complete, %d valid", "%s：%d 次测试，%d 次完成，%d 次有效"), c.Cell.Name, len(c.Runs), complete, valid)
		b.Details(summary, func(b *Body) {
			settings := report.Table{}
			for _, v := range c.Cell.Values {
				settings.Rows = append(settings.Rows, []string{v.Path, v.Value})
			}
			b.Table(p.Say("What it varies, ", "变化的参数，")+c.Cell.Name, settings)
			b.Table(p.Say("Its runs, ", "各次测试，")+c.Cell.Name, p.runs(i))
			for _, line := range commandLines(c.Runs) {
				b.Code(p.Say("Its server was started with", "服务端启动命令"), line)
			}
			b.experimentFile(c.Cell.Result+".yaml", c.Cell.Experiment)
		})
	}
}

// runs are those of a cell, a row each.
func (p sweepPage) runs(cell int) report.Table {
	t := report.Table{Head: []string{p.Say("run", "测试"), p.Say("repeat", "次"), p.Say("outcome", "结果"), p.Say("took", "用时")}, Right: map[int]bool{1: true, 3: true}}
	for i, f := range p.figures {
		t.Head = append(t.Head, f.Name+" "+f.Unit)
		t.Right[4+i] = true
	}
	for _, s := range p.Cells[cell].Runs {
		outcome, repeat := string(s.Run.Outcome), ""
		if s.Run.Outcome == lab.Complete && !s.Run.Valid() {
			outcome += ", INVALID"
		}
		if s.Run.Sweep != nil {
			repeat = fmt.Sprint(s.Run.Sweep.Repeat)
		}
		row := []string{s.Run.ID, repeat, outcome, fmt.Sprintf("%.1f s", s.Run.Ended.Seconds())}
		one := report.SweptCell{Cell: p.Cells[cell].Cell, Runs: []lab.Sealed{s}}
		for _, f := range p.figures {
			row = append(row, report.MeanAndSpread(one.Values(p.Sweep, f)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// commandLines are the different ones with which the servers of runs were started.
func commandLines(runs []lab.Sealed) []string {
	var all []string
	for _, s := range runs {
		line := commandLine(s.Run.Server)
		if line != "" && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return all
}

// typed writes arguments as a shell takes them.
func typed(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = shell(word)
	}
	return strings.Join(quoted, " ")
}

func (p sweepPage) reproduce(b *Body) {
	line := typed("lab", "sweep", p.Sweep.File, "--repeats", fmt.Sprint(p.Sweep.Repeats), "--seed", fmt.Sprint(p.Sweep.Seed))
	b.Code(p.Say("The same sweep again, with the same prompts and arrival times", "以相同的提示词与到达时间重做此扫描"), line)
	b.Code(p.Say("Only what is missing", "只补测缺失部分"), "lab sweep --resume="+p.Sweep.ID)
	b.Note(p.Say("The experiment of every cell stands with what it ran, and in the data below. Its seeds are those of the file; each run of a sweep has its own, which follow from the sweep's.",
		"每个单元的实验配置见其运行记录与下方数据。其中的种子为文件所写；扫描中每次测试的种子由扫描的种子推出。"))
}
