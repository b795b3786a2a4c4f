package page

import (
	"fmt"
	"math"
	"slices"
	"time"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// throughput is what came out of each phase, and whether the server kept up.
func (p runPage) throughput(b *Body) {
	for i, t := range p.Sealed.Summary.Phases {
		var figures []chart.Figure
		if f, ok := p.keepingUp(fmt.Sprintf("keeping-up-%d", i), t); ok {
			figures = append(figures, f)
		}
		if f, ok := p.crowding(fmt.Sprintf("crowding-%d", i), t); ok {
			figures = append(figures, f)
		}
		b.Beside(
			func(b *Body) {
				b.Parts(p.Say("Figures of phase ", "指标，阶段 ")+t.Phase, phaseOf(report.Of(p.parts, report.OfFigures), t.Phase))
			},
			func(b *Body) { b.Figures(figures...) })
	}
}

// keepingUp counts requests that were due, that were sent and that had ended: where the lines part, the client or the
// server was behind.
func (p runPage) keepingUp(id string, t lab.Tally) (chart.Figure, bool) {
	var due, sent, ended []float64
	for _, r := range p.Tables.Requests {
		if r.Phase != t.Phase {
			continue
		}
		due = append(due, seconds(r.Intended))
		if r.Sent > 0 {
			sent = append(sent, seconds(r.Sent))
		}
		if r.OK() {
			ended = append(ended, seconds(r.Done))
		}
	}
	if len(due) < fewestDrawn {
		return chart.Figure{}, false
	}
	panel := chart.Panel{Title: p.Say("Requests due, sent and answered, phase ", "应发、已发、已完成的请求，阶段 ") + t.Phase,
		Subtitle: fmt.Sprintf(p.Say("counted from the start; where the lines part, somebody is behind; n = %d", "自开始累计；曲线分开表示有一方落后；n = %d"), len(due)),
		X:        chart.Axis{Title: p.Say("time (s)", "时间 (s)")}, Y: chart.Axis{Title: p.Say("requests", "请求数"), Zero: true}}
	for i, line := range []struct {
		name string
		at   []float64
	}{{p.Say("due", "应发"), due}, {p.Say("sent", "已发"), sent}, {p.Say("answered", "已完成"), ended}} {
		slices.Sort(line.at)
		s := chart.Series{Name: line.name, Style: chart.Style(i), Draw: chart.Plain}
		for _, rank := range ranks(len(line.at)) {
			s.Points = append(s.Points, chart.Point{X: line.at[rank], Y: float64(rank + 1)})
		}
		panel.Layers = append(panel.Layers, s)
	}
	return chart.Figure{ID: id, PanelWidth: panelWidth, PanelHeight: panelHeight, Panels: []chart.Panel{panel}}, true
}

// crowding sets the median ITL of each window beside the requests in flight in it.
func (p runPage) crowding(id string, t lab.Tally) (chart.Figure, bool) {
	flight, itl := curveOf(p.Timeline, "in_flight"), curveOf(p.Timeline, "itl.p50")
	panel := chart.Panel{Title: p.Say("ITL by requests in flight", "ITL 与在途请求数"),
		X: chart.Axis{Title: p.Say("requests in flight (mean of the window)", "在途请求数（窗口均值）"), Zero: true}, Y: chart.Axis{Title: p.Say("median ITL (ms)", "ITL 中位数 (ms)"), Zero: true}}
	s := chart.Series{Draw: chart.Dots}
	for k, at := range itl.At {
		if at < t.Start || at > t.End || math.IsNaN(itl.V[k]) {
			continue
		}
		s.Points = append(s.Points, chart.Point{X: flight.V[k], Y: itl.V[k] * 1e3,
			Tip: fmt.Sprintf(p.Say("at %.1f s\n%s in flight\n%s ms, n = %d tokens", "%.1f s\n在途 %s\n%s ms，n = %d tokens"), seconds(at), chart.Format(flight.V[k]), chart.Format(itl.V[k]*1e3), itl.N[k])})
	}
	panel.Layers = []chart.Layer{s}
	panel.Subtitle = fmt.Sprintf(p.Say("one point a window of %s; n = %d", "每点一个窗口，长 %s；n = %d"), windowText(p.Timeline.Window), len(s.Points))
	return chart.Figure{ID: id, PanelWidth: panelWidth, PanelHeight: panelHeight, Panels: []chart.Panel{panel}}, len(s.Points) >= fewestDrawn
}

func curveOf(line correlate.Timeline, value string) correlate.Curve {
	for _, c := range line.Curves {
		if c.Device == "requests" && c.Value == value {
			return c
		}
	}
	return correlate.Curve{}
}

func windowText(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }
