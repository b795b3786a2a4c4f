package page

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
)

// ABView is what a page of an A/B is made of.
type ABView struct {
	Lang string
	Lab  string // version of the program that makes the page
	Gate report.Gate
	Runs []ABRun
	Pair []Side // two runs to look at over time: see [TypicalPair]; none before the first look
}

// ABRun is one measured run of an A/B, as the verdict names it.
type ABRun struct {
	Ref      lab.RunRef
	Sealed   lab.Sealed
	Hardware *correlate.Hardware // of a run that counts
	Values   map[string]Picked   // latencies of the deciding phase by quantity, in seconds: see [Latencies]; of a run that counts
}

// Side is one run of a pair, with its records.
type Side struct {
	Arm      string
	Sealed   lab.Sealed
	Tables   lab.Tables
	Timeline correlate.Timeline
	Hardware correlate.Hardware
}

// abPage is a page of an A/B while it is made.
type abPage struct {
	ABView
	words
	verdict lab.Verdict
	parts   []report.Part // what lab compare prints
}

// AB makes the page of an A/B. Before the first look nothing of B against A is in it.
func AB(v ABView) Document {
	p := abPage{ABView: v, words: words{v.Lang}, verdict: v.Gate.Verdict, parts: report.VerdictParts(v.Gate.Verdict, v.Gate.Hardware)}
	if !p.looked() {
		p.Pair = nil
	}
	slices.SortFunc(p.Pair, func(one, other Side) int { return strings.Compare(one.Arm, other.Arm) })
	plan := p.verdict.Plan
	d := Document{Title: "A/B " + plan.ID, Subtitle: "A " + plan.A.Name + "  ·  B " + plan.B.Name, Lang: v.Lang, Lab: v.Lab}
	d.Unread = v.Gate.Profiles != nil && v.Gate.Profiles.Unread > 0
	d.add(v.Lang, "result", p.Say("Result", "结果"), p.result)
	d.add(v.Lang, "measured", p.Say("What was measured", "测试内容"), p.measured)
	d.add(v.Lang, "runs", p.Say("Runs", "各次测试"), p.runs)
	d.add(v.Lang, "convergence", p.Say("Convergence", "收敛"), p.convergence)
	d.add(v.Lang, "figures", p.Say("All figures", "全部指标"), p.figures)
	d.add(v.Lang, "latency", p.Say("Latency", "延迟"), p.latency)
	d.add(v.Lang, "throughput", p.Say("Throughput and saturation", "吞吐与饱和"), p.throughput)
	d.add(v.Lang, "over-time", p.Say("Over time", "时间序列"), p.overTime)
	d.add(v.Lang, "requests", p.Say("Requests", "请求"), p.requests)
	d.add(v.Lang, "stalls", p.Say("Stalls", "停顿"), p.stalls)
	d.add(v.Lang, "energy", p.Say("Energy and hardware", "能耗与硬件"), p.hardware)
	d.add(v.Lang, "profile", p.Say("Profile", "性能剖析"), p.profile)
	d.add(v.Lang, "errors", p.Say("Errors", "错误"), p.errors)
	d.add(v.Lang, "validity", p.Say("Validity and method", "有效性与方法"), p.validity)
	d.add(v.Lang, "reproduce", p.Say("How to do it again", "如何复现"), p.reproduce)
	d.Data = append(d.Data,
		data("data-verdict", p.Say("The verdict (lab compare --json)", "结论 (lab compare --json)"), plan.ID+".json", func(b *bytes.Buffer) error { return report.VerdictJSON(b, v.Gate) }),
		data("data-hardware", p.Say("The hardware of its runs (lab show --hardware --json)", "各次测试的硬件 (lab show --hardware --json)"), plan.ID+"-hardware.json",
			func(b *bytes.Buffer) error { return report.PlanHardwareJSON(b, plan, p.arms(), v.Gate.Hardware) }))
	return d
}

// looked says whether the first look was reached.
func (p abPage) looked() bool { return p.verdict.Look.Number > 0 }

// arms is the hardware of the runs that count.
func (p abPage) arms() []report.ArmHardware {
	var all []report.ArmHardware
	for _, r := range p.Runs {
		if r.Hardware != nil && p.looked() {
			all = append(all, report.ArmHardware{Arm: r.Ref.Arm, Block: r.Ref.Block, Hardware: *r.Hardware})
		}
	}
	return all
}

// first is the first run of an arm, one that counts where there is one.
func (p abPage) first(arm string) (lab.Run, bool) {
	i := slices.IndexFunc(p.Runs, func(r ABRun) bool { return r.Ref.Arm == arm && r.Ref.Valid })
	if i < 0 {
		i = slices.IndexFunc(p.Runs, func(r ABRun) bool { return r.Ref.Arm == arm })
	}
	if i < 0 {
		return lab.Run{}, false
	}
	return p.Runs[i].Sealed.Run, true
}

// TypicalPair names the runs of the pair whose own difference is nearest to that of the verdict.
func TypicalPair(v lab.Verdict, runs []lab.Sealed) (a, b string, ok bool) {
	nearest := math.Inf(1)
	for _, pair := range pairsOf(v, runs) {
		if away := math.Abs(pair.delta(v.Primary) - v.Primary.Delta); away < nearest {
			nearest, a, b, ok = away, pair.a.id, pair.b.id, true
		}
	}
	return a, b, ok
}

// deciding is the deciding figure of one run.
type deciding struct {
	id    string
	value float64
}

type pair struct {
	block int
	a, b  deciding
}

// delta of a pair as the row gives it: relative, of shares absolute.
func (p pair) delta(r lab.Row) float64 {
	if r.Absolute {
		return p.b.value - p.a.value
	}
	return p.b.value/p.a.value - 1
}

// pairsOf are the pairs of which both runs count, by their block.
func pairsOf(v lab.Verdict, runs []lab.Sealed) []pair {
	figures := map[string]float64{}
	for _, s := range runs {
		if f, ok := s.Summary.Figure(v.Primary.Phase, v.Primary.Metric); ok {
			figures[s.Run.ID] = f.Value
		}
	}
	blocks := map[[2]int]*pair{}
	var order [][2]int
	for _, r := range v.Runs {
		value, ok := figures[r.ID]
		if !r.Judged || !ok {
			continue
		}
		key := [2]int{r.Block, r.Try}
		if blocks[key] == nil {
			blocks[key] = &pair{block: r.Block}
			order = append(order, key)
		}
		if r.Arm == "A" {
			blocks[key].a = deciding{r.ID, value}
		} else {
			blocks[key].b = deciding{r.ID, value}
		}
	}
	var all []pair
	for _, key := range order {
		if p := blocks[key]; p.a.id != "" && p.b.id != "" {
			all = append(all, *p)
		}
	}
	return all
}
