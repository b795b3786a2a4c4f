package chart

// Span is a stretch of the x axis, on a row of the y axis.
type Span struct {
	Row      float64
	From, To float64
	Tip      string
}

// Spans are stretches on rows that are one apart, such as the parts of requests over time.
type Spans struct {
	Name  string
	Style Style
	Spans []Span
}

func (b Spans) extend(p Panel, x, y *extent) {
	for _, s := range b.Spans {
		x.add(p.X, s.From, s.To)
		y.add(p.Y, s.Row-0.5, s.Row+0.5)
	}
}

func (b Spans) keys() []key {
	return []key{{b.Name, func(s *scene, box rect) {
		s.rect(rect{box.x + 4, box.y + 3, box.w - 8, box.h - 6}, b.Style.paint(), paint{}, 0)
	}}}
}

func (b Spans) draw(d *diagram) {
	d.open("series", "", attr{"data-series", b.Name})
	defer d.close()
	for _, s := range b.Spans {
		if !d.x.shows(s.From) || !d.x.shows(s.To) {
			continue
		}
		x1, x2 := d.x.at(s.From), d.x.at(s.To)
		y1, y2 := d.y.at(s.Row+0.42), d.y.at(s.Row-0.42)
		d.open("mark", s.Tip)
		d.rect(rect{x1, min(y1, y2), max(x2-x1, 0.5), max(y2, y1) - min(y1, y2)}, b.Style.paint(), paint{}, 0)
		d.close()
	}
}

// Band is a stretch of the x axis with a name.
type Band struct {
	From, To float64
	Name     string
}

// Bands are shaded over the whole height of a plot, behind what comes after them: the phases of a load, for example.
type Bands struct {
	Name  string // in the legend; "": not in it, and each band is named in the plot
	Style Style
	Quiet bool // in the colour of the grid, not of the style
	Bands []Band
}

func (b Bands) extend(p Panel, x, _ *extent) {
	for _, band := range b.Bands {
		x.add(p.X, band.From, band.To)
	}
}

func (b Bands) paint() paint {
	if b.Quiet {
		return mesh.alpha(0.55)
	}
	return b.Style.paint().alpha(0.22)
}

func (b Bands) keys() []key {
	if b.Name == "" {
		return nil
	}
	return []key{{b.Name, func(s *scene, box rect) {
		s.rect(rect{box.x + 4, box.y + 1, box.w - 8, box.h - 2}, b.paint(), paint{}, 0)
	}}}
}

func (b Bands) draw(d *diagram) {
	d.open("series", "", attr{"data-series", b.Name})
	defer d.close()
	for _, band := range b.Bands {
		x1, x2 := d.x.at(max(band.From, d.x.min)), d.x.at(min(band.To, d.x.max))
		if x2 < d.plot.x || x1 > d.plot.right() {
			continue
		}
		d.open("mark", band.Name)
		d.rect(rect{x1, d.plot.y, max(x2-x1, 1), d.plot.h}, b.paint(), paint{}, 0)
		d.close()
		if b.Name != "" || d.fonts.width(band.Name, smallText, false) > x2-x1-8 {
			continue
		}
		place := rect{x1 + 4, d.plot.y + 2, d.fonts.width(band.Name, smallText, false), smallText}
		d.taken = append(d.taken, place)
		d.text(place.x, place.y+0.85*smallText, label{text: band.Name, size: smallText, fill: muted, onData: true, class: "note"})
	}
}
