package chart

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Axis is one axis of a panel: of categories where it has some (their data are 0, 1, 2 …), else of numbers.
type Axis struct {
	Title      string // with the unit: "TTFT (ms)"
	Categories []string
	Log        bool
	Zero       bool      // starts at zero
	Whole      bool      // counts: no tick between two whole numbers
	Time       bool      // seconds since 1970, written as UTC
	Min, Max   float64   // what the axis shows, where Min is below Max; else what the data need
	Ticks      []float64 // where the ticks belong, such as the loads that were measured; none: at round numbers
}

// scale maps values to pixels.
type scale struct {
	Axis
	min, max float64
	from, to float64
}

func newScale(a Axis, e extent) scale {
	s := scale{Axis: a, min: e.min, max: e.max}
	switch {
	case len(a.Categories) > 0:
		s.min, s.max = -0.5, float64(len(a.Categories))-0.5
	case a.Min < a.Max:
		s.min, s.max = a.Min, a.Max
	case s.min > s.max: // nothing to show
		s.min, s.max = 0, 1
		if a.Log {
			s.min = 0.1
		}
	case a.Log:
		ratio := s.max / s.min
		if ratio < 2 {
			ratio = 100
		}
		s.min, s.max = s.min/math.Pow(ratio, max(e.before, 0.05)), s.max*math.Pow(ratio, max(e.after, 0.05))
	default:
		s.pad(e)
	}
	return s
}

// pad leaves room between the data and the frame, except at a zero on which bars stand.
func (s *scale) pad(e extent) {
	if s.Zero || e.zero {
		s.min, s.max = min(s.min, 0), max(s.max, 0)
	}
	length := s.max - s.min
	if length == 0 {
		length = max(math.Abs(s.max), 5)
		if s.Time {
			length = 600
		}
	}
	if s.min != 0 || !(s.Zero || e.zero) || e.before > 0 {
		s.min -= length * max(e.before, 0.06)
	}
	s.max += length * max(e.after, 0.06)
}

func (s scale) at(v float64) float64 {
	low, high := s.min, s.max
	if s.Log {
		low, high, v = math.Log(low), math.Log(high), math.Log(max(v, s.min))
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// largest bounds what is drawn: beyond it, the steps of an axis are finer than the numbers.
const largest = 1e15

// shows says whether the axis has a place for a value.
func (s scale) shows(v float64) bool {
	return math.Abs(v) < largest && (!s.Log || v > 1/largest)
}

// attr describes the axis to a page that zooms.
func (s scale) attr() string {
	kind := "number"
	switch {
	case len(s.Categories) > 0 || len(s.Axis.Ticks) > 0:
		kind = "fixed" // no ticks but these
	case s.Log:
		kind = "log"
	case s.Time:
		kind = "time"
	}
	return kind + " " + strconv.FormatFloat(s.min, 'g', 8, 64) + " " + strconv.FormatFloat(s.max, 'g', 8, 64)
}

// extent is what an axis must show.
type extent struct {
	min, max float64
	zero     bool    // bars stand on it
	before   float64 // room that the layers need beside the data, as a share of the axis
	after    float64
}

func noExtent() extent { return extent{min: math.Inf(1), max: math.Inf(-1)} }

func (e *extent) add(a Axis, values ...float64) {
	for _, v := range values {
		if (scale{Axis: a}).shows(v) {
			e.min, e.max = min(e.min, v), max(e.max, v)
		}
	}
}

func (e extent) empty() bool { return e.min > e.max }

type tick struct {
	value float64
	label string
}

// ticks gives the marks of an axis, about one every so many pixels.
func (s scale) ticks(every float64) []tick {
	length := math.Abs(s.to - s.from)
	n := max(2, int(length/every))
	switch {
	case len(s.Categories) > 0:
		all := make([]tick, len(s.Categories))
		for i, c := range s.Categories {
			all[i] = tick{float64(i), c}
		}
		return all
	case len(s.Axis.Ticks) > 0:
		var all []tick
		for _, v := range s.Axis.Ticks {
			if v >= s.min && v <= s.max && s.shows(v) {
				all = append(all, tick{v, Format(v)})
			}
		}
		return all
	case s.Time:
		return s.timeTicks(n)
	case s.Log:
		if all := s.logTicks(n); len(all) > 1 {
			return all
		}
	}
	return s.linearTicks(n)
}

func (s scale) linearTicks(n int) []tick {
	step := niceStep((s.max - s.min) / float64(n))
	if s.Whole {
		step = max(1, math.Round(step))
	}
	var values []float64
	first := math.Ceil(s.min/step - 1e-9)
	for k := range 4 * n { // more than enough, should a step be lost in rounding
		v := (first + float64(k)) * step
		if v > s.max+step*1e-9 {
			break
		}
		values = append(values, v)
	}
	return labelled(values, step)
}

// niceStep rounds a step up to 1, 2, 2.5 or 5 times a power of ten.
func niceStep(step float64) float64 {
	if step <= 0 || math.IsInf(step, 0) || math.IsNaN(step) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, factor := range []float64{1, 2, 2.5, 5, 10} {
		if factor*power >= step*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// labelled writes the values of one axis with the same number of decimals, in thousands where all are long.
func labelled(values []float64, step float64) []tick {
	unit, suffix := 1.0, ""
	for _, v := range values {
		switch size := math.Abs(v); {
		case size >= 1e7:
			unit, suffix = 1e6, "M"
		case size >= 1e4 && unit < 1e3:
			unit, suffix = 1e3, "k"
		}
	}
	decimals := 0
	for decimals < 9 && math.Abs(step/unit*math.Pow10(decimals)-math.Round(step/unit*math.Pow10(decimals))) > 1e-6 {
		decimals++
	}
	var all []tick
	for _, v := range values {
		if math.Abs(v) < step*1e-9 {
			all = append(all, tick{0, "0"})
			continue
		}
		all = append(all, tick{v, strconv.FormatFloat(v/unit, 'f', decimals, 64) + suffix})
	}
	return all
}

// logTicks marks 1, 2 and 5 of each decade, or the decades only where they are many.
func (s scale) logTicks(n int) []tick {
	for _, factors := range [][]float64{{1, 2, 3, 5}, {1, 2, 5}, {1, 3}, {1}} {
		var all []tick
		for power := math.Floor(math.Log10(s.min)); power <= math.Ceil(math.Log10(s.max)); power++ {
			for _, f := range factors {
				if v := f * math.Pow(10, power); v >= s.min && v <= s.max {
					all = append(all, tick{v, Format(v)})
				}
			}
		}
		if len(all) <= n+1 || len(factors) == 1 {
			return all
		}
	}
	return nil
}

// timeTicks marks round times of the clock.
func (s scale) timeTicks(n int) []tick {
	const minute, hour, day = 60.0, 3600.0, 86400.0
	want := (s.max - s.min) / float64(n)
	step := math.Ceil(want/day) * day
	for _, nice := range []float64{1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
		hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day} {
		if nice >= want {
			step = nice
			break
		}
	}
	var all []tick
	lastDay := ""
	for v := math.Ceil(s.min/step) * step; v <= s.max; v += step {
		at := time.Unix(int64(v), 0).UTC()
		date := at.Format("Jan 2")
		label := at.Format("15:04")
		if step < minute {
			label = at.Format("15:04:05")
		}
		switch {
		case step >= day:
			label = date
		case date != lastDay:
			label += "\n" + date
		}
		lastDay = date
		all = append(all, tick{v, label})
	}
	return all
}

// Format writes a value for reading: four significant digits, no exponent, long ones in thousands.
func Format(v float64) string {
	size := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strconv.FormatFloat(v, 'f', -1, 64), "+")
	case size >= 1e7:
		return trimmed(v/1e6, size/1e6) + "M"
	case size >= 1e4:
		return trimmed(v/1e3, size/1e3) + "k"
	}
	return trimmed(v, size)
}

func trimmed(v, size float64) string {
	if size == 0 {
		return "0"
	}
	decimals := min(max(3-int(math.Floor(math.Log10(size))), 0), 6)
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}
