package chart

import (
	"fmt"
	"image/color"
	"math"
	"strings"
)

// paint is a colour by its role in the picture: a page may give the role another colour, a PNG uses this one. A paint
// without a role means its colour whatever the theme; the zero paint draws nothing.
type paint struct {
	role  string
	color color.NRGBA
}

func (p paint) none() bool { return p.color.A == 0 }

func (p paint) alpha(share float64) paint {
	p.color.A = uint8(math.Round(255 * share))
	return p
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

func (p paint) hex() string { return fmt.Sprintf("#%02x%02x%02x", p.color.R, p.color.G, p.color.B) }

var (
	ground = paint{"ground", rgb(0xffffff)}
	ink    = paint{"ink", rgb(0x1c2430)}
	muted  = paint{"muted", rgb(0x5b6675)}
	axis   = paint{"axis", rgb(0x8a94a3)}
	mesh   = paint{"mesh", rgb(0xe4e8ee)}
)

// series are the colours of Okabe and Ito, told apart with any common colour blindness; their pale yellow is darkened, for it
// is lost on white. The dark ones are the same hues for a dark page.
var series = []struct{ light, dark uint32 }{
	{0x0072b2, 0x56a8e0},
	{0xd55e00, 0xff8a3d},
	{0x009e73, 0x2fc99b},
	{0xcc79a7, 0xe69bc4},
	{0xb58900, 0xf0c93a},
	{0x3a9bd6, 0x8fd0f7},
	{0x4d4d4d, 0xc4c9d1},
	{0x7b3294, 0xc08ad6},
}

// Style is a look that tells a series from the others: colour, marker and dash, so that it reads without colour. Any
// number is a style; the first 8 differ in all three.
type Style int

func (s Style) index() int {
	n := len(series)
	return ((int(s) % n) + n) % n
}

func (s Style) paint() paint {
	return paint{fmt.Sprintf("s%d", s.index()), rgb(series[s.index()].light)}
}

// round counts how often the colours were used up before this style: marker and dash move on each time.
func (s Style) round() int { return max(0, int(s)) / len(series) }

func (s Style) dash() []float64 {
	dashes := [][]float64{nil, {7, 3}, {2, 3}, {9, 3, 2, 3}, {5, 5}, {12, 4}, {3, 2}, {1, 4}}
	return dashes[(s.index()+3*s.round())%len(dashes)]
}

func (s Style) marker() int { return (s.index() + 3*s.round()) % markers }

// sequential runs from pale to dark in even steps of lightness (after cividis, safe for colour blindness): more is darker,
// on paper too.
var sequential = []uint32{0xfff3b0, 0xf2d96b, 0xcdb866, 0xa69d75, 0x7f8078, 0x5a6474, 0x35496c, 0x00224e}

// diverging runs from blue through white to orange; white is zero.
var diverging = []uint32{0x0b5394, 0x5a94c8, 0xb3d0ea, 0xf7f7f7, 0xf6cfa6, 0xdf8a3c, 0x9c4a00}

func ramp(stops []uint32, share float64) color.NRGBA {
	place := min(max(share, 0), 1) * float64(len(stops)-1)
	i := min(int(place), len(stops)-2)
	a, b, t := rgb(stops[i]), rgb(stops[i+1]), place-float64(i)
	mix := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + (float64(y)-float64(x))*t)) }
	return color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}

// legible is black or white, whichever stands out more on a colour (relative luminance of WCAG 2).
func legible(on color.NRGBA) paint {
	linear := func(v uint8) float64 {
		c := float64(v) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	luminance := 0.2126*linear(on.R) + 0.7152*linear(on.G) + 0.0722*linear(on.B)
	if luminance > 0.18 {
		return paint{"", rgb(0x111111)}
	}
	return paint{"", rgb(0xffffff)}
}

// CSS gives a page that holds figures inline the colours by role, for light, dark and paper, and what [Script] needs. Any of
// the variables may be set by the page.
func CSS() string {
	var b strings.Builder
	light := []paint{ground, ink, muted, axis, mesh}
	dark := []uint32{0x14181f, 0xe8ecf2, 0xa5b0bf, 0x6c7787, 0x2a313c}
	variables := func(dark_ bool) string {
		var v strings.Builder
		for i, p := range light {
			hex := p.hex()
			if dark_ {
				hex = fmt.Sprintf("#%06x", dark[i])
			}
			fmt.Fprintf(&v, "--chart-%s:%s;", p.role, hex)
		}
		for i, s := range series {
			hex := s.light
			if dark_ {
				hex = s.dark
			}
			fmt.Fprintf(&v, "--chart-s%d:#%06x;", i, hex)
		}
		return v.String()
	}
	fmt.Fprintf(&b, ":root{color-scheme:light dark;%s}\n", variables(false))
	fmt.Fprintf(&b, "@media screen and (prefers-color-scheme:dark){:root:not([data-theme=light]){%s}}\n", variables(true))
	fmt.Fprintf(&b, "@media screen{:root[data-theme=dark]{color-scheme:dark;%s}:root[data-theme=light]{color-scheme:light}}\n", variables(true))
	roles := []string{}
	for _, p := range light {
		roles = append(roles, p.role)
	}
	for i := range series {
		roles = append(roles, fmt.Sprintf("s%d", i))
	}
	for _, role := range roles {
		fmt.Fprintf(&b, ".chart .f-%s{fill:var(--chart-%s)}.chart .k-%s{stroke:var(--chart-%s)}\n", role, role, role, role)
	}
	b.WriteString(".chart{max-width:100%;height:auto}\n" + scriptStyle)
	return b.String()
}
