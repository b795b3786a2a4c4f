package chart

import "math"

// Heat is a table of values as colours, each written in its cell. Rows follow the categories of the y axis, columns those
// of the x axis; NaN is a cell without a measurement.
type Heat struct {
	Values    [][]float64
	Title     string // of the colour scale, with the unit
	Diverging bool   // from -1 over 0 to 1
	Tip       func(row, column int) string
}

func (h Heat) extend(Panel, *extent, *extent) {}
func (h Heat) keys() []key                    { return nil }

func (h Heat) bounds() (low, high float64) {
	if h.Diverging {
		return -1, 1
	}
	low, high = math.Inf(1), math.Inf(-1)
	for _, row := range h.Values {
		for _, v := range row {
			if (scale{}).shows(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	return low, high
}

func (h Heat) stops() []uint32 {
	if h.Diverging {
		return diverging
	}
	return sequential
}

func (h Heat) share(v float64) float64 {
	low, high := h.bounds()
	if low == high {
		return 0.5
	}
	return (v - low) / (high - low)
}

func (h Heat) draw(d *diagram) {
	w, ht := math.Abs(d.x.at(1)-d.x.at(0)), math.Abs(d.y.at(1)-d.y.at(0))
	for r, row := range h.Values {
		for c, v := range row {
			x, y := d.x.at(float64(c)), d.y.at(float64(r))
			cell := rect{x - w/2 + 1, y - ht/2 + 1, w - 2, ht - 2}
			if !(scale{}).shows(v) {
				d.rect(cell, paint{}, mesh, 1)
				continue
			}
			fill := paint{"", ramp(h.stops(), h.share(v))}
			tip := ""
			if h.Tip != nil {
				tip = h.Tip(r, c)
			}
			d.open("mark", tip)
			d.rect(cell, fill, paint{}, 0)
			text, size := h.format(v), smallText
			for size > 8 && d.fonts.width(text, size, false) > cell.w-2 {
				size--
			}
			if d.fonts.width(text, size, false) <= cell.w && size < cell.h {
				d.text(x, y+size*0.36, label{text: text, size: size, anchor: middle, fill: legible(fill.color), onData: true, class: "note"})
			}
			d.close()
		}
	}
}

func (h Heat) format(v float64) string {
	if h.Diverging {
		return Format(math.Round(v*100) / 100)
	}
	return Format(v)
}

func (d *diagram) heat() (Heat, bool) {
	for _, l := range d.panel.Layers {
		if h, ok := l.(Heat); ok {
			return h, true
		}
	}
	return Heat{}, false
}

// colourBarTicks are the values written beside the colour scale.
func (h Heat) colourBarTicks() []tick {
	low, high := h.bounds()
	if low == high {
		return []tick{{low, Format(low)}}
	}
	return (scale{min: low, max: high, to: 200}).ticks(50)
}

func (d *diagram) colourBarWidth() float64 {
	h, ok := d.heat()
	if !ok {
		return 0
	}
	widest := 0.0
	for _, t := range h.colourBarTicks() {
		widest = max(widest, d.fonts.width(t.label, smallText, false))
	}
	return 12 + 14 + 6 + widest + 4 + panelText*1.3
}

func (d *diagram) colourBar(box rect) {
	h, ok := d.heat()
	if !ok {
		return
	}
	const steps = 40
	for k := range steps {
		from := box.bottom() - box.h*float64(k+1)/steps
		d.rect(rect{box.x, from, 14, box.h/steps + 0.5}, paint{"", ramp(h.stops(), (float64(k)+0.5)/steps)}, paint{}, 0)
	}
	widest := 0.0
	for _, t := range h.colourBarTicks() {
		y := box.bottom() - box.h*h.share(t.value)
		y = min(max(y, box.y+smallText*0.4), box.bottom()-smallText*0.1)
		d.text(box.x+20, y+smallText*0.35, label{text: t.label, size: smallText, fill: muted})
		widest = max(widest, d.fonts.width(t.label, smallText, false))
	}
	short := d.fonts.shorten(h.Title, panelText, false, box.h)
	d.text(box.x+20+widest+4+panelText, box.y+box.h/2, label{text: short, full: h.Title, size: panelText, anchor: middle, rotate: -90})
}
