package page

import (
	"fmt"
	"math"

	"lab/internal/report"
	"lab/internal/report/chart"
)

// energy is where the joules of the GPUs went.
func (p runPage) energy(b *Body) {
	b.Parts(p.Say("Energy", "能耗"), report.Of(p.hardware, report.OfEnergy))
	panel := chart.Panel{Title: p.Say("Energy by what it was used for", "能耗去向"),
		X: chart.Axis{Categories: []string{"prefill", "decode", p.Say("idle", "空闲"), p.Say("not known", "未知")}}, Y: chart.Axis{Title: p.Say("energy (J)", "能耗 (J)"), Zero: true}}
	for i, phase := range p.Hardware.Phases {
		e := phase.Energy
		if e == nil {
			continue
		}
		bars := chart.Bars{Name: phase.Name, Style: chart.Style(i)}
		for _, joules := range []float64{e.Prefill, e.Decode, e.Idle, e.Withheld} {
			text := chart.Format(math.Round(joules*100)/100) + " J"
			bars.Bars = append(bars.Bars, chart.Bar{Value: joules, Label: text, Tip: fmt.Sprintf("%s\n%s", phase.Name, text)})
		}
		panel.Layers = append(panel.Layers, bars)
	}
	if len(panel.Layers) > 0 {
		panel.Subtitle = p.Say("of all GPUs, by phase; prefill and decode by the share of requests in flight", "所有 GPU，按阶段；prefill 与 decode 按在途请求占比分摊")
		b.Figures(chart.Figure{ID: "energy-parts", PanelWidth: panelWidth, PanelHeight: panelHeight, Panels: []chart.Panel{panel}})
	}
}
