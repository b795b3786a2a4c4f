package chart

import (
	"math"
	"slices"
	"unicode/utf8"
)

// Bar is one bar; NaN leaves its place empty.
type Bar struct {
	Value     float64
	Low, High float64 // ends of the error bar; equal: none
	Label     string  // beside its end
	Tip       string
}

// Bars are one bar a category; several layers of them stand side by side. They lie down where the y axis has the
// categories, which is right for long names.
type Bars struct {
	Name  string
	Style Style
	Bars  []Bar
}

func (b Bars) extend(p Panel, x, y *extent) {
	value, a := y, p.Y
	if len(p.Y.Categories) > 0 {
		value, a = x, p.X
	}
	value.zero = !a.Log
	for _, bar := range b.Bars {
		if len(p.Y.Categories) > 0 { // labels stand behind the end of the bar
			value.after = max(value.after, 0.06+0.021*float64(utf8.RuneCountInString(bar.Label)))
		}
		if !math.IsNaN(bar.Value) {
			value.add(a, bar.Value)
			if bar.Low < bar.High {
				value.add(a, bar.Low, bar.High)
			}
		}
	}
}

func (b Bars) keys() []key {
	return []key{{b.Name, func(s *scene, box rect) {
		s.hatched(rect{box.x + 4, box.y + 1, box.w - 8, box.h - 2}, b.Style)
	}}}
}

func (b Bars) draw(d *diagram) {
	d.open("series", "", attr{"data-series", b.Name})
	defer d.close()
	lying := len(d.y.Categories) > 0
	along, value := d.x, d.y
	if lying {
		along, value = d.y, d.x
	}
	slot := math.Abs(along.at(1)-along.at(0)) * 0.78 / float64(max(1, d.groups))
	slot = min(slot, 70)
	for i, bar := range b.Bars {
		if !value.shows(bar.Value) {
			continue
		}
		center := along.at(float64(i)) + (float64(d.group)-float64(d.groups-1)/2)*slot
		width := max(slot-2, 1)
		zero, tip := value.at(max(0, value.min)), value.at(bar.Value)
		box := rect{center - width/2, min(zero, tip), width, math.Abs(zero - tip)}
		if lying {
			box = rect{min(zero, tip), center - width/2, math.Abs(zero - tip), width}
		}
		d.open("mark", bar.Tip)
		d.hatched(box, b.Style)
		end := tip
		if bar.Low < bar.High {
			end = d.barWhisker(center, bar, value, lying)
		}
		if lying { // of a bar below zero the label stands on the other side, not on the bar
			end = max(end, zero)
		}
		d.barLabel(bar.Label, center, end, width, lying)
		d.close()
	}
}

// barWhisker draws the error bar of a bar and returns where it ends.
func (d *diagram) barWhisker(center float64, bar Bar, value scale, lying bool) float64 {
	if !lying {
		d.whisker(center, bar.Low, bar.High, ink)
		return value.at(bar.High)
	}
	a, b := value.at(max(bar.Low, value.min)), value.at(bar.High)
	d.line(a, center, b, center, ink, 1.5)
	d.line(a, center-4, a, center+4, ink, 1.5)
	d.line(b, center-4, b, center+4, ink, 1.5)
	return b
}

// barLabel writes a value beside the end of its bar where there is room, else leaves it to the tip.
func (d *diagram) barLabel(text string, center, end, width float64, lying bool) {
	if text == "" {
		return
	}
	w := d.fonts.width(text, smallText, false)
	if lying {
		place := rect{end + 5, center - smallText/2, w, smallText}
		if place.right() <= d.plot.right()+10 {
			d.text(place.x, center+smallText*0.36, label{text: text, size: smallText, onData: true, class: "note"})
		}
		return
	}
	if w > width+2 || end-smallText < d.plot.y-8 {
		return
	}
	d.text(center, end-4, label{text: text, size: smallText, anchor: middle, onData: true, class: "note"})
}

// hatched fills a rectangle with a colour and lines of the ground over it, so that bars differ without colour too.
func (s *scene) hatched(box rect, style Style) {
	s.rect(box, style.paint(), paint{}, 0)
	kind := (style.index() + 3*style.round()) % 5
	if kind == 0 || box.w < 3 || box.h < 3 {
		return
	}
	var path []segment
	stroke := func(a, b point) { path = append(path, polyline(a, b)...) }
	const gap = 7.0
	if kind == 1 || kind == 3 { // rising
		for c := gap / 2; c < box.w+box.h; c += gap {
			stroke(point{box.x + max(0, c-box.h), box.y + min(c, box.h)}, point{box.x + min(c, box.w), box.y + max(0, c-box.w)})
		}
	}
	if kind == 2 || kind == 3 { // falling
		for c := gap / 2; c < box.w+box.h; c += gap {
			stroke(point{box.right() - max(0, c-box.h), box.y + min(c, box.h)}, point{box.right() - min(c, box.w), box.y + max(0, c-box.w)})
		}
	}
	if kind == 4 {
		for y := box.bottom() - gap/2; y > box.y; y -= gap {
			stroke(point{box.x, y}, point{box.right(), y})
		}
	}
	s.add(item{path: path, stroke: ground.alpha(0.55), width: 1.2})
}

// Histogram counts values in bins of a round width.
type Histogram struct {
	Name   string
	Style  Style
	Values []float64
	Tip    func(from, to float64, n int) string
}

// bins takes the width of Freedman and Diaconis, rounded up to a round number.
func (h Histogram) bins() (edges []float64, counts []int) {
	values := slices.DeleteFunc(slices.Clone(h.Values), func(v float64) bool { return !(scale{}).shows(v) })
	if len(values) == 0 {
		return nil, nil
	}
	slices.Sort(values)
	low, high := values[0], values[len(values)-1]
	width := 2 * (quantile(values, 0.75) - quantile(values, 0.25)) / math.Cbrt(float64(len(values)))
	spread := high - low
	width = min(max(width, spread/25), spread/4)
	if spread == 0 { // one bin about the only value
		width = max(math.Abs(low)*0.1, 1e-9)
	}
	width = niceStep(width)
	first := math.Floor(low/width) * width
	n := max(int(math.Floor((high-first)/width)), 0) + 1
	counts = make([]int, n)
	for _, v := range values {
		counts[min(max(int((v-first)/width), 0), n-1)]++
	}
	for i := range n + 1 {
		edges = append(edges, first+float64(i)*width)
	}
	return edges, counts
}

func (h Histogram) extend(p Panel, x, y *extent) {
	edges, counts := h.bins()
	y.zero = true
	for i, n := range counts {
		x.add(p.X, edges[i], edges[i+1])
		y.add(p.Y, float64(n))
	}
}

func (h Histogram) keys() []key { return Bars{Name: h.Name, Style: h.Style}.keys() }

func (h Histogram) draw(d *diagram) {
	d.open("series", "", attr{"data-series", h.Name})
	defer d.close()
	edges, counts := h.bins()
	for i, n := range counts {
		if n == 0 {
			continue
		}
		tip := ""
		if h.Tip != nil {
			tip = h.Tip(edges[i], edges[i+1], n)
		}
		x1, x2, y := d.x.at(edges[i]), d.x.at(edges[i+1]), d.y.at(float64(n))
		d.open("mark", tip)
		d.rect(rect{x1 + 0.75, y, max(x2-x1-1.5, 1), d.y.at(0) - y}, h.Style.paint(), paint{}, 0)
		d.close()
	}
}

// quantile interpolates between sorted values (type 7, as R and numpy do).
func quantile(sorted []float64, q float64) float64 {
	place := q * float64(len(sorted)-1)
	i := min(int(place), len(sorted)-1)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (place-float64(i))*(sorted[i+1]-sorted[i])
}
