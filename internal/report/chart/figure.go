package chart

import (
	"cmp"
	"math"
)

// Figure is one picture of one or several panels.
type Figure struct {
	ID          string // tells the figures of one page apart
	Title       string
	Subtitle    string
	Description string // for those who cannot see it
	Note        string // below the panels: how many repeats, what the error bars are
	Columns     int    // 0: 1
	PanelWidth  float64
	PanelHeight float64
	Panels      []Panel
}

// Panel is one diagram.
type Panel struct {
	Title    string
	Subtitle string // what is good, how many: "lower is better; n = 20 runs"
	X, Y     Axis
	Layers   []Layer
	Empty    string // why there is nothing to see; set: it is said in place of the diagram
}

// Layer is something drawn in a panel: [Series], [Bars], [Boxes], [Violins], [Histogram], [Heat], [Spans], [Bands], [Rule] or [Label].
type Layer interface {
	extend(a Panel, x, y *extent)
	draw(d *diagram)
	keys() []key
}

// Sizes of text and space, in pixels of a figure at scale 1.
const (
	figureTitle, figureText, panelTitle, panelText, smallText = 22.0, 13.0, 15.0, 12.0, 11.0

	margin = 20.0
	gutter = 28.0

	defaultWidth, defaultHeight = 620.0, 420.0
)

// SVG draws the figure as a file of its own. The same figure always gives the same bytes.
func (f Figure) SVG() []byte { return f.scene().svg(f.id(), ` xmlns="http://www.w3.org/2000/svg"`) }

// Inline draws the figure as a part of a page, which themes it with [CSS].
func (f Figure) Inline() []byte { return f.scene().svg(f.id(), "") }

func (f Figure) id() string { return cmp.Or(f.ID, "figure") }

// PNG draws the same picture in pixels, scale to one of the SVG's. Where no font has a character, a number in brackets
// stands for it, and replaced says what each means.
func (f Figure) PNG(scale float64, fonts Fonts) (data []byte, replaced []string, err error) {
	return f.scene().png(scale, fonts)
}

func (f Figure) scene() *scene {
	columns := max(1, min(f.Columns, len(f.Panels)))
	w, h := f.PanelWidth, f.PanelHeight
	if w <= 0 {
		w = defaultWidth
	}
	if h <= 0 {
		h = defaultHeight
	}
	s := &scene{title: f.Title, description: f.Description, fonts: newMeasure()}
	s.w = 2*margin + float64(columns)*w + float64(columns-1)*gutter
	s.open("ground", "")
	background := len(s.items)
	s.add(item{}) // its height is known at the end
	s.close()

	y := margin
	y = s.lines(margin, y, s.w-2*margin, 2, label{text: f.Title, size: figureTitle, bold: true})
	y = s.lines(margin, y, s.w-2*margin, 3, label{text: f.Subtitle, size: figureText, fill: muted})
	if y > margin {
		y += 10
	}
	rows := int(math.Ceil(float64(len(f.Panels)) / float64(columns)))
	for i, p := range f.Panels {
		column, row := i%columns, i/columns
		s.panel(p, rect{margin + float64(column)*(w+gutter), y + float64(row)*(h+gutter), w, h})
	}
	if rows > 0 {
		y += float64(rows)*(h+gutter) - gutter + 10
	}
	y = s.lines(margin, y, s.w-2*margin, 4, label{text: f.Note, size: smallText, fill: muted})
	s.h = math.Ceil(y + margin - 8)
	frame := &scene{}
	frame.rect(rect{0, 0, s.w, s.h}, ground, paint{}, 0)
	s.items[background] = frame.items[0]
	return s
}

// lines writes a text over at most n lines and returns where the next thing may begin.
func (s *scene) lines(x, y, room float64, n int, l label) float64 {
	if l.text == "" {
		return y
	}
	full := l.text
	for _, line := range s.fonts.wrap(full, l.size, l.bold, room, n) {
		l.text, l.full = line, full
		s.text(x, y+0.85*l.size, l)
		y += 1.3 * l.size
	}
	return y + 0.15*l.size
}
