package page

import (
	"fmt"
	"html/template"
	"math"
	"strconv"

	"lab/internal/report/chart"
)

// Timeline is charts over one time, with one crosshair: seconds since some moment, which Origin names.
type Timeline struct {
	ID       string // of the element; pages may hold several
	Title    string // for those who cannot see it
	Origin   string // "seconds since the start of the run"
	Short    string // the same below a chart: "s"
	From, To float64
	Bands    []Stretch // shaded in each panel: the phases
	Panels   []Panel
}

// Stretch is a part of the time with a name.
type Stretch struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
	Name string  `json:"name"`
}

// Panel is one chart. Its lines share a unit.
type Panel struct {
	Title string // with the unit: "TTFT (ms)"
	Zero  bool   // the axis starts at zero
	Lines []Line
	Marks []Stretch // stalls, events: shaded, with a name to be shown
	Mark  string    // what the marks are, for the legend
}

// Line is one curve. NaN: from here on nothing is known.
type Line struct {
	Name  string
	Style chart.Style
	Steps bool // holds until the next value
	At, V []float64
}

// How many points a line has at most: in the data, and in the picture.
const (
	linePoints    = 1000
	picturePoints = 240
)

// Timeline puts charts over time in: pictures, and the curves for the script that makes them answer.
func (b *Body) Timeline(t Timeline) {
	if len(t.Panels) == 0 {
		return
	}
	type panel struct {
		Title string
		SVG   template.HTML
	}
	view := struct {
		ID, Help, Reset, Note string
		Panels                []panel
		Series                template.JS
	}{ID: t.ID, Reset: b.Say("Reset zoom", "重置缩放"), Note: t.Title,
		Help: b.Say("All charts share the crosshair. Drag to zoom, double click or Esc to see all again; a click on a name hides it. With the keyboard: Tab to the charts, arrows move the crosshair, + and − zoom.",
			"所有图共用十字线。拖动放大，双击或 Esc 还原；点击图例隐藏。键盘：Tab 选中，方向键移动十字线，+ 和 − 缩放。"),
		Series: embedded(t.data())}
	for i, p := range t.Panels {
		view.Panels = append(view.Panels, panel{p.Title, template.HTML(t.picture(fmt.Sprintf("%s-%d", t.ID, i+1), p).Inline())})
	}
	b.put("timeline", view)
}

// picture is a panel as it is without scripts and on paper.
func (t Timeline) picture(id string, p Panel) chart.Figure {
	layers := []chart.Layer{chart.Bands{Quiet: true, Bands: bandsOf(t.Bands)}}
	if len(p.Marks) > 0 {
		layers = append(layers, chart.Bands{Name: p.Mark, Style: 1, Bands: bandsOf(p.Marks)})
	}
	for _, l := range p.Lines {
		at, v := thin(l.At, l.V, picturePoints)
		s := chart.Series{Name: l.Name, Style: l.Style, Draw: chart.Plain}
		for i := range at {
			s.Points = append(s.Points, chart.Point{X: at[i], Y: v[i]})
		}
		layers = append(layers, s)
	}
	return chart.Figure{ID: id, PanelWidth: 1000, PanelHeight: 170, Description: p.Title + ", " + t.Origin, Panels: []chart.Panel{{
		X: chart.Axis{Title: t.Short, Min: t.From, Max: t.To}, Y: chart.Axis{Zero: p.Zero}, Layers: layers,
	}}}
}

func bandsOf(all []Stretch) []chart.Band {
	var bands []chart.Band
	for _, s := range all {
		bands = append(bands, chart.Band{From: s.From, To: s.To, Name: s.Name})
	}
	return bands
}

// The form in which a script gets a timeline. A line is moments and values in turn; null: a hole.
type (
	timelineData struct {
		Title  string      `json:"title"`
		Origin string      `json:"origin"`
		From   float64     `json:"from"`
		To     float64     `json:"to"`
		Bands  []Stretch   `json:"bands"`
		Panels []panelData `json:"panels"`
	}
	panelData struct {
		Title string     `json:"title"`
		Zero  bool       `json:"zero,omitempty"`
		Lines []lineData `json:"lines"`
		Marks []Stretch  `json:"marks,omitempty"`
		Mark  string     `json:"mark,omitempty"`
	}
	lineData struct {
		Name  string  `json:"name"`
		Style int     `json:"style"`
		Steps bool    `json:"steps,omitempty"`
		At    numbers `json:"t"`
		V     numbers `json:"v"`
	}
	numbers struct {
		all    []float64
		digits int // behind the point; -1: five significant ones
	}
)

// MarshalJSON writes numbers short: a chart has no more pixels than that.
func (n numbers) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, 8*len(n.all)+2), '[')
	for i, v := range n.all {
		if i > 0 {
			out = append(out, ',')
		}
		switch {
		case math.IsNaN(v):
			out = append(out, "null"...)
		case n.digits >= 0:
			out = strconv.AppendFloat(out, math.Round(v*math.Pow10(n.digits))/math.Pow10(n.digits), 'f', -1, 64)
		default:
			short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
			out = strconv.AppendFloat(out, short, 'f', -1, 64)
		}
	}
	return append(out, ']'), nil
}

func (t Timeline) data() timelineData {
	d := timelineData{t.Title, t.Origin, t.From, t.To, list(t.Bands), []panelData{}}
	for _, p := range t.Panels {
		one := panelData{Title: p.Title, Zero: p.Zero, Lines: []lineData{}, Marks: p.Marks, Mark: p.Mark}
		for _, l := range p.Lines {
			at, v := thin(l.At, l.V, linePoints)
			one.Lines = append(one.Lines, lineData{l.Name, int(l.Style), l.Steps, numbers{at, 3}, numbers{v, -1}})
		}
		d.Panels = append(d.Panels, one)
	}
	return d
}

func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
