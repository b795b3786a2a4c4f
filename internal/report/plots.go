package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/metric"
)

// Plots is what the small pictures of a run show.
type Plots struct {
	Timeline   correlate.Timeline `json:"timeline"`
	Histograms []metric.Histogram `json:"histograms"`
}

// PlotsOf computes the pictures of a run from its records, with at most so many windows of time.
func PlotsOf(r lab.Run, t lab.Tables, windows int) Plots {
	return Plots{Timeline: correlate.Windows(r, t, windows), Histograms: list(metric.Histograms(r, t))}
}

// What a picture needs before it says more than a number does.
const (
	fewestWindows = 8
	widestPlot    = 100 // columns; the eye does not follow a longer one
)

// plotLabel is the room before a picture, plotRange and plotCount that behind it.
const (
	plotLabel = 16
	plotRange = 18
	plotCount = 8
)

// PlotColumns is how many windows of time a terminal has room for.
func PlotColumns(o Options) int {
	room := o.width() - 2 - plotLabel - 2 - 2 - plotRange
	if o.counted() {
		room -= 2 + plotCount
	}
	return min(widestPlot, max(fewestWindows+2, room))
}

// counted says whether there is room for what each row rests on.
func (o Options) counted() bool { return o.width() >= 70 }

// Plot draws the small pictures of a run: a line of blocks for what changed over time, bars for how TTFT lies.
func Plot(w io.Writer, plots Plots, r lab.Run, s lab.Summary, o Options) error {
	p := &printer{w: w, o: o}
	p.timeline(plots.Timeline)
	for _, h := range plots.Histograms {
		p.histogram(h, s, len(r.Experiment.Phases) > 1)
	}
	return p.err
}

// timeline draws each quantity as a row from its lowest value to its highest. One that has a value in few windows is left to
// the numbers.
func (p *printer) timeline(t correlate.Timeline) {
	curves, left := plotted(t.Curves)
	if len(curves) == 0 {
		return
	}
	windows, levels := len(curves[0].V), p.levels()
	p.line("")
	p.paragraph("over time  ", fmt.Sprintf("%d windows of %s, each row from its lowest (%c) to its highest (%c)", windows, handy(t.Window), levels[0], levels[len(levels)-1]))
	if len(t.Phases) > 1 {
		p.plotRow("phase", phaseBand(t, windows), "", "")
	}
	for _, c := range curves {
		n := 0
		for _, one := range c.N {
			n += one
		}
		p.plotRow(curveName(c), sparkline(c.V, levels), extremes(c), fmt.Sprint("n ", n))
	}
	p.plotRow("", timeAxis(t, windows), "", "")
	counted := "n: requests, tokens or readings"
	if !p.o.counted() {
		counted = "what each row rests on: with 70 columns, or --json"
	}
	if slices.ContainsFunc(curves, func(c correlate.Curve) bool { return c.Scaled }) {
		counted += "; output: the server counted the tokens of a request as a whole, and they are shared out over its chunks"
	}
	if left > 0 {
		counted += fmt.Sprintf("; the other GPUs (%d) are in --json", left)
	}
	p.paragraph("  ", counted)
}

// plotted are the curves for a person in the order of reading: requests, engine, the first two GPUs.
func plotted(all []correlate.Curve) (curves []correlate.Curve, gpusLeft int) {
	const mostGPUs = 2
	pick := func(device string, values ...string) {
		for _, value := range values {
			for _, c := range all {
				if c.Device == device && c.Value == value && filled(c.V) >= fewestWindows {
					curves = append(curves, c)
				}
			}
		}
	}
	pick("requests", "ttft.p50", "itl.p50", "output_tokens", "in_flight")
	pick("engine", lab.EngineWaiting, lab.EngineKVUsage)
	var gpus []string
	for _, c := range all {
		if deviceClass(c.Device) == "gpu" && !slices.Contains(gpus, c.Device) {
			gpus = append(gpus, c.Device)
		}
	}
	shown := min(mostGPUs, len(gpus))
	for _, gpu := range gpus[:shown] {
		pick(gpu, lab.GPUPower, lab.GPUSMClock, lab.GPUUtil)
	}
	return curves, len(gpus) - shown
}

// plotRow writes a picture between its name and its figures.
func (p *printer) plotRow(name, picture, figures, n string) {
	name = cut(name, plotLabel)
	room := PlotColumns(p.o)
	pad := func(text string, width int) string {
		return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
	}
	row := fmt.Sprintf("  %s  %s  %s", pad(name, plotLabel), pad(picture, min(room, lipgloss.Width(picture))), pad(figures, plotRange))
	if p.o.counted() {
		row += "  " + n
	}
	p.line("%s", row)
}

// levels are the heights of a line of blocks, the lowest first.
func (p *printer) levels() []rune {
	if p.o.ASCII {
		return []rune("_.-:=+*#")
	}
	return []rune("▁▂▃▄▅▆▇█")
}

// flat is the share of its height within which a line counts as level.
const flat = 0.02

// sparkline draws values by their place between the lowest and the highest; what is not known is blank. A line that is level
// is drawn half way up, at nothing at the bottom.
func sparkline(values []float64, levels []rune) string {
	low, high := ends(values)
	var b strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			b.WriteByte(' ')
		case low == 0 && high == 0:
			b.WriteRune(levels[0])
		case high-low <= flat*math.Abs(high):
			b.WriteRune(levels[len(levels)/2-1])
		default:
			b.WriteRune(levels[min(len(levels)-1, int((v-low)/(high-low)*float64(len(levels))))])
		}
	}
	return b.String()
}

// ends are the lowest and the highest of the values that are known.
func ends(values []float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	return low, high
}

// filled counts the values that are known.
func filled(values []float64) int {
	n := 0
	for _, v := range values {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}

// curveName is what a curve is called in a narrow column.
func curveName(c correlate.Curve) string {
	switch c.Value {
	case "output_tokens":
		return "output"
	case "in_flight":
		return "in flight"
	case lab.EngineWaiting:
		return "waiting"
	case lab.EngineKVUsage:
		return "KV cache in use"
	}
	if c.Device == "requests" {
		quantity, stat, _ := strings.Cut(c.Value, ".")
		return strings.ToUpper(quantity) + " " + stat
	}
	return SampledName(c.Device, c.Value)
}

// curveUnit is the unit of a curve's values; a number of requests has none.
func curveUnit(c correlate.Curve) string {
	switch {
	case c.Value == "output_tokens":
		return "tok/s"
	case c.Value == "in_flight":
		return "count"
	case c.Device == "requests":
		return "s"
	}
	return SampledUnit(c.Value)
}

// extremes writes the lowest and the highest value of a curve in one unit.
func extremes(c correlate.Curve) string {
	low, high := ends(c.V)
	scale, unit := 1.0, curveUnit(c)
	switch {
	case unit == "share":
		scale, unit = 100, "%"
	case unit == "s" && high < 1e-4:
		scale, unit = 1e6, "µs"
	case unit == "s" && high < 10:
		scale, unit = 1e3, "ms"
	case unit == "count":
		unit = ""
	}
	from, to := three(low*scale), three(high*scale)
	if from == to {
		return strings.TrimSpace(to + " " + unit)
	}
	return strings.TrimSpace(from + " to " + to + " " + unit)
}

// three gives three significant digits, and all of those before the point.
func three(v float64) string {
	if v == 0 {
		return "0"
	}
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return fmt.Sprintf("%.*f", min(max(decimals, 0), 3), v)
}

// handy writes the length of a window.
func handy(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%g s", d.Seconds())
}

// phaseBand writes the names of the phases where they begin.
func phaseBand(t correlate.Timeline, windows int) string {
	band := ""
	for i, phase := range t.Phases {
		from, to := int((phase.From-t.From)/t.Window), windows
		if i+1 < len(t.Phases) {
			to = int((t.Phases[i+1].From - t.From) / t.Window)
		}
		from = max(from, lipgloss.Width(band))
		if to-from < 2 {
			continue
		}
		band += strings.Repeat(" ", from-lipgloss.Width(band)) + "|" + cut(phase.Name, to-from-1)
	}
	return band
}

// timeAxis writes when the windows begin and end, counted from the start of the load.
func timeAxis(t correlate.Timeline, windows int) string {
	end := length(t.To - t.From)
	return "0 s" + strings.Repeat(" ", max(1, windows-3-len(end))) + end
}

// histogram draws how a latency of one phase lies, with the percentiles beside the bucket that they are in.
func (p *printer) histogram(h metric.Histogram, s lab.Summary, named bool) {
	p.line("")
	of := fmt.Sprintf("%d requests", h.N)
	if named {
		of += " of phase " + h.Phase
	}
	p.paragraph(strings.ToUpper(h.Metric)+"  ", fmt.Sprintf("%s by size, in buckets of ratio %s", of, three(math.Pow(10, 1/float64(h.PerDecade)))))
	scale, unit := 1e3, "ms"
	if h.Edges[0] >= 1 {
		scale, unit = 1, "s"
	}
	room := min(60, PlotColumns(p.o))
	most := slices.Max(h.Counts)
	g := &grid{right: map[int]bool{0: true, 2: true}}
	for i, n := range h.Counts {
		g.add(three(h.Edges[i]*scale)+" to "+three(h.Edges[i+1]*scale)+" "+unit, p.bar(n, most, room), fmt.Sprint(n), marks(h, i, s))
	}
	p.grid(g, "  ")
}

// marks names the percentiles of the phase that lie in a bucket.
func marks(h metric.Histogram, bucket int, s lab.Summary) string {
	var names []string
	for _, stat := range []string{"p50", "p95", "p99"} {
		f, ok := s.Figure(h.Phase, h.Metric+"."+stat)
		if ok && f.Value >= h.Edges[bucket] && f.Value < h.Edges[bucket+1] {
			names = append(names, stat)
		}
	}
	return strings.Join(names, ", ")
}

// bar is a bar of eighths of a column. A count that is not 0 is always seen.
func (p *printer) bar(n, most, room int) string {
	if p.o.ASCII {
		return strings.Repeat("#", atLeastOne(n, n*room/most))
	}
	eighths := atLeastOne(n, n*room*8/most)
	return strings.Repeat("█", eighths/8) + strings.TrimSpace(string([]rune(" ▏▎▍▌▋▊▉")[eighths%8]))
}

func atLeastOne(n, drawn int) int {
	if n > 0 {
		return max(1, drawn)
	}
	return drawn
}
