package chart

import "math"

const markers = 8

// marker is the outline of a marker about the origin. All have about the same area, so that none looks heavier.
func marker(kind int, radius float64) []segment {
	r := radius
	switch kind % markers {
	case 1:
		a := 0.89 * r
		return closed(point{-a, -a}, point{a, -a}, point{a, a}, point{-a, a})
	case 2:
		return regular(3, 1.35*r, -90)
	case 3:
		return closed(point{0, -1.3 * r}, point{1.3 * r, 0}, point{0, 1.3 * r}, point{-1.3 * r, 0})
	case 4:
		return regular(3, 1.35*r, 90)
	case 5: // plus
		a, b := 0.45*r, 1.3*r
		return closed(point{-a, -b}, point{a, -b}, point{a, -a}, point{b, -a}, point{b, a}, point{a, a}, point{a, b}, point{-a, b},
			point{-a, a}, point{-b, a}, point{-b, -a}, point{-a, -a})
	case 6: // star
		var points []point
		for k := range 10 {
			size := 1.5 * r
			if k%2 == 1 {
				size = 0.65 * r
			}
			sin, cos := math.Sincos((float64(k)*36 - 90) * math.Pi / 180)
			points = append(points, point{size * cos, size * sin})
		}
		return closed(points...)
	case 7:
		return regular(6, 1.1*r, 0)
	}
	return circle(r)
}

func regular(n int, r, turn float64) []segment {
	var points []point
	for k := range n {
		sin, cos := math.Sincos((float64(k)*360/float64(n) + turn) * math.Pi / 180)
		points = append(points, point{r * cos, r * sin})
	}
	return closed(points...)
}

// circle uses four cubic curves; k is the usual length of their handles, (4/3)(√2-1).
func circle(r float64) []segment {
	k := r * 4 / 3 * (math.Sqrt2 - 1)
	curve := func(a, b, c point) segment { return segment{verb: 'C', p: [3]point{a, b, c}} }
	return []segment{
		{verb: 'M', p: [3]point{{r, 0}}},
		curve(point{r, k}, point{k, r}, point{0, r}),
		curve(point{-k, r}, point{-r, k}, point{-r, 0}),
		curve(point{-r, -k}, point{-k, -r}, point{0, -r}),
		curve(point{k, -r}, point{r, -k}, point{r, 0}),
		{verb: 'Z'},
	}
}
