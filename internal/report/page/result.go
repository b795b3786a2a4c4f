package page

import (
	"fmt"
	"strings"

	"lab/internal/lab"
	"lab/internal/report"
)

// result is how the run ended, and the figures that people look for first.
func (p runPage) result(b *Body) {
	b.Banner(p.banner())
	b.Parts("", report.Of(p.parts, report.OfFailure))
	if log := p.lastLog(); log != "" && p.Sealed.Run.Outcome == lab.Failed {
		b.Details(p.Say("The end of the server's log", "服务端日志末尾"), func(b *Body) { b.Code("", log) })
	}
	if p.Sealed.Run.Profile != nil {
		return
	}
	for _, t := range p.Sealed.Summary.Phases {
		p.tiles(b, t)
	}
	if v := p.Against; v != nil {
		b.Note(fmt.Sprintf(p.Say("Changes are against baseline %s (n = %d runs, the last of them %s). Those runs are stored ones: what changed on the box since is in the difference, so this is no verdict; lab baseline check %s makes one.",
			"变化相对于基线 %s（n = %d 次测试，最近一次 %s）。这些是已存储的测试：期间机器的变化也包含在差异中，因此不构成结论；lab baseline check %s 可得出结论。"),
			v.Plan.Baseline, countArm(*v, "A"), lastOf(*v, "A"), v.Plan.Baseline))
	}
}

func countArm(v lab.Verdict, arm string) (n int) {
	for _, r := range v.Runs {
		if r.Arm == arm {
			n++
		}
	}
	return n
}

func lastOf(v lab.Verdict, arm string) (id string) {
	for _, r := range v.Runs {
		if r.Arm == arm {
			id = max(id, r.ID)
		}
	}
	return id
}

// banner says whether the numbers may be judged.
func (p runPage) banner() Banner {
	r := p.Sealed.Run
	switch {
	case r.Outcome == lab.Failed && r.Failure != nil:
		return Banner{"bad", p.Say("FAILED", "失败"), r.Failure.Class + ": " + r.Failure.Reason}
	case r.Outcome == lab.Failed:
		return Banner{"bad", p.Say("FAILED", "失败"), ""}
	case r.Outcome == lab.Interrupted:
		return Banner{"unsure", p.Say("INTERRUPTED", "已中断"), p.Say("It was stopped before its end. What was measured until then is below; it enters no verdict.", "测试在结束前被停止。下面是停止前测得的内容，不参与任何结论。")}
	case r.Outcome == lab.Live:
		return Banner{"unsure", p.Say("NOT ENDED", "未结束"), p.Say("It still goes on, or lab was killed: this is what its records held when the page was made.", "测试仍在进行，或 lab 被强制结束：这是生成页面时记录中的内容。")}
	case r.Profile != nil:
		return Banner{"plain", p.Say("Profiled", "剖析运行"), p.Say("The profiler slows what it watches: these figures are never judged, and are no headline.", "剖析器会拖慢被测对象：这些数值不作评判。")}
	case !r.Valid():
		return Banner{"bad", p.Say("INVALID", "无效"), p.Say("The numbers must not be judged: ", "数值不得用于评判：") + invalidity(r)}
	case r.Imported != nil:
		return Banner{"plain", p.Say("Imported", "导入"), fmt.Sprintf(p.Say("Measured by %s, read from %s. What that program did not record is not here.", "由 %s 测得，读自 %s。该程序未记录的内容此处没有。"), r.Imported.By, r.Imported.File)}
	}
	text := p.Say("Every phase ran to its end, and nothing was found that makes the numbers wrong.", "所有阶段均已完成，未发现使数值失效的问题。")
	if n := warnings(r); n > 0 {
		text += fmt.Sprintf(p.Say(" %d warnings are under Validity.", " “有效性”一节有 %d 条警告。"), n)
	}
	return Banner{"good", p.Say("Valid", "有效"), text}
}

func invalidity(r lab.Run) string {
	var all []string
	for _, f := range r.Findings {
		if f.Level == lab.Invalid {
			all = append(all, f.Code+": "+f.Detail)
		}
	}
	return strings.Join(all, "; ")
}

func warnings(r lab.Run) (n int) {
	for _, f := range r.Findings {
		if f.Level == lab.Warning {
			n++
		}
	}
	return n
}

// tiles of a phase.
func (p runPage) tiles(b *Body, t lab.Tally) {
	var against []lab.Row
	if p.Against != nil {
		against = append([]lab.Row{p.Against.Primary}, p.Against.Rows...)
	}
	if len(p.Sealed.Summary.Phases) > 1 {
		name := p.Say("Phase ", "阶段 ") + t.Phase
		if !t.Judged {
			name += p.Say(" (not judged)", "（不评判）")
		}
		b.Heading(name)
	}
	var tiles []Tile
	for _, h := range report.Headlines(p.Sealed.Summary, t.Phase, against) {
		tile := Tile{Name: p.metricName(h.Metric, h.Title), Value: h.Value, Note: h.Rests, Change: h.Change, Kind: "plain"}
		if h.Change != "" {
			_, before, _, _ := report.Versus(*h.Row)
			tile.Change = fmt.Sprintf(p.Say("%s against %s", "%s，基线 %s"), h.Change, before)
		}
		tiles = append(tiles, tile)
	}
	b.Tiles(tiles)
}

// metricName is what a figure is called: in Chinese where the field's own abbreviation is not the name.
func (w words) metricName(metric, title string) string {
	chinese := map[string]string{"output_throughput": "输出吞吐", "request_throughput": "请求吞吐", "goodput": "有效吞吐 (goodput)", "error_share": "错误",
		"energy_per_token": "能耗", "power.mean": "GPU 功率", "gpu_mem.max": "GPU 显存", "kv_usage.max": "KV 缓存占用"}[metric]
	if chinese == "" {
		return title
	}
	return w.Say(title, chinese)
}

// lastLog is the end of what the server wrote.
func (p runPage) lastLog() string {
	const lines = 60
	log := p.Tables.Log
	log = log[max(0, len(log)-lines):]
	var text strings.Builder
	for _, l := range log {
		fmt.Fprintf(&text, "%8.3f | %s\n", l.At.Seconds(), l.Text)
	}
	return text.String()
}
