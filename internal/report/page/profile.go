package page

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/report/chart"
	"lab/profiling"
)

// TraceView is what a page of a trace is made of.
type TraceView struct {
	Lang  string
	Lab   string // version of the program that makes the page
	Trace profiling.Summary
}

// Trace makes the page of a trace of the torch profiler.
func Trace(v TraceView) Document {
	w := words{v.Lang}
	d := Document{Title: w.Say("Trace ", "追踪 ") + filepath.Base(v.Trace.File), Subtitle: v.Trace.File, Lang: v.Lang, Lab: v.Lab}
	d.add(v.Lang, "where", w.Say("Where the time went", "时间去向"), func(b *Body) { w.whereTime(b, v.Trace, "") })
	d.add(v.Lang, "trace", w.Say("Steps, gaps, kernels", "步、空隙与内核"), func(b *Body) { titled(b, report.TraceParts(v.Trace), w.Say("Trace", "追踪"), "") })
	d.Data = append(d.Data, data("data-profile", w.Say("The summary of the trace (lab profile show --json)", "追踪摘要 (lab profile show --json)"), "profile.json", func(b *bytes.Buffer) error { return report.ProfileJSON(b, v.Trace) }))
	return d
}

// unread says that traces were left out.
func (w words) unread(b *Body, size lab.Bytes) {
	if size > 0 {
		b.Banner(Banner{Kind: "unsure", Word: w.Say("Traces not read", "未读取追踪"), Text: fmt.Sprintf(w.Say(
			"Something was being measured when this page was made, and to read traces of %s takes a core for some seconds. What they show is left out.",
			"生成此页面时有测试正在进行，而读取 %s 的追踪会占用一个核心数秒，故略去其内容。"), report.Value(float64(size), "bytes"))})
	}
}

// whereTime shows a trace in figures; id tells several of one page apart.
func (w words) whereTime(b *Body, s profiling.Summary, id string) {
	if !s.Complete {
		b.Banner(Banner{Kind: "unsure", Word: w.Say("Incomplete trace", "追踪不完整"), Text: s.Damage})
	}
	b.Tiles(w.traceTiles(s))
	b.Figures(w.traceFigures(s, id)...)
}

// titled puts parts in; a table has the line before it as its caption, or that one's label, and what it is of behind that.
func titled(b *Body, parts []report.Part, caption, of string) {
	taken := map[string]int{}
	for i, part := range parts {
		if part.Table == nil {
			heads := i+1 < len(parts) && parts[i+1].Table != nil && part.Label == ""
			if !heads {
				b.Parts("", parts[i:i+1])
			}
			continue
		}
		name := caption
		if i > 0 && parts[i-1].Table == nil {
			name = cmp.Or(parts[i-1].Label, parts[i-1].Text)
		}
		if taken[name]++; taken[name] > 1 { // regions of a page have names of their own
			name += fmt.Sprintf(" (%d)", taken[name])
		}
		b.Table(name+of, *part.Table)
	}
}

// traceTiles are the figures that tell most.
func (w words) traceTiles(s profiling.Summary) []Tile {
	var tiles []Tile
	for _, g := range s.GPUs {
		if g.Span <= 0 {
			continue
		}
		tile := Tile{Name: fmt.Sprintf(w.Say("GPU %d busy", "GPU %d 忙"), g.Device), Value: fmt.Sprintf("%.1f %%", 100*g.Busy.Seconds()/g.Span.Seconds()), Note: fmt.Sprintf(w.Say("of %s, %d activities", "共 %s，%d 个活动"), report.Value(g.Span.Seconds(), "s"), g.Activities)}
		tiles = append(tiles, tile)
		if g.LaunchBound != nil {
			tiles = append(tiles, Tile{Name: w.Say("Launch-bound", "受启动限制"), Value: fmt.Sprintf("%.1f %%", 100**g.LaunchBound), Note: w.Say("of the time the GPU waited for the CPU within a step", "GPU 在步内等待 CPU 的时间占比")})
		}
	}
	if s.Steps != nil {
		for _, k := range s.Steps.Kinds {
			if k.Period != nil && k.Kind != profiling.Empty {
				tiles = append(tiles, Tile{Name: string(k.Kind) + w.Say(", from step to step", "，步间隔"), Value: report.Value(k.Period.Mean.Seconds(), "s"), Note: fmt.Sprintf(w.Say("mean, n = %d", "均值，n = %d"), k.Period.N)})
			}
		}
	}
	if len(s.Categories) > 0 {
		c := s.Categories[0]
		tiles = append(tiles, Tile{Name: w.Say("Largest category", "最大类别"), Value: c.Name, Note: fmt.Sprintf("%.1f %% %s", c.Share*100, w.basis(s.Basis))})
	}
	if s.Graphs != nil {
		tiles = append(tiles, Tile{Name: w.Say("In CUDA graphs", "CUDA 图内"), Value: fmt.Sprintf("%.1f %%", s.Graphs.Share*100), Note: fmt.Sprintf(w.Say("of the GPU time, %d replays", "GPU 时间，%d 次重放"), s.Graphs.Replays)})
	}
	return tiles
}

func (w words) basis(b profiling.Basis) string {
	if b == profiling.GPUTime {
		return w.Say("of the GPU time", "GPU 时间")
	}
	return w.Say("of the CPU self time", "CPU 自身时间")
}

func (w words) traceFigures(s profiling.Summary, id string) []chart.Figure {
	var all []chart.Figure
	add := func(f chart.Figure, ok bool) {
		if ok {
			all = append(all, f)
		}
	}
	add(w.categoryFigure(s, id))
	add(w.stepFigure(s, id))
	for _, g := range s.GPUs {
		add(w.gpuFigure(g, id))
	}
	add(w.kernelFigure(s, id))
	return all
}

// shares is a figure of lying bars that are shares of a whole.
func shares(id, title, subtitle, axis string, bars []chart.Bar, names []string) chart.Figure {
	panel := chart.Panel{Title: title, Subtitle: subtitle, X: chart.Axis{Title: axis}, Y: chart.Axis{Categories: names}, Layers: []chart.Layer{chart.Bars{Bars: bars}}}
	return chart.Figure{ID: id, PanelHeight: 90 + 26*float64(len(bars)), Panels: []chart.Panel{panel}}
}

func share(of float64, took time.Duration, name string, n int64) chart.Bar {
	return chart.Bar{Value: of * 100, Label: fmt.Sprintf("%.1f %%", of*100), Tip: fmt.Sprintf("%s\n%s (%.1f %%), n = %d", name, report.Value(took.Seconds(), "s"), of*100, n)}
}

func (w words) categoryFigure(s profiling.Summary, id string) (chart.Figure, bool) {
	var bars []chart.Bar
	var names []string
	for _, c := range s.Categories[:min(len(s.Categories), 14)] {
		bars, names = append(bars, share(c.Share, c.Took, c.Name, c.N)), append(names, c.Name)
	}
	return shares("categories"+id, w.Say("By category", "按类别"), w.Say("share ", "占比，")+w.basis(s.Basis), w.Say("Share (%)", "占比 (%)"), bars, names), len(bars) > 1
}

// kernelFigure are the largest kernels, or operators where no GPU worked.
func (w words) kernelFigure(s profiling.Summary, id string) (chart.Figure, bool) {
	const most = 12
	var bars []chart.Bar
	var names []string
	for _, k := range s.Kernels[:min(len(s.Kernels), most)] {
		bars, names = append(bars, share(k.Share, k.Took, k.Name, k.N)), append(names, k.Name)
	}
	title, of := w.Say("Largest kernels, copies and fills", "最大的内核、拷贝与填充"), w.Say("share of the GPU time", "占 GPU 时间")
	if len(bars) == 0 {
		title, of = w.Say("Largest operators", "最大的算子"), w.Say("share of the CPU self time", "占 CPU 自身时间")
		for _, o := range s.Operators {
			if o.Share == nil || o.Self == nil || len(bars) == most {
				continue
			}
			bars, names = append(bars, share(*o.Share, *o.Self, o.Name, o.N)), append(names, o.Name)
		}
	}
	f := shares("kernels"+id, title, of, w.Say("Share (%)", "占比 (%)"), bars, names)
	return f, len(bars) > 1
}

// stepFigure sets the parts of a step beside each other, by kind.
func (w words) stepFigure(s profiling.Summary, id string) (chart.Figure, bool) {
	if s.Steps == nil {
		return chart.Figure{}, false
	}
	x := chart.Axis{}
	var layers []chart.Layer
	kinds := slices.DeleteFunc(slices.Clone(s.Steps.Kinds), func(k profiling.Step) bool { return k.Kind == profiling.Empty })
	for _, k := range kinds {
		x.Categories = append(x.Categories, fmt.Sprintf("%s\nn = %d", k.Kind, k.N))
	}
	for i, part := range []struct {
		name string
		of   func(profiling.Step) *profiling.Spread
	}{
		{w.Say("from step to step", "步间隔"), func(k profiling.Step) *profiling.Spread { return k.Period }},
		{w.Say("CPU, the marked span", "CPU 标记区间"), func(k profiling.Step) *profiling.Spread { return k.CPU }},
		{w.Say("GPU busy", "GPU 忙"), func(k profiling.Step) *profiling.Spread { return k.GPU }},
		{w.Say("GPU idle, launched too late", "GPU 空闲（启动过晚）"), func(k profiling.Step) *profiling.Spread { return k.HostGap }},
	} {
		bars, some := chart.Bars{Name: part.name, Style: chart.Style(i)}, false
		for _, k := range kinds {
			bar := chart.Bar{}
			if v := part.of(k); v != nil {
				some = true
				ms := 1e3 * v.Mean.Seconds()
				bar = chart.Bar{Value: ms, Label: chart.Format(ms), Tip: fmt.Sprintf("%s, %s\n%s %s, p50 %s, p90 %s (n = %d)", k.Kind, part.name, w.Say("mean", "均值"), report.Value(v.Mean.Seconds(), "s"), report.Value(v.P50.Seconds(), "s"), report.Value(v.P90.Seconds(), "s"), v.N)}
			}
			bars.Bars = append(bars.Bars, bar)
		}
		if some {
			layers = append(layers, bars)
		}
	}
	panel := chart.Panel{Title: w.Say("A step", "一步"), Subtitle: w.Say("means over the steps of a kind; lower is better", "同类步的均值；越低越好"), X: x, Y: chart.Axis{Title: w.Say("Time of a step (ms)", "每步时间 (ms)"), Zero: true}, Layers: layers}
	return chart.Figure{ID: "steps" + id, PanelHeight: 300, Panels: []chart.Panel{panel}}, len(layers) > 0 && len(kinds) > 0
}

// gpuFigure is what a GPU did in its time, and why it was idle.
func (w words) gpuFigure(g profiling.GPU, id string) (chart.Figure, bool) {
	if g.Span <= 0 {
		return chart.Figure{}, false
	}
	var bars []chart.Bar
	var names []string
	add := func(name string, took time.Duration, n int64) {
		if took <= 0 {
			return
		}
		bars, names = append(bars, share(took.Seconds()/g.Span.Seconds(), took, name, n)), append(names, name)
	}
	add(w.Say("busy: compute", "忙：计算"), g.Compute, g.Activities)
	add(w.Say("busy: communication", "忙：通信"), g.Comm, g.Activities)
	add(w.Say("  of it alone (exposed)", "  其中未被掩盖"), g.ExposedComm, g.Activities)
	add(w.Say("busy: copies and fills", "忙：拷贝与填充"), g.Copies, g.Activities)
	for _, gap := range g.Gaps {
		add(w.Say("idle: ", "空闲：")+w.cause(gap.Cause), gap.Idle, gap.N)
	}
	f := shares(fmt.Sprintf("gpu%d%s", g.Device, id), fmt.Sprintf(w.Say("What GPU %d did", "GPU %d 的活动"), g.Device), w.Say("share of its time; what overlaps counts in each", "占其时间；重叠部分各自计入"), w.Say("Share of the time (%)", "时间占比 (%)"), bars, names)
	return f, len(bars) > 0
}

func (w words) cause(c profiling.Cause) string {
	switch c {
	case profiling.HostCause:
		return w.Say("launched too late", "启动过晚")
	case profiling.SyncCause:
		return w.Say("CPU waited for the GPU", "CPU 等待 GPU")
	case profiling.DeviceCause:
		return w.Say("launched in time", "按时启动")
	case profiling.GraphCause:
		return w.Say("within a CUDA graph", "CUDA 图内部")
	}
	return w.Say("launch unknown", "启动未知")
}

// ProfileDiffView is what a page of two profiles is made of.
type ProfileDiffView struct {
	Lang string
	Lab  string
	A, B string // what they are called: IDs of runs, names of files
	Diff profiling.Difference
}

// ProfileDiff makes the page of what changed in a step between two profiles.
func ProfileDiff(v ProfileDiffView) Document {
	w := words{v.Lang}
	d := Document{Title: w.Say("Profiles compared", "性能剖析对比"), Subtitle: "A: " + v.A + " · B: " + v.B, Lang: v.Lang, Lab: v.Lab}
	d.add(v.Lang, "overview", w.Say("What changed", "变化"), func(b *Body) { w.stepChanges(b, v.Diff) })
	d.add(v.Lang, "steps", w.Say("Step by step", "逐步对比"), func(b *Body) { titled(b, report.TraceDiffParts(v.Diff), w.Say("Step", "步"), "") })
	d.add(v.Lang, "reproduce", w.Say("How to do it again", "如何复现"), func(b *Body) {
		b.Code(w.Say("The same comparison", "相同的对比"), typed("lab", "profile", "diff", v.A, v.B))
	})
	d.Data = append(d.Data, data("data-diff", w.Say("The comparison (lab profile diff --json)", "对比数据 (lab profile diff --json)"), "profile-diff.json", func(b *bytes.Buffer) error { return report.ProfileDiffJSON(b, v.Diff) }))
	return d
}

// stepChanges shows what changed in a step in figures.
func (w words) stepChanges(b *Body, diff profiling.Difference) {
	if diff.Indicative {
		b.Banner(Banner{Kind: "unsure", Word: w.Say("Indicative", "仅供参考"), Text: w.Say("One capture a side does not tell how much captures differ by themselves.", "每侧只有一次采集，无法得知采集之间自身的差异。")})
	}
	var tiles []Tile
	var figures []chart.Figure
	for i, k := range diff.Kinds {
		if f, ok := w.partsFigure(k, i, diff.Basis); ok {
			figures = append(figures, f)
		}
		if k.Time.A <= 0 {
			continue
		}
		tile := Tile{Name: w.per(k), Value: report.Value(k.Time.B.Seconds(), "s"), Note: w.Say("A: ", "A：") + report.Value(k.Time.A.Seconds(), "s"), Change: signedPercent(k.Time.Delta.Seconds() / k.Time.A.Seconds()), Kind: "plain"}
		if !k.Decided {
			tile.Change, tile.Kind = tile.Change+w.Say(", not comparable", "，不可比"), "unsure"
		}
		tiles = append(tiles, tile)
	}
	b.Tiles(tiles)
	b.Figures(figures...)
}

// per names what a difference is of.
func (w words) per(k profiling.StepDifference) string {
	name := string(k.Kind)
	if k.Kind == profiling.Whole {
		name = w.Say("step", "步")
	}
	if k.Per == profiling.PerToken {
		return name + w.Say(", per token, B", "，每 token，B")
	}
	return name + w.Say(", per step, B", "，每步，B")
}

// partsFigure draws by how much each category of a step changed.
func (w words) partsFigure(k profiling.StepDifference, i int, basis profiling.Basis) (chart.Figure, bool) {
	var bars []chart.Bar
	var names []string
	for _, part := range k.Parts {
		if part.Delta == 0 {
			continue
		}
		ms := 1e3 * part.Delta.Seconds()
		name := part.Name
		if part.Rest {
			name = "(" + name + ")"
		}
		bars = append(bars, chart.Bar{Value: ms, Label: strings.TrimSpace(fmt.Sprintf("%+.3g ms", ms)), Tip: fmt.Sprintf("%s\nA %s, B %s", part.Name, report.Value(part.A.Seconds(), "s"), report.Value(part.B.Seconds(), "s"))})
		names = append(names, name)
	}
	of := w.Say("CPU self time", "CPU 自身时间")
	if basis == profiling.GPUTime {
		of = w.Say("GPU time", "GPU 时间")
	}
	title := strings.TrimSuffix(strings.TrimSuffix(w.per(k), ", B"), "，B")
	f := shares(fmt.Sprintf("parts-%d", i+1), w.Say("B − A: ", "B − A：")+title, of+w.Say(" by category; to the right: B takes longer", "，按类别；向右：B 更慢"), w.Say("B − A (ms)", "B − A (ms)"), bars, names)
	return f, len(bars) > 0
}
