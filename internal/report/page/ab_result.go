package page

import (
	"fmt"
	"strconv"
	"strings"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// result is the verdict, the figures in which B was set against A, and what the reader must know of them.
func (p abPage) result(b *Body) {
	b.Banner(p.banner())
	if tiles := p.tiles(); len(tiles) > 0 {
		b.Tiles(tiles)
		b.Note(fmt.Sprintf(p.Say("Value of B, its difference from A, and in brackets the %.4g %% interval of that. Only the first decides; colour marks what stands out among all figures.",
			"B 的值、相对 A 的差异，方括号内为其 %.4g %% 区间。仅第一项决定结论；颜色标出在全部指标中突出的差异。"), p.verdict.Primary.Level*100))
	}
	b.Parts(p.Say("What must not become worse", "不得变差的指标"), report.Of(p.parts, report.OfGuards))
	b.Parts("", report.RulingParts(p.Gate.Rulings))
	b.Parts("", report.Of(p.parts, report.OfNotes))
}

// banner is what the command says first.
func (p abPage) banner() Banner {
	kind := map[lab.Call]string{lab.Better: "good", lab.Worse: "bad", lab.TradeOff: "bad", lab.InvalidCall: "bad", lab.Inconclusive: "unsure", lab.Historical: "unsure"}[p.verdict.Call]
	if kind == "" {
		kind = "plain"
	}
	banner := Banner{Kind: kind}
	for i, part := range report.Of(p.parts, report.OfAnswer) {
		if i == 0 {
			banner.Word = part.Text
		} else {
			banner.Text = strings.TrimSpace(banner.Text + " " + part.Text)
		}
	}
	return banner
}

// tiles are the deciding figure and the others that people look for, B against A.
func (p abPage) tiles() []Tile {
	if !p.looked() {
		return nil
	}
	rows := []lab.Row{p.verdict.Primary}
	for _, name := range report.HeadlineMetrics() {
		for _, r := range append(append([]lab.Row{}, p.verdict.Guardrails...), p.verdict.Rows...) {
			if r.Metric == name && r.Phase == p.verdict.Plan.Phase && r.Metric != p.verdict.Primary.Metric {
				rows = append(rows, r)
				break
			}
		}
	}
	var tiles []Tile
	for i, r := range rows {
		if r.N == 0 {
			continue
		}
		name, a, second, difference := report.Versus(r)
		t := Tile{Name: p.metricName(r.Metric, name), Value: second, Change: difference, Kind: callKind(r, i == 0), Note: fmt.Sprintf(p.Say("A %s; n = %d an arm", "A %s；每侧 n = %d"), a, r.N)}
		if i == 0 {
			t.Name += p.Say(" (decides)", "（决定指标）")
		}
		tiles = append(tiles, t)
	}
	return tiles
}

// callKind is the colour of a difference: none where it does not stand out among all of them.
func callKind(r lab.Row, decides bool) string {
	if !decides && !r.Flagged && r.Harm == nil {
		return "plain"
	}
	switch r.Call {
	case lab.Better:
		return "good"
	case lab.Worse:
		return "bad"
	case lab.Inconclusive:
		return "unsure"
	}
	return "plain"
}

// measured is what the two are, and on what they ran.
func (p abPage) measured(b *Body) {
	plan := p.verdict.Plan
	b.Table(p.Say("The arms", "两侧"), report.Table{Rows: [][]string{{"A", plan.A.Name}, {"B", plan.B.Name}}})
	var asked, settled []lab.Difference
	for _, d := range p.verdict.Different {
		if rest, ok := strings.CutPrefix(d.Path, "resolved."); ok {
			settled = append(settled, lab.Difference{Path: rest, A: d.A, B: d.B})
		} else {
			asked = append(asked, d)
		}
	}
	if len(asked) == 0 {
		b.Text(p.Say("The two ask for the same.", "两侧配置相同。"))
	}
	b.differences(p.Say("What was asked differently", "配置差异"), "A", "B", asked)
	b.differences(p.Say("What the servers settled on differently", "服务端实际取值的差异"), "A", "B", settled)
	var runs []lab.Run
	for _, arm := range []string{"A", "B"} {
		if r, ok := p.first(arm); ok {
			runs = append(runs, r)
		}
	}
	b.commands(runs)
	for _, arm := range []struct {
		name string
		of   lab.Experiment
	}{{"A", plan.A}, {"B", plan.B}} {
		b.Details(p.Say("Configuration of ", "配置 ")+arm.name, func(b *Body) { b.configuration(arm.of) })
	}
	if len(runs) > 0 {
		b.Details(p.Say("Versions and fingerprint of the machine", "版本与机器指纹"), func(b *Body) { b.fingerprint(runs[0]) })
	}
}

// runs are the measured ones in their order, each with the deciding figure.
func (p abPage) runs(b *Body) {
	if len(p.Runs) == 0 {
		b.Text(p.Say("No run of it was measured yet.", "尚无测试。"))
		return
	}
	if p.looked() {
		b.Figures(p.inOrder(), p.byPair())
	}
	paired := p.paired()
	t := report.Table{Head: []string{p.Say("run", "测试"), p.Say("arm", "侧"), p.Say("pair", "对"), p.Say("counts", "计入"), p.Say("why not", "未计入原因")}, Right: map[int]bool{2: true}}
	for _, r := range p.Runs {
		counts, why := p.Say("yes", "是"), r.Ref.Why
		if !paired[r.Ref.ID] {
			counts = p.Say("no", "否")
		}
		if r.Ref.Valid && !paired[r.Ref.ID] {
			why = p.Say("valid, but its pair is not whole, or not looked at yet", "有效，但同对不完整，或尚未查看")
		}
		block := strconv.Itoa(r.Ref.Block)
		if r.Ref.Try > 0 {
			block += fmt.Sprintf(p.Say(", again %d", "，重做 %d"), r.Ref.Try)
		}
		t.Rows = append(t.Rows, []string{r.Ref.ID, r.Ref.Arm, block, counts, why})
	}
	b.Table(p.Say("The measured runs in the order in which they were made; lab report ID shows one", "测试按执行顺序排列；lab report ID 查看单次"), t)
}

// inOrder shows the deciding figure of each run in the order in which they were made: drift and single odd runs show.
func (p abPage) inOrder() chart.Figure {
	r := p.verdict.Primary
	name, _, _, _ := report.Versus(r)
	series := map[string]*chart.Series{
		"A": {Name: "A", Style: 0, Draw: chart.Dots}, "B": {Name: "B", Style: 1, Draw: chart.Dots}, "": {Name: p.Say("does not count", "未计入"), Style: 6, Draw: chart.Dots},
	}
	var names []string
	paired := p.paired()
	for i, run := range p.Runs {
		names = append(names, fmt.Sprintf("%s %d", run.Ref.Arm, run.Ref.Block))
		f, ok := run.Sealed.Summary.Figure(r.Phase, r.Metric)
		if !ok || run.Ref.Valid && !paired[run.Ref.ID] { // not looked at yet: it shows nothing of B against A
			continue
		}
		key := run.Ref.Arm
		if !paired[run.Ref.ID] {
			key = ""
		}
		s := series[key]
		s.Points = append(s.Points, chart.Point{X: float64(i), Y: f.Value, Tip: run.Ref.ID + "\n" + report.Value(f.Value, f.Unit)})
	}
	panel := chart.Panel{Title: name + p.Say(" of each run", "，各次测试"), Subtitle: fmt.Sprintf(p.Say("in the order in which they were made: arm and pair; n = %d runs", "按执行顺序：侧与对；n = %d 次"), len(p.Runs)),
		X: chart.Axis{Categories: names}, Y: chart.Axis{Title: fmt.Sprintf("%s (%s)", name, r.Unit)}}
	for _, key := range []string{"A", "B", ""} {
		if len(series[key].Points) > 0 {
			panel.Layers = append(panel.Layers, *series[key])
		}
	}
	return chart.Figure{ID: "runs-in-order", PanelWidth: panelWidth, PanelHeight: panelHeight, Panels: []chart.Panel{panel}}
}

// byPair shows the difference in each pair beside that of the verdict.
func (p abPage) byPair() chart.Figure {
	r := p.verdict.Primary
	scale, unit := 100.0, "%"
	if r.Absolute {
		unit = p.Say("percentage points", "百分点")
		if r.Unit != "share" {
			scale, unit = 1, r.Unit
		}
	}
	dots := chart.Series{Name: p.Say("one pair", "一对"), Style: 0, Draw: chart.Dots}
	var names []string
	for _, pair := range pairsOf(p.verdict, p.sealed()) {
		dots.Points = append(dots.Points, chart.Point{X: float64(len(names)), Y: scale * pair.delta(r), Tip: fmt.Sprintf("%s\n%s", pair.a.id, pair.b.id)})
		names = append(names, strconv.Itoa(pair.block))
	}
	of := len(names)
	panel := chart.Panel{Title: p.Say("B against A in each pair", "每对中 B 相对 A"), Subtitle: fmt.Sprintf(p.Say("n = %[2]d pairs; at the right the verdict's difference and its %.4[1]g %% interval", "n = %[2]d 对；右侧为结论的差异及其 %.4[1]g %% 区间"), r.Level*100, of),
		X: chart.Axis{Title: p.Say("pair", "对"), Categories: append(names, p.Say("verdict", "结论"))}, Y: chart.Axis{Title: p.Say("B against A (", "B 相对 A (") + unit + ")"}}
	if r.Low != nil && r.High != nil {
		panel.Layers = append(panel.Layers, chart.Series{Name: p.Say("the verdict", "结论"), Style: 1, Draw: chart.Dots,
			Points: []chart.Point{{X: float64(len(names)), Y: scale * r.Delta, Low: scale * *r.Low, High: scale * *r.High, Size: 1.3, Tip: p.Say("the verdict's difference", "结论的差异")}}})
	}
	panel.Layers = append(panel.Layers, dots, chart.Rule{Name: p.Say("no difference", "无差异"), At: 0, Style: 6})
	return chart.Figure{ID: "pairs", PanelWidth: panelWidth, PanelHeight: panelHeight, Panels: []chart.Panel{panel}}
}

// paired are the runs whose pair counts.
func (p abPage) paired() map[string]bool {
	all := map[string]bool{}
	for _, pair := range pairsOf(p.verdict, p.sealed()) {
		all[pair.a.id], all[pair.b.id] = true, true
	}
	return all
}

func (p abPage) sealed() []lab.Sealed {
	var all []lab.Sealed
	for _, r := range p.Runs {
		all = append(all, r.Sealed)
	}
	return all
}
