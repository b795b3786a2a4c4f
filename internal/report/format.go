package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Value writes a figure with its unit, as the commands print it.
func Value(v float64, unit string) string { return value(v, unit) }

// value writes a figure with its unit, scaled for reading.
func value(v float64, unit string) string {
	switch unit {
	case "s":
		switch size := math.Abs(v); {
		case size > 0 && size < 1e-4:
			return digits(v*1e6) + " µs"
		case size < 10:
			return digits(v*1e3) + " ms"
		}
		return digits(v) + " s"
	case "bytes":
		switch {
		case v > 0 && v < 1<<20:
			return digits(v/(1<<10)) + " KiB"
		case v > 0 && v < 1<<30:
			return digits(v/(1<<20)) + " MiB"
		}
		return digits(v/(1<<30)) + " GiB"
	case "share":
		return fmt.Sprintf("%.1f %%", v*100)
	case "ratio":
		return digits(v)
	case "count":
		return digits(math.Round(v*10) / 10)
	}
	return digits(v) + " " + unit
}

// Moment writes when something was. In UTC, as IDs do, so that the same records give the same text in every time zone.
func Moment(at time.Time) string { return at.UTC().Format(time.DateTime + " UTC") }

// digits gives four significant digits without an exponent, but at most four behind the point, and all of those before it.
func digits(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return fmt.Sprintf("%.0f", v)
	}
	decimals := 3 - int(math.Floor(math.Log10(math.Abs(v)*(1+5e-5)))) // 9.9999 is written 10.00
	return fmt.Sprintf("%.*f", min(max(decimals, 0), 4), v)
}

// change writes a difference: relative ones in per cent, shares in percentage points.
func change(delta float64, r lab.Row) string {
	switch {
	case !r.Absolute:
		return percent(delta)
	case r.Unit == "share":
		return fmt.Sprintf("%+.1f pp", delta*100)
	case r.Unit == "%":
		return fmt.Sprintf("%+.1f pp", delta)
	}
	return fmt.Sprintf("%+.1f", delta)
}

func percent(relative float64) string {
	if math.Abs(relative) >= 10 {
		return fmt.Sprintf("%+.0f %%", relative*100)
	}
	return fmt.Sprintf("%+.1f %%", relative*100)
}

// Title is what a metric is called; its name where the catalogue does not know it.
func Title(name string) string { return title(name) }

// Change writes the difference of a row: relative ones in per cent, shares in percentage points.
func Change(r lab.Row) string { return change(r.Delta, r) }

// Interval writes the bounds of a row; "-" where there are none.
func Interval(r lab.Row) string { return interval(r) }

// size writes a difference without its direction, such as a margin or the smallest one that can be seen.
func size(v float64, r lab.Row) string {
	if r.Absolute {
		if r.Unit == "share" {
			v *= 100
		}
		return two(v) + " percentage points"
	}
	return two(v*100) + " %"
}

// two gives two significant digits without an exponent, and all of those before the point.
func two(v float64) string {
	if math.Abs(v) >= 99.5 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// margin writes that of a plan, to its last digit.
func margin(plan lab.Plan) string {
	if m, _ := metric.Find(plan.Primary); m.Share {
		return fmt.Sprintf("%.4g percentage points", plan.Margin*100)
	}
	return fmt.Sprintf("%.4g %%", plan.Margin*100)
}

// bounds writes the interval of a row in the unit of its difference, for a column beside it; "-" where there is none.
func bounds(r lab.Row) string {
	if r.Low == nil || r.High == nil {
		return "-"
	}
	bare := func(v float64) string {
		text, _, _ := strings.Cut(change(v, r), " ")
		return text
	}
	return "[" + bare(*r.Low) + ", " + bare(*r.High) + "]"
}

// interval writes the bounds of a row; "-" where there are none.
func interval(r lab.Row) string {
	if r.Low == nil || r.High == nil {
		return "-"
	}
	return change(*r.Low, r) + " to " + change(*r.High, r)
}

func probability(p float64) string {
	if p < 0.0001 {
		return "p < 0.0001"
	}
	return fmt.Sprintf("p = %.4f", p)
}

func length(d time.Duration) string {
	whole := d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", whole/time.Minute, whole%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", whole/time.Hour, whole%time.Hour/time.Minute)
}

// title is what a metric is called; its name where the catalogue does not know it.
func title(name string) string {
	if m, known := metric.Find(name); known {
		return m.Title
	}
	return name
}

// load finds the load of a phase.
func load(e lab.Experiment, phase string) lab.Load {
	for _, p := range e.Phases {
		if p.Name == phase {
			return p.Load
		}
	}
	return lab.Load{}
}
