package chart

import "math"

// contour is a path as straight pieces.
type contour struct {
	points []point
	closed bool
}

// flatten turns curves into straight pieces, short enough for any size at which we draw.
func flatten(path []segment) []contour {
	var all []contour
	last := func() *contour { return &all[len(all)-1] }
	for _, s := range path {
		switch s.verb {
		case 'M':
			all = append(all, contour{points: []point{s.p[0]}})
		case 'L':
			last().points = append(last().points, s.p[0])
		case 'C':
			from := last().points[len(last().points)-1]
			const steps = 8
			for k := 1; k <= steps; k++ {
				t := float64(k) / steps
				u := 1 - t
				a, b, c, d := u*u*u, 3*u*u*t, 3*u*t*t, t*t*t
				last().points = append(last().points, point{
					a*from.x + b*s.p[0].x + c*s.p[1].x + d*s.p[2].x,
					a*from.y + b*s.p[0].y + c*s.p[1].y + d*s.p[2].y,
				})
			}
		case 'Z':
			last().closed = true
		}
	}
	return all
}

// outline gives the polygons of a stroked line: a rectangle a piece, a disc at each joint. All turn the same way, so that
// their union is painted where they overlap.
func outline(c contour, width float64, dash []float64) [][]point {
	points := c.points
	if c.closed && len(points) > 0 {
		points = append(append([]point{}, points...), points[0])
	}
	var polygons [][]point
	for _, piece := range dashed(points, dash) {
		for k := 1; k < len(piece); k++ {
			if quad := bar(piece[k-1], piece[k], width/2); quad != nil {
				polygons = append(polygons, quad)
			}
			if k+1 < len(piece) || c.closed && len(dash) == 0 {
				polygons = append(polygons, disc(piece[k], width/2))
			}
		}
	}
	return polygons
}

func bar(a, b point, half float64) []point {
	length := math.Hypot(b.x-a.x, b.y-a.y)
	if length == 0 {
		return nil
	}
	nx, ny := -(b.y-a.y)/length*half, (b.x-a.x)/length*half
	return []point{{a.x + nx, a.y + ny}, {a.x - nx, a.y - ny}, {b.x - nx, b.y - ny}, {b.x + nx, b.y + ny}}
}

func disc(at point, radius float64) []point {
	const n = 12
	points := make([]point, n)
	for k := range n {
		sin, cos := math.Sincos(2 * math.Pi * float64(k) / n)
		points[k] = point{at.x + radius*cos, at.y + radius*sin}
	}
	return points
}

// dashed cuts a line into its dashes; without a pattern it stays whole.
func dashed(points []point, pattern []float64) [][]point {
	if len(pattern) == 0 || len(points) < 2 {
		return [][]point{points}
	}
	var pieces [][]point
	index, left := 0, pattern[0]
	piece := []point{points[0]}
	for k := 1; k < len(points); k++ {
		a, b := points[k-1], points[k]
		for length := math.Hypot(b.x-a.x, b.y-a.y); length > 0; {
			step := min(left, length)
			a = point{a.x + (b.x-a.x)*step/length, a.y + (b.y-a.y)*step/length}
			length -= step
			left -= step
			piece = append(piece, a)
			if left > 0 {
				continue
			}
			if index%2 == 0 {
				pieces = append(pieces, piece)
			}
			index++
			left = pattern[index%len(pattern)]
			piece = []point{a}
		}
	}
	if index%2 == 0 && len(piece) > 1 {
		pieces = append(pieces, piece)
	}
	return pieces
}
