package chart

import (
	"math"
	"strings"
)

// diagram is a panel while it is drawn: where the plot is and how values map to it.
type diagram struct {
	*scene
	panel  Panel
	plot   rect
	x, y   scale
	groups int    // layers of bars that stand side by side
	group  int    // the one that is drawn
	taken  []rect // where labels lie already
}

func (s *scene) panel(p Panel, cell rect) {
	s.open("panel", "")
	defer s.close()
	top := s.lines(cell.x, cell.y, cell.w, 2, label{text: p.Title, size: panelTitle, bold: true})
	top = s.lines(cell.x, top, cell.w, 2, label{text: p.Subtitle, size: panelText, fill: muted})
	x, y := noExtent(), noExtent()
	for _, l := range p.Layers {
		l.extend(p, &x, &y)
	}
	hollow := len(p.X.Categories) == 0 && x.empty() || len(p.Y.Categories) == 0 && y.empty()
	if p.Empty != "" || hollow {
		s.empty(p.Empty, rect{cell.x, top + 4, cell.w, cell.bottom() - top - 4})
		return
	}
	d := &diagram{scene: s, panel: p, x: newScale(p.X, x), y: newScale(p.Y, y)}
	top = d.legend(rect{cell.x, top + 2, cell.w, 0})
	d.layout(rect{cell.x, top + 8, cell.w, cell.bottom() - top - 8})
	d.data()
}

func (s *scene) empty(why string, box rect) {
	s.rect(box, paint{}, mesh, 1)
	if why == "" {
		why = "no data"
	}
	lines := s.fonts.wrap(why, figureText, false, box.w-40, 3)
	y := box.y + box.h/2 - float64(len(lines)-1)*figureText*0.65
	for _, line := range lines {
		s.text(box.x+box.w/2, y, label{text: line, full: why, size: figureText, anchor: middle, fill: muted})
		y += 1.3 * figureText
	}
}

// data draws the layers, cut off at the frame when a page zooms in.
func (d *diagram) data() {
	around := rect{d.plot.x - 8, d.plot.y - 8, d.plot.w + 16, d.plot.h + 16}
	d.add(item{kind: openItem, class: "data", clip: &around, attrs: []attr{
		{"data-plot", strings.Join([]string{num(d.plot.x), num(d.plot.y), num(d.plot.w), num(d.plot.h)}, " ")},
		{"data-x", d.x.attr()}, {"data-y", d.y.attr()},
	}})
	defer d.close()
	for _, l := range d.panel.Layers {
		if _, bars := l.(Bars); bars {
			d.groups++
		}
	}
	for _, l := range d.panel.Layers {
		l.draw(d)
		if _, bars := l.(Bars); bars {
			d.group++
		}
	}
}

// layout finds the room for the labels of both axes, then draws the axes. What the labels of one axis need depends on the
// length of the other, so the lower edge is settled first.
func (d *diagram) layout(box rect) {
	bar := d.colourBarWidth()
	titleRoom := func(title string) float64 {
		if title == "" {
			return 0
		}
		return panelText*1.3 + 6
	}
	left, bottom := 0.0, 0.0
	for range 2 { // the second time with the real lower edge
		d.y.from, d.y.to = box.bottom()-bottom-titleRoom(d.panel.X.Title), box.y+4
		left = titleRoom(d.panel.Y.Title) + d.labelWidth(box.w*0.36) + 8
		d.x.from, d.x.to = box.x+left, box.right()-14-bar
		bottom = d.xLabels(false) + 4
	}
	d.plot = rect{d.x.from, d.y.to, d.x.to - d.x.from, d.y.from - d.y.to}
	if len(d.panel.Y.Categories) > 0 { // the first category is at the top, as one reads
		d.y.from, d.y.to = d.y.to, d.y.from
	}
	d.grid(box)
	d.xLabels(true)
	d.axisTitles(box)
	d.colourBar(rect{d.plot.right() + 12, d.plot.y, bar - 12, d.plot.h})
}

func (d *diagram) axisTitles(box rect) {
	if t := d.panel.X.Title; t != "" {
		short := d.fonts.shorten(t, panelText, false, box.w)
		x := d.plot.x + d.plot.w/2
		half := d.fonts.width(short, panelText, false) / 2
		x = min(max(x, box.x+half), box.right()-half)
		d.text(x, box.bottom()-3, label{text: short, full: t, size: panelText, anchor: middle})
	}
	if t := d.panel.Y.Title; t != "" {
		short := d.fonts.shorten(t, panelText, false, d.plot.h+8)
		d.text(box.x+panelText*0.9, d.plot.y+d.plot.h/2, label{text: short, full: t, size: panelText, anchor: middle, rotate: -90})
	}
}

func (d *diagram) labelWidth(limit float64) float64 {
	widest := 0.0
	for _, t := range d.y.ticks(44) {
		widest = max(widest, d.fonts.width(t.label, smallText, false))
	}
	return min(widest, limit)
}

// grid draws the frame, the lines behind the data and the labels of the y axis.
func (d *diagram) grid(box rect) {
	d.open("ticks-y", "")
	categories := len(d.y.Categories) > 0
	room := d.labelWidth(box.w * 0.36)
	last := math.Inf(1)
	for _, t := range d.y.ticks(44) {
		y := d.y.at(t.value)
		if math.Abs(y-last) < smallText*1.25 && !math.IsInf(last, 0) { // no room for this one
			continue
		}
		last = y
		if !categories {
			d.line(d.plot.x, y, d.plot.right(), y, mesh, 1)
		}
		short := d.fonts.shorten(t.label, smallText, false, room+0.01)
		d.text(d.plot.x-7, y+smallText*0.35, label{text: short, full: t.label, size: smallText, anchor: end, fill: muted, class: "tick"})
	}
	d.close()
	d.line(d.plot.x, d.plot.bottom(), d.plot.right(), d.plot.bottom(), axis, 1.2)
	if categories {
		d.line(d.plot.x, d.plot.y, d.plot.x, d.plot.bottom(), axis, 1.2)
	}
}

// xLabels writes the labels below the plot, or only says how high they are: side by side where they fit, over several
// lines, else turned; where even turned ones are too many, some are left out.
func (d *diagram) xLabels(write bool) float64 {
	ticks := d.x.ticks(78)
	room := math.Inf(1)
	for i := 1; i < len(ticks); i++ {
		room = min(room, math.Abs(d.x.at(ticks[i].value)-d.x.at(ticks[i-1].value)))
	}
	room = min(room, d.x.to-d.x.from) - 6
	lines := make([][]string, len(ticks))
	most, turned := 1, false
	for i, t := range ticks {
		for part := range strings.SplitSeq(t.label, "\n") {
			if d.fonts.width(part, smallText, false) > room && (!strings.Contains(part, " ") && len([]rune(part)) > 3 || room < 40) {
				turned = true
			}
			lines[i] = append(lines[i], d.fonts.wrap(part, smallText, false, max(room, 20), 3)...)
		}
		most = max(most, len(lines[i]))
	}
	if len(d.x.Categories) == 0 { // numbers need no turning: some are left out
		turned = false
		for i, t := range ticks {
			lines[i] = strings.Split(t.label, "\n")
			most = max(most, len(lines[i]))
		}
	}
	if write {
		d.open("ticks-x", "")
		defer d.close()
	}
	if turned || most > 3 {
		return d.turnedLabels(ticks, room+6, write)
	}
	right := math.Inf(-1)
	for i, t := range ticks {
		x, w := d.x.at(t.value), 0.0
		for _, line := range lines[i] {
			w = max(w, d.fonts.width(line, smallText, false))
		}
		if !write || x-w/2 < right+5 {
			continue
		}
		right = x + w/2
		d.xTick(x)
		for k, line := range lines[i] {
			d.text(x, d.plot.bottom()+6+smallText*(0.9+1.25*float64(k)),
				label{text: line, full: strings.ReplaceAll(t.label, "\n", " "), size: smallText, anchor: middle, fill: muted, class: "tick"})
		}
	}
	return 4 + float64(most)*smallText*1.25
}

func (d *diagram) xTick(x float64) {
	if len(d.x.Categories) == 0 {
		d.line(x, d.plot.y, x, d.plot.bottom(), mesh, 1)
	}
	d.line(x, d.plot.bottom(), x, d.plot.bottom()+4, axis, 1)
}

func (d *diagram) turnedLabels(ticks []tick, room float64, write bool) float64 {
	const angle, longest = 40.0, 130.0
	sin := math.Sin(angle * math.Pi / 180)
	step := max(1, int(math.Ceil(smallText*1.3/sin/room)))
	widest := 0.0
	for i := 0; i < len(ticks); i += step {
		t := ticks[i]
		text := strings.ReplaceAll(t.label, "\n", " ")
		x := d.x.at(t.value)
		// A turned label reaches to the left; it must not leave the panel.
		limit := min(longest, (x-d.x.from+40)/math.Cos(angle*math.Pi/180))
		short := d.fonts.shorten(text, smallText, false, max(limit, 30))
		widest = max(widest, d.fonts.width(short, smallText, false))
		if write {
			d.xTick(x)
			d.text(x+3, d.plot.bottom()+6+smallText*0.8,
				label{text: short, full: text, size: smallText, anchor: end, rotate: -angle, fill: muted, class: "tick"})
		}
	}
	return widest*sin + smallText
}
