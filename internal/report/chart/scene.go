package chart

import "math"

// A scene is a picture as a list of drawing commands: the SVG and the PNG are both written from it, so they are the same.
type scene struct {
	w, h               float64
	title, description string
	items              []item
	fonts              *measure
}

type point struct{ x, y float64 }

type rect struct{ x, y, w, h float64 }

func (r rect) right() float64  { return r.x + r.w }
func (r rect) bottom() float64 { return r.y + r.h }

func (r rect) overlaps(o rect) bool {
	return r.x < o.right() && o.x < r.right() && r.y < o.bottom() && o.y < r.bottom()
}

type segment struct {
	verb byte // M, L, C or Z
	p    [3]point
}

type itemKind int

const (
	pathItem itemKind = iota
	textItem
	openItem // of a group
	closeItem
)

type anchor int

const (
	start anchor = iota
	middle
	end
)

type item struct {
	kind itemKind

	at       point // where a path is moved to, or the baseline of a text
	path     []segment
	box      *rect // the path is this rectangle
	fill     paint
	stroke   paint
	width    float64
	dash     []float64
	movable  bool // at is its place: a page that zooms moves it and keeps its size
	text     string
	full     string // the text before it was shortened
	size     float64
	bold     bool
	anchor   anchor
	rotate   float64 // degrees clockwise about at
	class    string  // of a group or a text
	tip      string  // what a group says when it is pointed at
	attrs    []attr
	clip     *rect
	overData bool // a text that lies on data on purpose, such as the value in a cell
}

type attr struct{ key, value string }

func (s *scene) add(i item) { s.items = append(s.items, i) }

func (s *scene) open(class, tip string, attrs ...attr) {
	s.add(item{kind: openItem, class: class, tip: tip, attrs: attrs})
}

func (s *scene) close() { s.add(item{kind: closeItem}) }

func (s *scene) line(x1, y1, x2, y2 float64, p paint, width float64, dash ...float64) {
	s.add(item{path: polyline(point{x1, y1}, point{x2, y2}), stroke: p, width: width, dash: dash})
}

func (s *scene) rect(r rect, fill, stroke paint, width float64) {
	s.add(item{box: &r, path: closed(point{r.x, r.y}, point{r.right(), r.y}, point{r.right(), r.bottom()}, point{r.x, r.bottom()}),
		fill: fill, stroke: stroke, width: width})
}

func polyline(points ...point) []segment {
	path := make([]segment, len(points))
	for i, p := range points {
		path[i] = segment{verb: 'L', p: [3]point{p}}
	}
	if len(path) > 0 {
		path[0].verb = 'M'
	}
	return path
}

func closed(points ...point) []segment {
	return append(polyline(points...), segment{verb: 'Z'})
}

// label is a text as the caller of text sees it.
type label struct {
	text   string
	full   string // where text is a shortened form
	size   float64
	bold   bool
	anchor anchor
	rotate float64
	fill   paint
	class  string
	onData bool
}

func (s *scene) text(x, y float64, l label) {
	if l.text == "" {
		return
	}
	if l.fill.none() {
		l.fill = ink
	}
	if l.full == l.text {
		l.full = ""
	}
	s.add(item{kind: textItem, at: point{x, y}, text: l.text, full: l.full, size: l.size, bold: l.bold, anchor: l.anchor,
		rotate: l.rotate, fill: l.fill, class: l.class, overData: l.onData})
}

// textBox is the space that a text takes: upright texts exactly, turned ones by the box around them.
func (s *scene) textBox(i item) rect {
	w := s.fonts.width(i.text, i.size, i.bold)
	x0 := -w * []float64{0, 0.5, 1}[i.anchor]
	corners := []point{{x0, -0.78 * i.size}, {x0 + w, -0.78 * i.size}, {x0, 0.22 * i.size}, {x0 + w, 0.22 * i.size}}
	sin, cos := math.Sincos(i.rotate * math.Pi / 180)
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, c := range corners {
		x, y := i.at.x+c.x*cos-c.y*sin, i.at.y+c.x*sin+c.y*cos
		low = point{min(low.x, x), min(low.y, y)}
		high = point{max(high.x, x), max(high.y, y)}
	}
	return rect{low.x, low.y, high.x - low.x, high.y - low.y}
}
