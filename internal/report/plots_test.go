package report

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/metric"
)

// plots is two phases of 30 s, the second beyond what the server carries; the GPU was lost for a while.
func plots() (Plots, lab.Run, lab.Summary) {
	s := time.Second
	t := correlate.Timeline{From: 9 * s, To: 69 * s, Window: 2 * s,
		Phases: []correlate.Stretch{{Name: "开环", From: 9 * s, To: 39 * s, Judged: true}, {Name: "saturation", From: 39 * s, To: 69 * s, Judged: true}}}
	add := func(device, value string, n int, f func(i float64) float64) {
		c := correlate.Curve{Device: device, Value: value}
		for i := range 30 {
			c.At, c.V, c.N = append(c.At, t.From+time.Duration(2*i+1)*s), append(c.V, f(float64(i))), append(c.N, n)
		}
		t.Curves = append(t.Curves, c)
	}
	late := func(i, before, after float64) float64 {
		if i < 15 {
			return before
		}
		return after
	}
	add("requests", "ttft.p50", 20, func(i float64) float64 { return late(i, .012, .012*math.Pow(1.3, i-15)) })
	add("requests", "itl.p50", 2560, func(i float64) float64 { return .008 + .00001*math.Sin(i) }) // level
	add("requests", "output_tokens", 2580, func(i float64) float64 { return late(i, 1290+30*math.Sin(i), 2100) })
	add("requests", "in_flight", 20, func(i float64) float64 { return late(i, 10, 10+4*(i-15)) })
	add("engine", lab.EngineWaiting, 2, func(i float64) float64 { return late(i, 0, 4*(i-15)) })
	add("engine", lab.EngineKVUsage, 2, func(i float64) float64 { return late(i, .3, 1) })
	for _, gpu := range []string{"gpu0", "gpu1", "gpu2"} {
		add(gpu, lab.GPUPower, 40, func(i float64) float64 {
			if i > 5 && i < 9 {
				return math.NaN()
			}
			return 400 + 10*i
		})
	}
	add("gpu0", lab.GPUSMClock, 10, func(float64) float64 { return 1980 })
	add("gpu0", lab.GPUUtil, 10, func(i float64) float64 {
		if i > 6 {
			return math.NaN() // too few for a picture
		}
		return i
	})
	h := metric.Histogram{Phase: "saturation", Metric: "ttft", Unit: "s", N: 300, PerDecade: 5, Counts: []int{12, 180, 96, 0, 1, 11}}
	for i := range 7 {
		h.Edges = append(h.Edges, math.Pow(10, float64(i-10)/5))
	}
	summary := lab.Summary{Figures: []lab.Figure{{Phase: "saturation", Metric: "ttft.p50", Value: .018}, {Phase: "saturation", Metric: "ttft.p95", Value: .031}, {Phase: "saturation", Metric: "ttft.p99", Value: .14}}}
	run := lab.Run{Experiment: lab.Experiment{Phases: []lab.Phase{{Name: "开环"}, {Name: "saturation"}}}}
	return Plots{Timeline: t, Histograms: []metric.Histogram{h}}, run, summary
}

func TestThePicturesOfARunLookLikeThis(t *testing.T) {
	all, run, summary := plots()
	for name, o := range map[string]Options{"plots-80.txt": {Width: 80}, "plots-200.txt": {Width: 200}, "plots-ascii.txt": {Width: 80, ASCII: true}} {
		var out bytes.Buffer
		if err := Plot(&out, all, run, summary, o); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
		for line := range strings.Lines(out.String()) {
			if w := lipgloss.Width(strings.TrimRight(line, "\n")); w > o.Width {
				t.Errorf("%s: %d columns in %q", name, w, line)
			}
			if o.ASCII && strings.ContainsAny(line, "▁▂▃▄▅▆▇█▏▎▍▌▋▊▉") {
				t.Errorf("%s: %q is not ASCII", name, line)
			}
		}
	}
}

func TestWhatHasFewPointsGetsNoPicture(t *testing.T) {
	all, run, summary := plots()
	all.Histograms = nil
	for i := range all.Timeline.Curves {
		all.Timeline.Curves[i].V = all.Timeline.Curves[i].V[:fewestWindows-1]
	}
	var out bytes.Buffer
	if err := Plot(&out, all, run, summary, Options{}); err != nil || out.Len() > 0 {
		t.Errorf("%v, printed %q", err, out.String())
	}
}

func TestABarIsAsLongAsItsCountSays(t *testing.T) {
	for _, ascii := range []bool{false, true} {
		p := &printer{o: Options{ASCII: ascii}}
		last := -1
		for n := range 101 {
			bar := p.bar(n, 100, 10)
			if got := len([]rune(bar)); got < last || got > 10 || n > 0 && got == 0 || n == 0 && got > 0 {
				t.Errorf("%d of 100 in 10 columns: %q", n, bar)
			} else {
				last = got
			}
		}
	}
}

func TestAWriteErrorOfAPictureIsReported(t *testing.T) {
	all, run, summary := plots()
	if err := Plot(full{}, all, run, summary, Options{}); err == nil {
		t.Error("nothing was written, and nothing said so")
	}
	if err := ShowJSON(full{}, sealed(), all); err == nil {
		t.Error("nothing was written, and nothing said so")
	}
}

// A picture is of what the document holds: each row's range is that of its curve.
func TestTheDocumentHoldsWhatThePicturesShow(t *testing.T) {
	all, _, _ := plots()
	var out bytes.Buffer
	if err := ShowJSON(&out, sealed(), all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"timeline": {`, `"value": "ttft.p50"`, `"histograms": [`, `"per_decade": 5`, "null"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
}

func TestRowsOfPicturesFitANarrowTerminal(t *testing.T) {
	for width, want := range map[int]int{50: 10, 60: 20, 69: 29, 70: 20, 80: 30, 300: 100} {
		if got := PlotColumns(Options{Width: width}); got != want {
			t.Errorf("%d columns leave %d for a picture, want %d", width, got, want)
		}
	}
}
