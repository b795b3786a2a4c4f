package page

import (
	"fmt"
	"strings"

	"lab/internal/compare"
	"lab/internal/report/chart"
)

// convergence shows the primary difference with its interval after each pair, once nothing more is measured.
func (p abPage) convergence(b *Body) {
	plan := p.verdict.Plan
	rows := compare.Convergence(plan, p.sealed())
	if len(rows) < 2 {
		return
	}
	scale, unit := 100.0, "%"
	if rows[0].Absolute && rows[0].Unit == "share" {
		unit = "pp"
	} else if rows[0].Absolute {
		scale, unit = 1, rows[0].Unit
	}
	line := chart.Series{Name: p.Say("B against A", "B 相对 A")}
	for _, row := range rows {
		d := chart.Point{X: float64(row.N), Y: row.Delta * scale}
		d.Low, d.High = d.Y, d.Y
		d.Tip = fmt.Sprintf(p.Say("%d pairs: %+.2f %s", "%d 对：%+.2f %s"), row.N, d.Y, unit)
		if row.Low != nil && row.High != nil {
			d.Low, d.High = *row.Low*scale, *row.High*scale
			d.Tip += fmt.Sprintf("\n[%+.2f, %+.2f]", d.Low, d.High)
		}
		line.Points = append(line.Points, d)
	}
	var looks []string
	for _, n := range plan.LookAt() {
		looks = append(looks, fmt.Sprint(n))
	}
	b.Note(fmt.Sprintf(p.Say("%s of B against A over the first pairs that count, with its interval at the nominal level. It was judged at its looks only (after %s pairs); a difference that came and went between them means nothing.",
		"%s：B 相对 A，取前若干有效对，附名义水平的区间。只在预定的检视点（%s 对之后）作出判断；其间出现又消失的差异没有意义。"), plan.Primary, strings.Join(looks, ", ")))
	margin := plan.Margin * scale
	b.Figures(chart.Figure{ID: "convergence", PanelWidth: 860, PanelHeight: 280, Panels: []chart.Panel{{
		Title:    p.Say("How the difference came to be", "差异的收敛过程"),
		Subtitle: fmt.Sprintf(p.Say("interval %.4g %%; between the dashed lines (±%.3g %s) a difference does not matter", "区间 %.4g %%；虚线之间（±%.3g %s）的差异无关紧要"), 100*rows[0].Level, margin, unit),
		X:        chart.Axis{Title: p.Say("pairs", "对数"), Whole: true, Min: float64(rows[0].N) - 0.5, Max: float64(rows[len(rows)-1].N) + 0.5},
		Y:        chart.Axis{Title: p.Say("B against A (", "B 相对 A（") + unit + p.Say(")", "）")},
		Layers: []chart.Layer{
			chart.Rule{Name: p.Say("margin", "界限"), At: margin, Style: 1}, chart.Rule{Name: p.Say("margin", "界限"), At: -margin, Style: 1}, line,
		},
	}}})
}
