package chart

import (
	"math"
	"slices"
)

// Group is the values of one category.
type Group struct {
	Values []float64
	Tip    string
}

// fewest is the number of values from which a box or a density says more than the points themselves.
const fewest = 5

func (g Group) sorted(s scale) []float64 {
	values := slices.DeleteFunc(slices.Clone(g.Values), func(v float64) bool { return !s.shows(v) })
	slices.Sort(values)
	return values
}

func extendGroups(groups []Group, p Panel, y *extent) {
	for _, g := range groups {
		y.add(p.Y, g.Values...)
	}
}

// eachGroup has each group that shows anything drawn at its place on the axis, as one mark.
func (d *diagram) eachGroup(all []Group, draw func(values []float64, x, half float64)) {
	for i, g := range all {
		values := g.sorted(d.y)
		if len(values) == 0 {
			continue
		}
		d.open("mark", g.Tip)
		draw(values, d.x.at(float64(i)), d.halfSlot())
		d.close()
	}
}

// Boxes are box plots after Tukey, one a category: median, quartiles, whiskers to the last value within 1.5 times the
// distance of the quartiles. Fewer than five values are shown as points and their median.
type Boxes struct {
	Style  Style
	Groups []Group
}

func (b Boxes) extend(p Panel, _, y *extent) { extendGroups(b.Groups, p, y) }
func (b Boxes) keys() []key                  { return nil }

func (b Boxes) draw(d *diagram) {
	d.eachGroup(b.Groups, func(values []float64, x, half float64) {
		if len(values) >= fewest {
			q1, q3 := quantile(values, 0.25), quantile(values, 0.75)
			low, high := q1, q3
			for _, v := range values {
				if v >= q1-1.5*(q3-q1) && v <= q3+1.5*(q3-q1) {
					low, high = min(low, v), max(high, v)
				}
			}
			p := b.Style.paint()
			d.line(x, d.y.at(low), x, d.y.at(q1), p, 1.5)
			d.line(x, d.y.at(q3), x, d.y.at(high), p, 1.5)
			d.line(x-half/2, d.y.at(low), x+half/2, d.y.at(low), p, 1.5)
			d.line(x-half/2, d.y.at(high), x+half/2, d.y.at(high), p, 1.5)
			d.rect(rect{x - half, d.y.at(q3), 2 * half, d.y.at(q1) - d.y.at(q3)}, p.alpha(0.25), p, 1.5)
		}
		d.median(values, x, half)
		d.strip(values, x, half*0.6, b.Style)
	})
}

// Violins show the density of the values of each category (Gaussian kernel, Silverman's width), from the least value to
// the greatest. Fewer than five values are shown as points and their median.
type Violins struct {
	Style  Style
	Groups []Group
}

func (v Violins) extend(p Panel, _, y *extent) { extendGroups(v.Groups, p, y) }
func (v Violins) keys() []key                  { return nil }

func (v Violins) draw(d *diagram) {
	d.eachGroup(v.Groups, func(values []float64, x, half float64) {
		if path := v.shape(d, values, x, half); path != nil {
			d.add(item{path: path, fill: v.Style.paint().alpha(0.25), stroke: v.Style.paint(), width: 1.5})
		}
		d.median(values, x, half*0.8)
		d.strip(values, x, half*0.35, v.Style)
	})
}

func (v Violins) shape(d *diagram, sorted []float64, x, half float64) []segment {
	n := float64(len(sorted))
	low, high := sorted[0], sorted[len(sorted)-1]
	if len(sorted) < fewest || low == high {
		return nil
	}
	place := func(value float64) float64 { return value }
	if d.y.Log { // a density over what one sees
		place = math.Log
	}
	mean, squares := 0.0, 0.0
	for _, value := range sorted {
		mean += place(value) / n
	}
	for _, value := range sorted {
		squares += (place(value) - mean) * (place(value) - mean)
	}
	width := math.Sqrt(squares / (n - 1))
	if iqr := place(quantile(sorted, 0.75)) - place(quantile(sorted, 0.25)); iqr > 0 {
		width = min(width, iqr/1.34)
	}
	width *= 0.9 * math.Pow(n, -0.2)
	const steps = 48
	density, peak := make([]float64, steps+1), 0.0
	for k := range density {
		at := place(low) + (place(high)-place(low))*float64(k)/steps
		for _, value := range sorted {
			z := (at - place(value)) / width
			density[k] += math.Exp(-z * z / 2)
		}
		peak = max(peak, density[k])
	}
	outline := make([]point, 2*(steps+1))
	for k, share := range density {
		y := d.y.at(low) + (d.y.at(high)-d.y.at(low))*float64(k)/steps // the axis is even in pixels on both scales
		outline[k] = point{x - half*share/peak, y}
		outline[len(outline)-1-k] = point{x + half*share/peak, y}
	}
	return closed(outline...)
}

func (d *diagram) halfSlot() float64 { return min(math.Abs(d.x.at(1)-d.x.at(0))*0.33, 40) }

// strip draws the values themselves, spread sideways by a fixed rule; beyond a hundred they would only be a smear.
func (d *diagram) strip(values []float64, x, half float64, style Style) {
	if len(values) > 100 {
		return
	}
	for k, v := range values {
		_, turn := math.Modf(float64(k) * (math.Sqrt(5) - 1) / 2)
		shift := 0.0
		if len(values) >= fewest {
			shift = (turn - 0.5) * 2 * half
		}
		d.add(item{path: circle(3), at: point{x + shift, d.y.at(v)}, movable: true, fill: style.paint().alpha(0.7), stroke: ground, width: 0.6})
	}
}

// median draws the middle of several values; one alone is its own.
func (d *diagram) median(values []float64, x, half float64) {
	if len(values) < 2 {
		return
	}
	y := d.y.at(quantile(values, 0.5))
	d.line(x-half, y, x+half, y, ink, 2.5)
}
