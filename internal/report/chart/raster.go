package chart

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// canvas draws a scene into pixels.
type canvas struct {
	image         *image.RGBA
	scale         float64
	regular, bold []*sfnt.Font // in the order in which they are asked for a character
	buffer        sfnt.Buffer
	replaced      map[string]int
	order         []string
}

// maxPixels bounds what a picture may take in memory (4 bytes a pixel).
const maxPixels = 100_000_000

func (s *scene) png(scale float64, fonts Fonts) ([]byte, []string, error) {
	w, h := int(math.Ceil(s.w*scale)), int(math.Ceil(s.h*scale))
	if w <= 0 || h <= 0 || w > maxPixels/h {
		return nil, nil, fmt.Errorf("draw %s: a picture of %d x %d pixels is too large", s.title, w, h)
	}
	c := &canvas{
		image: image.NewRGBA(image.Rect(0, 0, w, h)), scale: scale,
		regular: append([]*sfnt.Font{latin(false)}, fonts.others...), bold: append([]*sfnt.Font{latin(true)}, fonts.others...),
		replaced: map[string]int{},
	}
	draw.Draw(c.image, c.image.Bounds(), image.NewUniform(ground.color), image.Point{}, draw.Src)
	for _, i := range s.items {
		switch i.kind {
		case pathItem:
			c.shape(i)
		case textItem:
			c.text(i)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, c.image); err != nil {
		return nil, nil, fmt.Errorf("write PNG: %w", err)
	}
	return out.Bytes(), c.told(), nil
}

// shape fills and strokes a path.
func (c *canvas) shape(i item) {
	contours := flatten(i.path)
	for _, contour := range contours {
		for k := range contour.points {
			p := &contour.points[k]
			*p = point{(p.x + i.at.x) * c.scale, (p.y + i.at.y) * c.scale}
		}
	}
	if !i.fill.none() {
		var polygons [][]point
		for _, contour := range contours {
			polygons = append(polygons, contour.points)
		}
		c.fill(polygons, i.fill.color)
	}
	if !i.stroke.none() {
		var polygons [][]point
		for _, contour := range contours {
			polygons = append(polygons, outline(contour, i.width*c.scale, scaled(i.dash, c.scale))...)
		}
		c.fill(polygons, i.stroke.color)
	}
}

func scaled(lengths []float64, by float64) []float64 {
	out := make([]float64, len(lengths))
	for i, l := range lengths {
		out[i] = l * by
	}
	return out
}

// fill paints polygons whose points are pixels. The mask is only as large as they are: a picture has many small shapes.
func (c *canvas) fill(polygons [][]point, with color.NRGBA) {
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, polygon := range polygons {
		for _, p := range polygon {
			low = point{min(low.x, p.x), min(low.y, p.y)}
			high = point{max(high.x, p.x), max(high.y, p.y)}
		}
	}
	box := image.Rect(floor(low.x), floor(low.y), floor(high.x)+1, floor(high.y)+1)
	if box.Intersect(c.image.Bounds()).Empty() || box.Dx() > 4*c.image.Bounds().Dx() || box.Dy() > 4*c.image.Bounds().Dy() {
		return
	}
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	for _, polygon := range polygons {
		for k, p := range polygon {
			x, y := float32(p.x-float64(box.Min.X)), float32(p.y-float64(box.Min.Y))
			if k == 0 {
				z.MoveTo(x, y)
			} else {
				z.LineTo(x, y)
			}
		}
		z.ClosePath()
	}
	z.DrawOp = draw.Src
	mask := image.NewAlpha(image.Rect(0, 0, box.Dx(), box.Dy()))
	z.Draw(mask, mask.Bounds(), image.Opaque, image.Point{})
	draw.DrawMask(c.image, box, image.NewUniform(with), image.Point{}, mask, image.Point{}, draw.Over)
}

func floor(v float64) int { return int(math.Floor(v)) }

// text draws the outlines of the glyphs, so that it turns and scales like everything else.
func (c *canvas) text(i item) {
	fonts := c.regular
	if i.bold {
		fonts = c.bold
	}
	text := c.drawable(i.text, fonts)
	size := i.size * c.scale
	var polygons [][]point
	x := 0.0
	for _, r := range text {
		f, glyph := pick(fonts, r)
		polygons = append(polygons, c.glyph(f, glyph, size, x)...)
		if advance, err := f.GlyphAdvance(&c.buffer, glyph, ppem(size), font.HintingNone); err == nil {
			x += float64(advance) / 64
		}
	}
	shift := x * []float64{0, 0.5, 1}[i.anchor]
	sin, cos := math.Sincos(i.rotate * math.Pi / 180)
	for _, polygon := range polygons {
		for k, p := range polygon {
			px, py := p.x-shift, p.y
			polygon[k] = point{i.at.x*c.scale + px*cos - py*sin, i.at.y*c.scale + px*sin + py*cos}
		}
	}
	c.fill(polygons, i.fill.color)
}

func ppem(size float64) fixed.Int26_6 { return fixed.Int26_6(math.Round(size * 64)) }

// glyph is the outline of one glyph at a place on the baseline.
func (c *canvas) glyph(f *sfnt.Font, index sfnt.GlyphIndex, size, x float64) [][]point {
	segments, err := f.LoadGlyph(&c.buffer, index, ppem(size), nil)
	if err != nil {
		return nil
	}
	at := func(p fixed.Point26_6) point { return point{x + float64(p.X)/64, float64(p.Y) / 64} }
	var path []segment
	last := point{}
	for _, s := range segments {
		a, b, d := at(s.Args[0]), at(s.Args[1]), at(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			path, last = append(path, segment{verb: 'M', p: [3]point{a}}), a
		case sfnt.SegmentOpLineTo:
			path, last = append(path, segment{verb: 'L', p: [3]point{a}}), a
		case sfnt.SegmentOpQuadTo: // a quadratic curve as the cubic that is equal to it
			c1 := point{last.x + 2.0/3*(a.x-last.x), last.y + 2.0/3*(a.y-last.y)}
			c2 := point{b.x + 2.0/3*(a.x-b.x), b.y + 2.0/3*(a.y-b.y)}
			path, last = append(path, segment{verb: 'C', p: [3]point{c1, c2, b}}), b
		case sfnt.SegmentOpCubeTo:
			path, last = append(path, segment{verb: 'C', p: [3]point{a, b, d}}), d
		}
	}
	var polygons [][]point
	for _, contour := range flatten(path) {
		polygons = append(polygons, contour.points)
	}
	return polygons
}

func pick(fonts []*sfnt.Font, r rune) (*sfnt.Font, sfnt.GlyphIndex) {
	for _, f := range fonts {
		if glyph, ok := glyphOf(f, r); ok {
			return f, glyph
		}
	}
	return fonts[0], 0
}

// drawable puts a number in brackets for each run of characters that no font has.
func (c *canvas) drawable(text string, fonts []*sfnt.Font) string {
	var out, run strings.Builder
	flush := func() {
		if run.Len() == 0 {
			return
		}
		missing := run.String()
		if !slices.Contains(c.order, missing) {
			c.order = append(c.order, missing)
			c.replaced[missing] = len(c.order)
		}
		fmt.Fprintf(&out, "[%d]", c.replaced[missing])
		run.Reset()
	}
	for _, r := range text {
		if _, glyph := pick(fonts, r); glyph == 0 {
			run.WriteRune(r)
			continue
		}
		flush()
		out.WriteRune(r)
	}
	flush()
	return out.String()
}

func (c *canvas) told() []string {
	var told []string
	for i, text := range c.order {
		told = append(told, fmt.Sprintf("[%d] = %s", i+1, text))
	}
	return told
}
