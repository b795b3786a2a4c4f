package live

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// classes lists errors by class, the most frequent first.
func classes(failed map[string]int) string {
	names := slices.SortedFunc(maps.Keys(failed), func(a, b string) int {
		if failed[a] != failed[b] {
			return failed[b] - failed[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %d", name, failed[name]))
	}
	return strings.Join(parts, ", ")
}

// columnWidth is that of a figure in the table of latencies.
const columnWidth = 8

// latencyLines are a table: each latency of the last ten seconds and of the phase so far, in milliseconds.
func latencyLines(s lab.Status, width int) []line {
	if len(s.Latencies) == 0 || s.Latencies[0].Phase.N == 0 && s.InFlight == 0 {
		return nil
	}
	type column struct {
		head string
		of   func(lab.Spread) time.Duration
	}
	p50 := column{"p50", func(s lab.Spread) time.Duration { return s.P50 }}
	p90 := column{"p90", func(s lab.Spread) time.Duration { return s.P90 }}
	p99 := column{"p99", func(s lab.Spread) time.Duration { return s.P99 }}
	most := column{"max", func(s lab.Spread) time.Duration { return s.Max }}
	recent, all := []column{p50, p90, p99}, []column{p50, p90, p99, most}
	if width < 79 {
		recent, all = []column{p50, p99}, []column{p50, p99}
	}
	count := width >= 79
	span := func(n int) int { return n * columnWidth }

	var groups, heads line
	groups.add(faint, left("", 5)+right("last 10 s", span(len(recent)))+"  "+right(fit(s.Figures, 20)+" so far", span(len(all))))
	heads.add(faint, "ms   ")
	for i, c := range slices.Concat(recent, all) {
		if i == len(recent) {
			heads.add(faint, "  ")
		}
		heads.add(faint, right(c.head, columnWidth))
	}
	if count {
		heads.add(faint, right("n", 10))
	}
	lines := []line{groups, heads}
	for _, latency := range s.Latencies {
		var l line
		l.add(strong, left(latency.Name, 5))
		for _, c := range recent {
			l.add(normal, right(figure(latency.Recent, c.of), columnWidth))
		}
		l.add(normal, "  ")
		for _, c := range all {
			l.add(normal, right(figure(latency.Phase, c.of), columnWidth))
		}
		if count {
			l.add(faint, right(fmt.Sprint(latency.Phase.N), 10))
		}
		if room := width - l.width() - 2; room >= 10 {
			l.add(faint, "  "+spark(latency.Trend, min(room, 30)))
		}
		lines = append(lines, l)
	}
	return lines
}

// figure is absent where nothing was counted.
func figure(s lab.Spread, of func(lab.Spread) time.Duration) string {
	if s.N == 0 {
		return "–"
	}
	return millis(of(s))
}

// spark is how something went over the last seconds, a column each: bars from 0 to the largest.
func spark(values []time.Duration, columns int) string {
	values = values[max(0, len(values)-columns):]
	bars := []rune("▁▂▃▄▅▆▇█")
	most := time.Duration(1)
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		if v == 0 {
			b.WriteRune(' ')
			continue
		}
		b.WriteRune(bars[int(v)*(len(bars)-1)/int(most)])
	}
	return b.String()
}

func outputLines(s lab.Status) []line {
	var lines []line
	if r := s.Output; r.Phase > 0 {
		lines = append(lines, line{{"output    ", faint}, {rate(r.Recent) + " tok/s", normal}, {fmt.Sprintf(" (%s in all)", rate(r.Phase)), faint}})
	}
	if g := s.Goodput; g != nil && g.Phase.Of > 0 {
		lines = append(lines, line{{"goodput   ", faint}, {share(g.Recent), normal}, {fmt.Sprintf(" (%s in all)", share(g.Phase)), faint}, {" within " + limits(g.Limits), normal}})
	}
	return lines
}

func share(g lab.GoodShare) string {
	if g.Of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(g.Good)/float64(g.Of))
}

func limits(all []lab.SLO) string {
	var parts []string
	for _, l := range all {
		parts = append(parts, fmt.Sprintf("%s ≤ %s", l.Metric, time.Duration(l.Limit)))
	}
	return strings.Join(parts, ", ")
}

// gpuLines are one line for each GPU; of many, in a low terminal, the first ones.
func gpuLines(s lab.Status, width, rows int) []line {
	shown := s.GPUs
	if most := max(2, rows/6); len(shown) > most {
		shown = shown[:most-1]
	}
	var lines []line
	for _, g := range shown {
		if len(g.Values) == 0 {
			continue
		}
		var l line
		l.add(faint, left(g.Device, 10))
		text := fields(in(g, lab.GPUTemp, "%.0f °C"), in(g, lab.GPUUtil, "%.0f %%"), in(g, lab.GPUSMClock, "%.0f MHz"),
			power(g), memory(g), in(g, lab.GaugePerToken, "%.3f J/tok"))
		if named := fields(short(g.Name), text); l.width()+wide(named) <= width {
			text = named
		}
		l.add(normal, text)
		lines = append(lines, l)
	}
	if n := len(s.GPUs) - len(shown); n > 0 {
		lines = append(lines, line{{fmt.Sprintf("          and %d more GPUs", n), faint}})
	}
	return lines
}

// short takes the maker away from a product's name.
func short(name string) string { return strings.TrimPrefix(name, "NVIDIA ") }

// in is a reading in words; nothing where there is none.
func in(g lab.Gauges, name, format string) string {
	v, ok := g.Values[name]
	if !ok {
		return ""
	}
	return fmt.Sprintf(format, v)
}

func power(g lab.Gauges) string {
	watts := in(g, lab.GPUPower, "%.0f")
	switch limit := in(g, lab.GPUPowerLimit, "%.0f"); {
	case watts == "":
		return ""
	case limit == "":
		return watts + " W"
	default:
		return watts + "/" + limit + " W"
	}
}

func memory(g lab.Gauges) string {
	used, ok := g.Values[lab.GPUMemUsed]
	switch {
	case !ok:
		return ""
	case g.Memory == 0:
		return fmt.Sprintf("%.1f GiB", used/(1<<30))
	}
	return fmt.Sprintf("%.1f/%.0f GiB", used/(1<<30), float64(g.Memory)/(1<<30))
}

func engineLines(s lab.Status) []line {
	v := s.Engine
	text := fields(in(v, lab.EngineRunning, "%.0f running"), in(v, lab.EngineWaiting, "%.0f waiting"))
	if kv, ok := v.Values[lab.EngineKVUsage]; ok {
		text = fields(text, fmt.Sprintf("KV cache %.0f %%", kv*100))
	}
	if n := v.Values[lab.EnginePreempt]; n > 0 {
		text = fields(text, fmt.Sprintf("%.0f preempted", n))
	}
	if text == "" {
		return nil
	}
	return []line{{{"engine    ", faint}, {text, normal}}}
}

// clientLines are how lab itself and its box do: what is late here may be in the figures.
func clientLines(s lab.Status) []line {
	v := s.Client
	cpu := in(v, lab.GaugeCPU, "%.2f")
	if cores := in(v, lab.ClientCores, "%.0f"); cpu != "" && cores != "" {
		cpu += " of " + cores + " cores"
	}
	if cpu == "" { // its first sample of a load tells nothing yet
		return nil
	}
	var late []string
	for _, k := range []struct{ name, what string }{{lab.ClientLate, "timers"}, {lab.ClientLag, "reads"}} {
		if d, ok := v.Values[k.name]; ok {
			late = append(late, k.what+" "+millis(time.Duration(d*float64(time.Second))))
		}
	}
	lateness := strings.Join(late, ", ")
	if lateness != "" {
		lateness = "late by ms: " + lateness
	}
	return []line{{{"lab       ", faint}, {fields(cpu, lateness, in(s.Host, lab.HostCPU, "box CPU %.0f %%")), normal}}}
}

func alertTone(l lab.Level) tone {
	switch l {
	case lab.Invalid:
		return bad
	case lab.Warning:
		return doubtful
	}
	return faint
}

// alertLines are what is wrong and what helps, most of them; of the rest the number.
func alertLines(alerts []lab.Alert, width, most int) []line {
	var lines []line
	for i, a := range alerts {
		if i == most {
			return append(lines, line{{fmt.Sprintf("! and %d more", len(alerts)-most), faint}})
		}
		text := a.Text
		if a.Level == lab.Invalid {
			text = "spoils the run: " + text
		}
		if a.Ago > 0 {
			text += fmt.Sprintf(" (%s ago)", about(a.Ago))
		}
		lines = append(lines, wrapped(piece{"! ", alertTone(a.Level)}, piece{text, normal}, width)...)
		if a.Fix != "" {
			lines = append(lines, wrapped(piece{"  → ", faint}, piece{a.Fix, faint}, width)...)
		}
	}
	return lines
}

// wrapped breaks a text between words into two lines at most; those after the first stand below its first word.
func wrapped(mark, text piece, width int) []line {
	indent := wide(mark.text)
	taken, used := 0, 0
	for word := range strings.SplitAfterSeq(text.text, " ") {
		if used+wide(strings.TrimRight(word, " ")) > width-indent && taken > 0 {
			break
		}
		taken, used = taken+len(word), used+wide(word)
	}
	first, rest := text.text[:taken], text.text[taken:]
	lines := []line{{mark, {strings.TrimRight(first, " "), text.tone}}}
	if rest != "" {
		lines = append(lines, line{{strings.Repeat(" ", indent), normal}, {rest, text.tone}})
	}
	return lines
}
