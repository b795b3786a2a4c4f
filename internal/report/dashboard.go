package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"

	"lab/internal/report/chart"
)

//go:embed dashboard.html
var dashboardPage string

//go:embed dashboard.css
var dashboardStyle string

//go:embed dashboard.js
var dashboardScript string

// dashboard is interactive_dashboard.html: one file that needs nothing else. Without its script the pictures and tables
// are all there; the script adds values under the pointer, zoom and a legend that hides and shows.
func (p pictures) dashboard() ([]byte, error) {
	style, script := dashboardStyle+chart.CSS(), chart.Script()+dashboardScript
	head, rows := p.configurations()
	type figure struct {
		Title string
		SVG   template.HTML
	}
	var figures []figure
	for i, panel := range []chart.Panel{
		p.throughputByConcurrency(), p.ttftHistogram(), p.throughputOverTime(), p.throughputMap(), p.ttftByConcurrency(), p.tradeOff(),
	} {
		f := chart.Figure{ID: fmt.Sprintf("chart%d", i+1), Panels: []chart.Panel{panel}, PanelHeight: 400, Description: panel.Title + ": " + panel.Subtitle}
		figures = append(figures, figure{panel.Title, template.HTML(f.Inline())}) // our own markup, its texts escaped
	}
	page, err := template.New("dashboard").Parse(dashboardPage)
	if err != nil {
		return nil, fmt.Errorf("parse dashboard: %w", err)
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{
		"Language": p.say("en", "zh"),
		"Title":    p.say("vLLM benchmark dashboard", "vLLM 性能仪表板"),
		"Subtitle": p.subtitle(),
		"Note":     p.note(),
		"Policy":   "default-src 'none'; script-src '" + SourceHash(script) + "'; style-src '" + SourceHash(style) + "'; base-uri 'none'; form-action 'none'",
		"Style":    template.CSS(style),
		"Script":   template.JS(script),
		"Figures":  figures,
		"Leaders":  columns2(p.leaders()), "Averages": columns2(p.averages()), "Bounds": columns2(p.bounds()),
		"Head": head, "Rows": rows,
		"Say": map[string]string{
			"best": p.say("Best configuration", "最佳配置"), "mean": p.say("Over all runs", "总体均值"),
			"all":    p.say("Configurations (mean ± sd over repeats)", "各配置（重复测试的均值 ± 标准差）"),
			"rating": p.say("What the ratings mean (by the mean)", "评级标准（按均值）"),
			"theme":  p.say("Light or dark", "浅色/深色"), "reset": p.say("Reset zoom", "重置缩放"),
			"how": p.say("Drag over a chart to zoom, double click or Esc to see all again. A click on a name in the legend hides it. With the keyboard: Tab to a chart, arrows for values, + and − to zoom.",
				"在图上拖动可放大，双击或按 Esc 还原；点击图例可隐藏或显示该系列。键盘：Tab 选图，方向键查看数值，+ 和 − 缩放。"),
			"noscript": p.say("Scripts are off: the charts and tables below are complete, without zoom.", "脚本已关闭：下面的图表完整，但不能缩放。"),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("write dashboard: %w", err)
	}
	return out.Bytes(), nil
}

func columns2(pairs []pair) [][2]string {
	rows := make([][2]string, len(pairs))
	for i, p := range pairs {
		rows[i] = [2]string{p.name, p.value}
	}
	return rows
}

// SourceHash is what a content security policy calls a script or style by.
func SourceHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
