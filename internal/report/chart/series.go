package chart

import (
	"math"
	"slices"
)

// Draw says how a series is drawn.
type Draw int

const (
	Lines Draw = iota // points joined by a line
	Dots              // points only
	Plain             // a line only
	Steps             // a line of steps, such as an ECDF
)

// Point is one value of a series.
type Point struct {
	X, Y      float64
	Low, High float64 // ends of the error bar; equal: none
	Size      float64 // of its marker, relative to the usual; 0: 1
	Tip       string
}

// Series is a line, a cloud of points, or both. A point whose Y is NaN breaks the line: nothing is known from there on.
type Series struct {
	Name   string
	Style  Style
	Draw   Draw
	Faint  bool // a reference, not a measurement
	Points []Point
}

// ECDF is the share of the values that are at most x.
func ECDF(name string, style Style, values []float64) Series {
	sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(sorted)
	s := Series{Name: name, Style: style, Draw: Steps}
	for i, v := range sorted {
		if i == 0 {
			s.Points = append(s.Points, Point{X: v})
		}
		if i+1 == len(sorted) || sorted[i+1] != v {
			s.Points = append(s.Points, Point{X: v, Y: float64(i+1) / float64(len(sorted))})
		}
	}
	return s
}

func (s Series) extend(p Panel, x, y *extent) {
	for _, point := range s.Points {
		if !(scale{Axis: p.X}).shows(point.X) || !(scale{Axis: p.Y}).shows(point.Y) {
			continue
		}
		x.add(p.X, point.X)
		y.add(p.Y, point.Y)
		if room := point.Size * 0.03; point.Size > 2 { // a large marker stays within the frame
			x.before, x.after = max(x.before, room*0.7), max(x.after, room*0.7)
			y.before, y.after = max(y.before, room), max(y.after, room)
		}
		if point.Low < point.High {
			y.add(p.Y, point.Low, point.High)
		}
	}
}

func (s Series) paint() paint {
	if s.Faint {
		return axis
	}
	return s.Style.paint()
}

func (s Series) dash() []float64 {
	if s.Faint {
		return []float64{3, 4}
	}
	return s.Style.dash()
}

func (s Series) markers() bool { return !s.Faint && (s.Draw == Lines || s.Draw == Dots) }

func (s Series) keys() []key {
	return []key{{s.Name, func(sc *scene, box rect) {
		y := box.y + box.h/2
		if s.Draw != Dots {
			sc.line(box.x, y, box.right(), y, s.paint(), 2, s.dash()...)
		}
		if s.markers() {
			sc.add(item{path: marker(s.Style.marker(), 4), at: point{box.x + box.w/2, y}, movable: true, fill: s.paint(), stroke: ground, width: 0.8})
		}
	}}}
}

func (s Series) draw(d *diagram) {
	d.open("series", "", attr{"data-series", s.Name})
	defer d.close()
	shown := slices.DeleteFunc(slices.Clone(s.Points), func(p Point) bool { return !d.x.shows(p.X) || !d.y.shows(p.Y) })
	if s.Draw != Dots && len(shown) > 1 {
		d.add(item{path: s.line(d), stroke: s.paint(), width: s.width(), dash: s.dash()})
	}
	for _, p := range shown {
		at := point{d.x.at(p.X), d.y.at(p.Y)}
		if !s.markers() {
			continue
		}
		d.open("mark", p.Tip)
		d.whisker(at.x, p.Low, p.High, s.paint())
		size := 4.5
		if p.Size > 0 {
			size *= p.Size
		}
		fill := s.paint()
		if s.Draw == Dots {
			fill = fill.alpha(0.8)
		}
		d.add(item{path: marker(s.Style.marker(), size), at: at, movable: true, fill: fill, stroke: ground, width: 1})
		d.taken = append(d.taken, rect{at.x - size, at.y - size, 2 * size, 2 * size})
		d.close()
	}
}

// line joins the points, with a hole after each that is NaN.
func (s Series) line(d *diagram) []segment {
	var path []segment
	var piece []point
	end := func() {
		path = append(path, polyline(piece...)...)
		piece = nil
	}
	for _, p := range s.Points {
		switch {
		case math.IsNaN(p.Y):
			end()
		case d.x.shows(p.X) && d.y.shows(p.Y):
			if s.Draw == Steps && len(piece) > 0 {
				piece = append(piece, point{d.x.at(p.X), piece[len(piece)-1].y})
			}
			piece = append(piece, point{d.x.at(p.X), d.y.at(p.Y)})
		}
	}
	end()
	return path
}

func (s Series) width() float64 {
	if s.Draw == Plain {
		return 1.5
	}
	return 2
}

// whisker draws an upright error bar.
func (d *diagram) whisker(x, low, high float64, p paint) {
	if !(low < high) {
		return
	}
	y1, y2 := d.y.at(max(low, d.y.min)), d.y.at(high)
	const half = 4
	d.line(x, y1, x, y2, p, 1.5)
	d.line(x-half, y1, x+half, y1, p, 1.5)
	d.line(x-half, y2, x+half, y2, p, 1.5)
}

// Rule is a straight reference line across the plot, upright where X is set.
type Rule struct {
	Name  string // in the legend
	At    float64
	X     bool
	Style Style
}

func (r Rule) extend(p Panel, x, y *extent) {
	if r.X {
		x.add(p.X, r.At)
	} else {
		y.add(p.Y, r.At)
	}
}

func (r Rule) keys() []key {
	return []key{{r.Name, func(s *scene, box rect) {
		y := box.y + box.h/2
		s.line(box.x, y, box.right(), y, r.Style.paint(), 2, r.Style.dash()...)
	}}}
}

func (r Rule) draw(d *diagram) {
	d.open("series", r.Name, attr{"data-series", r.Name})
	defer d.close()
	switch {
	case r.X && d.x.shows(r.At):
		d.line(d.x.at(r.At), d.plot.y, d.x.at(r.At), d.plot.bottom(), r.Style.paint(), 2, r.Style.dash()...)
	case !r.X && d.y.shows(r.At):
		d.line(d.plot.x, d.y.at(r.At), d.plot.right(), d.y.at(r.At), r.Style.paint(), 2, r.Style.dash()...)
	}
}

// Label is a text at a value. It goes where it hides nothing; where it finds no such place, it is left out.
type Label struct {
	X, Y float64
	Text string
}

func (l Label) extend(p Panel, x, y *extent) {
	x.add(p.X, l.X)
	y.add(p.Y, l.Y)
}

func (l Label) keys() []key { return nil }

func (l Label) draw(d *diagram) {
	if !d.x.shows(l.X) || !d.y.shows(l.Y) {
		return
	}
	w, h := d.fonts.width(l.Text, smallText, false), smallText
	x, y := d.x.at(l.X), d.y.at(l.Y)
	for _, gap := range []float64{9, 16, 26} {
		for _, place := range []rect{
			{x + gap, y - h/2, w, h}, {x - w/2, y - gap - h, w, h}, {x - gap - w, y - h/2, w, h}, {x - w/2, y + gap, w, h},
			{x + gap*0.7, y - gap*0.7 - h, w, h}, {x + gap*0.7, y + gap*0.7, w, h},
		} {
			if d.free(place) {
				d.taken = append(d.taken, place)
				d.text(place.x, place.y+0.85*h, label{text: l.Text, size: smallText, onData: true, class: "note"})
				return
			}
		}
	}
}

// free says whether a place is inside the plot and nothing is there yet.
func (d *diagram) free(place rect) bool {
	if place.x < d.plot.x+2 || place.right() > d.plot.right() || place.y < d.plot.y || place.bottom() > d.plot.bottom()-2 {
		return false
	}
	return !slices.ContainsFunc(d.taken, place.overlaps)
}
