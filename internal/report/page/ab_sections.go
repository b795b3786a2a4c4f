package page

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"lab/internal/lab"
	"lab/internal/metric"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// armStyle is the look of an arm, the same in every picture.
func armStyle(arm string) chart.Style {
	if arm == "B" {
		return 1
	}
	return 0
}

// figures are the exploratory tables.
func (p abPage) figures(b *Body) {
	for _, part := range report.Of(p.parts, report.OfExplored) {
		b.Parts(p.Say("Exploratory figures", "探索性指标"), []report.Part{part})
	}
}

// Latencies are the values that the distributions of an A/B are drawn of: of a run that counts, by quantity, in seconds.
func Latencies(requests []lab.RequestRecord, phase string) map[string]Picked {
	values := map[string]Picked{}
	for name, all := range metric.Values(requests, phase) {
		values[name] = Picked{evenly(all, pooledPerRun), len(all)}
	}
	return values
}

// Picked are values out of N, evenly picked where these are many.
type Picked struct {
	Picked []float64
	N      int
}

// pooledPerRun is how many values of a quantity a run brings into a picture at most, evenly picked.
const pooledPerRun = 20_000

// latency sets the distributions of the arms beside each other.
func (p abPage) latency(b *Body) {
	if !p.looked() {
		return
	}
	var figures []chart.Figure
	paired := p.paired()
	for _, q := range quantities {
		var samples []sample
		for _, arm := range []string{"A", "B"} {
			var pooled []float64
			n := 0
			for _, r := range p.Runs {
				if r.Ref.Arm == arm && paired[r.Ref.ID] {
					pooled = append(pooled, r.Values[q.name].Picked...)
					n += r.Values[q.name].N
				}
			}
			if len(pooled) >= fewestDrawn {
				samples = append(samples, sample{arm, armStyle(arm), scaled(pooled, q.scale), n})
			}
		}
		if len(samples) > 0 {
			figures = append(figures, b.ecdf("ecdf-"+q.name, q.title, q.unit, samples))
		}
	}
	if len(figures) == 0 {
		return
	}
	b.Note(fmt.Sprintf(p.Say("All requests of the runs that count, phase %s: the shape, not the evidence. The verdict rests on differences between runs.",
		"计入的各次测试的全部请求，阶段 %s：仅示形状，并非证据；结论基于测试之间的差异。"), p.verdict.Plan.Phase))
	b.Figures(figures...)
}

// sideOf is a side as a page of a run, for what both pages show.
func (p abPage) sideOf(s Side) runPage {
	return runPage{RunView: RunView{Lang: p.Lang, Sealed: s.Sealed, Tables: s.Tables, Timeline: s.Timeline, Hardware: s.Hardware}, words: p.words}
}

// pairNote says which runs are shown.
func (p abPage) pairNote(b *Body) {
	b.Note(fmt.Sprintf(p.Say("Of the pair whose own difference is nearest to the verdict's: A %s, B %s.", "取差异最接近结论的一对：A %s，B %s。"), p.Pair[0].Sealed.Run.ID, p.Pair[1].Sealed.Run.ID))
}

func (p abPage) throughput(b *Body) {
	if len(p.Pair) < 2 {
		return
	}
	p.pairNote(b)
	var figures []chart.Figure
	for _, s := range p.Pair {
		page := p.sideOf(s)
		for i, t := range s.Sealed.Summary.Phases {
			if t.Phase != p.verdict.Plan.Phase {
				continue
			}
			if f, ok := page.keepingUp(fmt.Sprintf("keeping-up-%s-%d", s.Arm, i), t); ok {
				f.Panels[0].Title = s.Arm + ": " + f.Panels[0].Title
				figures = append(figures, f)
			}
			if f, ok := page.crowding(fmt.Sprintf("crowding-%s-%d", s.Arm, i), t); ok {
				f.Panels[0].Title = s.Arm + ": " + f.Panels[0].Title
				figures = append(figures, f)
			}
		}
	}
	b.Figures(figures...)
}

// overTime lays both runs of a pair over each other, from the start of their load.
func (p abPage) overTime(b *Body) {
	if len(p.Pair) < 2 {
		return
	}
	p.pairNote(b)
	b.Timeline(p.overlay("time", p.Pair))
}

func (p abPage) requests(b *Body) {
	if len(p.Pair) < 2 {
		return
	}
	p.pairNote(b)
	end := 0.0
	for _, s := range p.Pair {
		end = max(end, seconds(s.Timeline.To-s.Timeline.From))
	}
	for _, s := range p.Pair {
		b.requestRows("request-rows-"+s.Arm, s.Arm+p.Say(": requests over time", "：请求时间线"), measuredRequests(s.Tables.Requests), s.Timeline.From, end)
	}
}

// stalls are counted by cause over the runs of each arm.
func (p abPage) stalls(b *Body) {
	counts, gaps, stalls := map[string]map[string]int{}, map[string]int{}, map[string]int{}
	for _, r := range p.arms() {
		gaps[r.Arm] += r.Stalls.Gaps
		stalls[r.Arm] += r.Stalls.Count
		for cause, n := range r.Stalls.ByCause {
			if counts[cause] == nil {
				counts[cause] = map[string]int{}
			}
			counts[cause][r.Arm] += n
		}
	}
	if gaps["A"]+gaps["B"] == 0 {
		return
	}
	t := report.Table{Head: []string{p.Say("cause", "原因"), "A", "B"}, Right: map[int]bool{1: true, 2: true}}
	causes := slices.SortedFunc(maps.Keys(counts), func(one, other string) int {
		return cmp.Or(cmp.Compare(counts[other]["A"]+counts[other]["B"], counts[one]["A"]+counts[one]["B"]), cmp.Compare(one, other))
	})
	for _, cause := range causes {
		if n := counts[cause]; n["A"]+n["B"] > 0 {
			t.Rows = append(t.Rows, []string{cause, strconv.Itoa(n["A"]), strconv.Itoa(n["B"])})
		}
	}
	t.Rows = append(t.Rows, []string{p.Say("all", "合计"), strconv.Itoa(stalls["A"]), strconv.Itoa(stalls["B"])},
		[]string{p.Say("gaps looked at", "检查的间隔"), strconv.Itoa(gaps["A"]), strconv.Itoa(gaps["B"])})
	b.Table(p.Say("Stalls of the runs that count, by cause", "计入的测试中的停顿，按原因"), t)
	b.Note(p.Say("Stalls: ", "停顿：") + p.arms()[0].Stalls.Threshold)
}

// hardware is that of the runs, and how the arms differ in it.
func (p abPage) hardware(b *Body) {
	arms := p.arms()
	if len(arms) == 0 {
		return
	}
	b.Parts(p.Say("How the arms differ in hardware", "两侧硬件差异"), report.Of(p.parts, report.OfHardware))
	parts := report.PlanHardwareParts(p.verdict.Plan, arms)
	b.Parts(p.Say("The hardware beside each run, phase ", "各次测试的硬件，阶段 ")+p.verdict.Plan.Phase, report.Of(parts, report.OfHardware))
}

func (p abPage) profile(b *Body) {
	a := p.Gate.Profiles
	if a == nil {
		return
	}
	for _, arm := range []struct {
		name string
		run  *lab.Run
	}{{"A", a.A}, {"B", a.B}} {
		if arm.run != nil {
			b.Heading(fmt.Sprintf(p.Say("Profiled run of arm %s, not part of the verdict", "%s 侧的剖析运行，不参与结论"), arm.name))
			b.Parts(p.Say("Files of the capture", "采集文件"), report.CaptureParts(*arm.run))
		}
	}
	p.unread(b, a.Unread)
	if a.Diff != nil {
		b.Heading(p.Say("Evidence: the two profiled runs, step by step", "证据：两次剖析运行逐步对比"))
		b.Parts(p.Say("From a step of A to a step of B", "从 A 的一步到 B 的一步"), report.TraceDiffParts(*a.Diff))
	}
}

// errors are counted by arm and class.
func (p abPage) errors(b *Body) {
	t := report.Table{Head: []string{p.Say("run", "测试"), p.Say("arm", "侧"), p.Say("phase", "阶段"), p.Say("class", "类别"), p.Say("requests", "请求数"), p.Say("of", "总数")}, Right: map[int]bool{4: true, 5: true}}
	offered := 0
	for _, r := range p.Runs {
		for _, tally := range r.Sealed.Summary.Phases {
			offered += tally.Offered
			for _, class := range slices.Sorted(maps.Keys(tally.Errors)) {
				t.Rows = append(t.Rows, []string{r.Ref.ID, r.Ref.Arm, tally.Phase, class, strconv.Itoa(tally.Errors[class]), strconv.Itoa(tally.Offered)})
			}
		}
	}
	if len(t.Rows) == 0 && offered > 0 {
		b.Text(fmt.Sprintf(p.Say("No request of a run failed (n = %d).", "没有请求失败（n = %d）。"), offered))
	}
	b.Table(p.Say("Errors by class; lab report ID of a run has samples", "错误分类；单次测试的 lab report ID 有样例"), t)
}

func (p abPage) validity(b *Body) {
	for _, part := range report.Of(p.parts, report.OfBasis) {
		b.Parts("", []report.Part{part})
	}
	findings := report.Of(report.PlanHardwareParts(p.verdict.Plan, p.arms()), report.OfFindings)
	if len(findings) > 0 {
		b.Details(fmt.Sprintf(p.Say("What was found in single runs (n = %d)", "单次测试中的发现（n = %d）"), len(findings)), func(b *Body) { b.Parts("", findings) })
	}
	b.Text(p.Say("The word is decided by differences between whole runs with fresh servers made in turn, not by requests pooled over runs; docs/statistics.md and lab help verdict explain every term.",
		"结论由交替进行、每次重启服务端的完整测试之间的差异决定，而非合并的请求；各术语见 docs/statistics.md 与 lab help verdict。"))
	names := []string{p.verdict.Plan.Primary}
	for _, r := range append(p.verdict.Guardrails, p.verdict.Rows...) {
		names = append(names, r.Metric)
	}
	b.formulas(unique(names))
}

func (p abPage) reproduce(b *Body) {
	b.Text(p.Say("The records, in the store that made them:", "记录，在生成它的存储中："))
	id := p.verdict.Plan.ID
	b.Code("", "lab compare "+id+"\nlab show "+id+" --hardware\nlab export --format jsonl "+id)
	b.Parts("", report.Of(p.parts, report.OfProvenance))
	b.Text(p.Say("On another machine: both experiments as files, everything said, and the command.", "在另一台机器上：两个完整的实验文件与命令。"))
	b.experimentFile("a.yaml", p.verdict.Plan.A)
	b.experimentFile("b.yaml", p.verdict.Plan.B)
	b.Code("", "lab ab"+howLong(p.verdict.Plan)+" a.yaml b.yaml")
}

// howLong is the flag of lab ab that asks for a plan again.
func howLong(plan lab.Plan) string {
	if slices.Contains([]string{"quick", "standard", "strict"}, plan.Name) {
		return " --plan " + plan.Name
	}
	return fmt.Sprintf(" --pairs %d", plan.Pairs)
}
